//! Views of text: into the chunk's own bytes, or into a small side buffer.

use arrow::array::builder::make_view;
use arrow::buffer::Buffer;

/// Text up to this length stands in its view.
const INLINE: usize = 12;
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
#[inline(always)]
pub(super) fn view_in_chunk(chunk: &[u8], text: &[u8]) -> u128 {
    let at = text.as_ptr() as usize - chunk.as_ptr() as usize;
    debug_assert!(at + text.len() <= chunk.len());
    // What `make_view` gives, without a jump that depends on the length: sixteen bytes are taken, and those too
    // many masked away.
    let Some(bytes) = chunk.get(at..).and_then(|rest| rest.first_chunk::<16>()) else {
        return make_view(text, CHUNK, at as u32);
    };
    let bytes = u128::from_le_bytes(*bytes);
    let len = text.len();
    if len <= INLINE {
        len as u128 | (bytes & ((1 << (8 * len)) - 1)) << 32
    } else {
        len as u128 | (bytes & 0xffff_ffff) << 32 | u128::from(CHUNK) << 64 | (at as u128) << 96
    }
}

/// Texts of a column met lately. Log records repeat themselves: a text that was there before gets the view it had
/// then, so that whoever reads the column can tell equal texts by their views.
#[derive(Debug)]
pub(super) struct Recent([u128; RECENT]);

/// How many texts of a column are remembered.
const RECENT: usize = 64;

impl Recent {
    pub fn new() -> Self {
        Self([0; RECENT])
    }

    /// The view of `text`, a part of `chunk`, or of an earlier part that is the same.
    #[inline(always)]
    pub fn view(&mut self, chunk: &[u8], text: &[u8]) -> u128 {
        let view = view_in_chunk(chunk, text);
        let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) else {
            return view;
        };
        if text.len() <= INLINE {
            return view;
        }
        let ends = u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(29) ^ text.len() as u64;
        let place = ends.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - RECENT.ilog2());
        let known = &mut self.0[place as usize];
        // The low half holds length and first bytes.
        if *known as u64 == view as u64 {
            let at = (*known >> 96) as usize;
            if chunk.get(at..at + text.len()) == Some(text) {
                return *known;
            }
        }
        *known = view;
        view
    }
}
