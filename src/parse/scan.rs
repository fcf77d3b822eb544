//! The one seam between the grammar and fast byte search.
//!
//! Everything here is a nom parser over `memchr`; swapping the search touches nothing else.

use super::error::{Expected, Fault, PResult};

/// The bytes up to the next `needle`, which is left; fails when there is none.
#[inline]
pub(super) fn until(needle: u8, expected: Expected) -> impl Fn(&[u8]) -> PResult<'_, &[u8]> {
    move |i| match memchr::memchr(needle, i) {
        Some(at) => Ok((&i[at..], &i[..at])),
        None => Err(nom::Err::Error(Fault { rest: i, expected })),
    }
}

/// Where the next blank is. Most fields are shorter than eight bytes, where looking at eight at once beats the
/// call of a search that is made for long texts.
#[inline(always)]
fn find_blank(i: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const BLANKS: u64 = u64::from_ne_bytes([b' '; 8]);
    let Some(head) = i.first_chunk::<8>() else { return i.iter().position(|b| *b == b' ') };
    // A byte that is zero after the exclusive or is a blank; the lowest one found so is exact.
    let word = u64::from_le_bytes(*head) ^ BLANKS;
    let zeros = word.wrapping_sub(ONES) & !word & (ONES << 7);
    if zeros != 0 {
        return Some((zeros.trailing_zeros() / 8) as usize);
    }
    memchr::memchr(b' ', &i[8..]).map(|at| at + 8)
}

/// A word: the bytes before the next blank, at least one, and the blank consumed.
#[inline]
pub(super) fn word(i: &[u8]) -> PResult<'_, &[u8]> {
    match find_blank(i) {
        Some(at) if at > 0 => Ok((&i[at + 1..], &i[..at])),
        _ => Err(nom::Err::Error(Fault { rest: i, expected: Expected::Word })),
    }
}

/// The last word of a line or one followed by a blank, which is left; at least one byte.
#[inline]
pub(super) fn last_word(i: &[u8]) -> PResult<'_, &[u8]> {
    let end = find_blank(i).unwrap_or(i.len());
    if end == 0 {
        return Err(nom::Err::Error(Fault { rest: i, expected: Expected::Word }));
    }
    Ok((&i[end..], &i[..end]))
}
