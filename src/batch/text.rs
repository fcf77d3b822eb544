//! A text column: views into the chunk's own bytes, or into a small side buffer.

use arrow::array::{ArrayRef, NullBufferBuilder, StringViewArray, builder::make_view};
use arrow::buffer::{Buffer, ScalarBuffer};

/// Index of the chunk among a column's buffers.
const CHUNK: u32 = 0;
/// Index of the side buffer.
const SIDE: u32 = 1;

/// Text that is not in the chunk as it stands: decoded keys, repaired UTF-8, provenance.
#[derive(Debug, Default)]
pub(super) struct Side {
    bytes: Vec<u8>,
}

impl Side {
    /// The view of `text`, which is stored.
    pub fn store(&mut self, text: &str) -> u128 {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(text.as_bytes());
        make_view(text.as_bytes(), SIDE, at as u32)
    }

    /// The view of what `write` appends, made UTF-8 where it is not; `None` when it returns false.
    pub fn write(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) -> Option<u128> {
        let at = self.bytes.len();
        if !write(&mut self.bytes) {
            return None;
        }
        if let Err(e) = simdutf8::compat::from_utf8(&self.bytes[at..]) {
            debug_assert!(e.valid_up_to() <= self.bytes.len() - at);
            let repaired = String::from_utf8_lossy(&self.bytes[at..]).into_owned();
            self.bytes.truncate(at);
            self.bytes.extend_from_slice(repaired.as_bytes());
        }
        Some(make_view(&self.bytes[at..], SIDE, at as u32))
    }

    pub fn finish(self) -> Buffer {
        Buffer::from_vec(self.bytes)
    }
}

/// The view of `text`, a part of `chunk`.
#[inline]
pub(super) fn view_in_chunk(chunk: &[u8], text: &[u8]) -> u128 {
    let at = text.as_ptr() as usize - chunk.as_ptr() as usize;
    debug_assert!(at + text.len() <= chunk.len());
    make_view(text, CHUNK, at as u32)
}

/// Builder of one text column.
#[derive(Debug)]
pub(super) struct TextColumn {
    views: Vec<u128>,
    nulls: NullBufferBuilder,
}

impl TextColumn {
    pub fn with_capacity(rows: usize) -> Self {
        Self { views: Vec::with_capacity(rows), nulls: NullBufferBuilder::new(rows) }
    }

    /// Appends a value whose bytes are known to be UTF-8.
    #[inline(always)]
    pub fn push(&mut self, view: Option<u128>) {
        match view {
            Some(view) => {
                self.views.push(view);
                self.nulls.append_non_null();
            }
            None => {
                self.views.push(0);
                self.nulls.append_null();
            }
        }
    }

    /// # Safety
    /// Every view pushed must lie within the chunk or the side buffer given here, and be UTF-8.
    pub unsafe fn finish(mut self, chunk: &Buffer, side: &Buffer) -> ArrayRef {
        let views = ScalarBuffer::from(self.views);
        let buffers = vec![chunk.clone(), side.clone()];
        // SAFETY: the caller's promise.
        std::sync::Arc::new(unsafe { StringViewArray::new_unchecked(views, buffers, self.nulls.finish()) })
    }
}
