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

/// A word: the bytes before the next blank, at least one, and the blank consumed.
#[inline]
pub(super) fn word(i: &[u8]) -> PResult<'_, &[u8]> {
    match memchr::memchr(b' ', i) {
        Some(at) if at > 0 => Ok((&i[at + 1..], &i[..at])),
        _ => Err(nom::Err::Error(Fault { rest: i, expected: Expected::Word })),
    }
}

/// The last word of a line or one followed by a blank, which is left; at least one byte.
#[inline]
pub(super) fn last_word(i: &[u8]) -> PResult<'_, &[u8]> {
    let end = memchr::memchr(b' ', i).unwrap_or(i.len());
    if end == 0 {
        return Err(nom::Err::Error(Fault { rest: i, expected: Expected::Word }));
    }
    Ok((&i[end..], &i[..end]))
}
