//! Text of the columns: one after the other where it hardly repeats, each text once where it does.

use arrow::array::builder::make_view;
use arrow::array::{StringArray, StringViewArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

/// Text up to this length stands in its view.
const INLINE: usize = 12;

/// Texts of a column, one after the other. They are copied out of the lines: a column is read as one run of bytes
/// then, in half of the memory, where lines would be fetched from memory once more. Where each ends is kept elsewhere.
#[derive(Debug)]
pub(super) struct Texts(Vec<u8>);

impl Texts {
    /// Room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Bytes of all texts.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Appends a text, made UTF-8 unless `is_utf8`.
    #[inline]
    pub fn push(&mut self, text: &[u8], is_utf8: bool) {
        match is_utf8 {
            true => self.0.extend_from_slice(text),
            false => self.0.extend_from_slice(String::from_utf8_lossy(text).as_bytes()),
        }
    }

    /// Appends the text that `write` appends, made UTF-8 unless it says that it is; nothing at all when it says nothing.
    /// Whether there is a text.
    #[inline]
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Option<bool>) -> bool {
        let at = self.0.len();
        let Some(is_utf8) = write(&mut self.0) else { return false };
        if !is_utf8 && simdutf8::basic::from_utf8(&self.0[at..]).is_err() {
            let repaired = String::from_utf8_lossy(&self.0[at..]).into_owned();
            self.0.truncate(at);
            self.0.extend_from_slice(repaired.as_bytes());
        }
        true
    }

    /// `ends` are those of the texts, with a zero before them.
    pub fn finish(self, ends: Vec<i32>, nulls: Option<NullBuffer>) -> StringArray {
        debug_assert!(ends.is_sorted() && ends.last() == Some(&(self.0.len() as i32)));
        // SAFETY: only UTF-8 is appended, and the ends are where texts ended.
        unsafe {
            let ends = OffsetBuffer::new_unchecked(ScalarBuffer::from(ends));
            StringArray::new_unchecked(ends, Buffer::from_vec(self.0), nulls)
        }
    }
}

/// Texts of one column, each once: log records repeat themselves, so that whoever reads the column looks at
/// most values once and not once a row.
#[derive(Debug)]
pub(super) struct Words {
    /// Number plus one of a text, where its ends say; zero where nothing is.
    places: Box<[u32; PLACES]>,
    /// The views of the texts, by number.
    views: Vec<u128>,
    bytes: Vec<u8>,
    /// The last number given.
    last: u32,
}

/// Places of a column: chunks that are batched together usually have at most half as many texts.
const PLACES: usize = 1 << 12;

/// Places looked at. Where that many others are, a text is taken for new, and is there twice: no input makes this
/// slow.
const TRIES: usize = 4;

impl Words {
    /// Room for so many texts of so many bytes.
    pub fn with_capacity(texts: usize, bytes: usize) -> Self {
        let (views, bytes) = (Vec::with_capacity(texts), Vec::with_capacity(bytes));
        Self { places: Box::new([0; PLACES]), views, bytes, last: 0 }
    }

    /// How many texts there are, and bytes of them.
    pub fn size(&self) -> (usize, usize) {
        (self.views.len(), self.bytes.len())
    }

    /// A copy of the text of that number; of one that was never given, nothing.
    pub fn text(&self, number: u32) -> Vec<u8> {
        let Some(view) = self.views.get(number as usize) else { return Vec::new() };
        let len = *view as u32 as usize;
        match len <= INLINE {
            true => view.to_le_bytes()[4..4 + len].to_vec(),
            false => {
                let at = (view >> 96) as usize;
                self.bytes[at..at + len].to_vec()
            }
        }
    }

    /// Keeps `text`, which is not looked for again; its number.
    #[inline]
    pub fn add(&mut self, text: &str) -> u32 {
        self.keep(text.as_bytes())
    }

    #[inline]
    fn keep(&mut self, text: &[u8]) -> u32 {
        self.views.push(make_view(text, 0, self.bytes.len() as u32));
        if text.len() > INLINE {
            self.bytes.extend_from_slice(text);
        }
        self.views.len() as u32 - 1
    }

    /// The number of `text`, a part of `chunk`, made UTF-8 unless the chunk `is_utf8`.
    #[inline(always)]
    pub fn of(&mut self, chunk: &[u8], text: &[u8], is_utf8: bool) -> u32 {
        self.last = match is_utf8 || simdutf8::basic::from_utf8(text).is_ok() {
            true => self.number(chunk, text),
            false => self.add(&String::from_utf8_lossy(text)),
        };
        self.last
    }

    /// The same, when it is mostly the one before.
    #[inline(always)]
    pub fn of_lingering(&mut self, chunk: &[u8], text: &[u8], is_utf8: bool) -> u32 {
        // What is kept is UTF-8, and so is what equals it.
        match self.is(self.last, head(chunk, text), text) {
            true => self.last,
            false => self.of(chunk, text, is_utf8),
        }
    }

    /// Whether that is the number of a text with that head.
    #[inline(always)]
    fn is(&self, number: u32, head: u128, text: &[u8]) -> bool {
        let Some(known) = self.views.get(number as usize) else { return false };
        if text.len() <= INLINE {
            return *known == head;
        }
        let at = (known >> 96) as usize;
        *known as u64 == head as u64
            && self.bytes.get(at..at + text.len()).is_some_and(|known| same(known, text))
    }

    #[inline(always)]
    fn number(&mut self, chunk: &[u8], text: &[u8]) -> u32 {
        let head = head(chunk, text);
        // Its length, its first bytes, and its last.
        let end = match text.last_chunk::<8>() {
            Some(last) if text.len() > INLINE => u64::from_le_bytes(*last).rotate_left(29),
            // All of it stands in its view.
            _ => (head >> 64) as u64,
        };
        let ends = head as u64 ^ end;
        let first = (ends.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - PLACES.ilog2())) as usize;
        for step in 0..TRIES {
            let place = (first + step) % PLACES;
            let Some(number) = self.places[place].checked_sub(1) else {
                self.places[place] = self.views.len() as u32 + 1;
                return self.keep(text);
            };
            if self.is(number, head, text) {
                return number;
            }
        }
        self.places[first] = self.views.len() as u32 + 1;
        self.keep(text)
    }

    /// The texts, by number.
    pub fn finish(self) -> StringViewArray {
        let buffers = vec![Buffer::from_vec(self.bytes)];
        // SAFETY: views are those of texts that were appended to the bytes, all UTF-8.
        unsafe { StringViewArray::new_unchecked(ScalarBuffer::from(self.views), buffers, None) }
    }
}

/// Whether two texts of one length, more than [`INLINE`], are equal. Most are short enough to be compared in two
/// overlapping steps, for which calling a comparison of any length would take longer.
#[inline(always)]
fn same(a: &[u8], b: &[u8]) -> bool {
    let eights = |text: &[u8]| {
        let (first, last) = (text.first_chunk::<8>()?, text.last_chunk::<8>()?);
        Some((u64::from_le_bytes(*first), u64::from_le_bytes(*last)))
    };
    let sixteens = |text: &[u8]| {
        let (first, last) = (text.first_chunk::<16>()?, text.last_chunk::<16>()?);
        Some((u128::from_le_bytes(*first), u128::from_le_bytes(*last)))
    };
    match a.len() {
        ..=16 => eights(a) == eights(b),
        17..=32 => sixteens(a) == sixteens(b),
        len => sixteens(a) == sixteens(b) && a[16..len - 16] == b[16..len - 16],
    }
}

/// The view of `text`, a part of `chunk`, when it stands in its view; the low half of it, length and first bytes,
/// when it is longer.
#[inline(always)]
fn head(chunk: &[u8], text: &[u8]) -> u128 {
    let at = text.as_ptr() as usize - chunk.as_ptr() as usize;
    debug_assert!(at + text.len() <= chunk.len());
    // What `make_view` gives, without a jump that depends on the length: sixteen bytes are taken, and those too
    // many masked away.
    let Some(bytes) = chunk.get(at..).and_then(|rest| rest.first_chunk::<16>()) else {
        return make_view(text, 0, 0);
    };
    let (bytes, len) = (u128::from_le_bytes(*bytes), text.len());
    let kept = KEPT[len.min(INLINE + 1)];
    len as u128 | (bytes & kept) << 32
}

/// By length of a text, what of its first bytes stands in its view; at the end, of one that is longer than that.
const KEPT: [u128; INLINE + 2] = {
    let mut kept = [0xffff_ffff; INLINE + 2];
    let mut len = 0;
    while len <= INLINE {
        kept[len] = (1 << (8 * len)) - 1;
        len += 1;
    }
    kept
};

#[cfg(test)]
mod tests {
    use arrow::array::Array;

    use super::*;

    /// The numbers of `texts`, which stand one after the other in a chunk, and how many are kept.
    fn numbers(texts: &[String]) -> (Vec<u32>, usize) {
        // Behind the last text stands more, as in a log line.
        let chunk = texts.concat() + "                ";
        let mut words = Words::with_capacity(0, 0);
        let mut at = 0;
        let number = |text: &String| {
            at += text.len();
            words.number(chunk.as_bytes(), &chunk.as_bytes()[at - text.len()..at])
        };
        let numbers: Vec<u32> = texts.iter().map(number).collect();
        let kept = words.finish();
        for (text, number) in texts.iter().zip(&numbers) {
            assert_eq!(kept.value(*number as usize), text);
        }
        (numbers, kept.len())
    }

    #[test]
    fn equal_texts_have_one_number() {
        let texts = ["", "a", "twelve bytes", "thirteen byte", "much longer than a view can hold", "a", ""];
        let texts: Vec<String> = texts.iter().cycle().take(70).map(|t| (*t).to_owned()).collect();
        let (numbers, views) = numbers(&texts);
        assert_eq!(numbers[..7], [0, 1, 2, 3, 4, 1, 0]);
        assert_eq!(numbers[63..], numbers[..7]);
        assert_eq!(views, 5);
    }

    #[test]
    fn texts_whose_ends_are_equal_stay_apart() {
        let texts: Vec<String> = (0..100).map(|n| format!("beginning {n:03} the end of it")).collect();
        let (numbers, views) = numbers(&texts);
        // All belong into the same few places: some are there twice, none is taken for another.
        assert_eq!(numbers, (0..100).collect::<Vec<_>>());
        assert_eq!(views, 100);
    }

    #[test]
    fn more_texts_than_places() {
        let texts: Vec<String> = (0..2 * PLACES).map(|n| format!("text number {n}")).collect();
        let (mut numbers, views) = numbers(&[&texts[..], &texts[..]].concat());
        let again = numbers.split_off(texts.len());
        assert_eq!(numbers, (0..texts.len() as u32).collect::<Vec<_>>());
        // What was pushed out has a number of its own the second time.
        assert!(
            again.iter().zip(0..).all(|(number, first)| *number == first || *number >= texts.len() as u32)
        );
        assert!(views > texts.len());
    }
}
