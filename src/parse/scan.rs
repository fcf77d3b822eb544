//! The one seam between the grammar and fast byte search.
//!
//! Everything here is a nom parser over one search; swapping that touches nothing else.

use super::error::{Expected, Fault, PResult};
use crate::record::bytes;

/// Fields up to this length, which most are, are searched here, where the search is a few instructions among those of the
/// grammar; the call of one that is made for long texts pays beyond.
const NEAR: usize = 128;

/// Where the next `needle` is.
#[inline(always)]
fn find(needle: u8, i: &[u8]) -> Option<usize> {
    let Some((near, far)) = i.split_at_checked(NEAR) else { return bytes::find(needle, i) };
    bytes::find(needle, near).or_else(|| memchr::memchr(needle, far).map(|more| NEAR + more))
}

/// That byte and no other.
#[inline(always)]
pub(super) fn byte(wanted: u8, expected: Expected) -> impl Fn(&[u8]) -> PResult<'_, ()> {
    move |i| match i.split_first() {
        Some((first, rest)) if *first == wanted => Ok((rest, ())),
        _ => Err(nom::Err::Error(Fault { rest: i, expected })),
    }
}

/// One blank.
#[inline(always)]
pub(super) fn blank(i: &[u8]) -> PResult<'_, ()> {
    byte(b' ', Expected::Blank)(i)
}

/// The bytes up to the next `needle`, which is left; fails when there is none.
#[inline]
pub(super) fn until(needle: u8, expected: Expected) -> impl Fn(&[u8]) -> PResult<'_, &[u8]> {
    move |i| match find(needle, i) {
        Some(at) => Ok((&i[at..], &i[..at])),
        None => Err(nom::Err::Error(Fault { rest: i, expected })),
    }
}

/// A word: the bytes before the next blank, at least one, and the blank consumed.
#[inline]
pub(super) fn word(i: &[u8]) -> PResult<'_, &[u8]> {
    match find(b' ', i) {
        Some(at) if at > 0 => Ok((&i[at + 1..], &i[..at])),
        _ => Err(nom::Err::Error(Fault { rest: i, expected: Expected::Word })),
    }
}

/// The last word of a line or one followed by a blank, which is left; at least one byte.
#[inline]
pub(super) fn last_word(i: &[u8]) -> PResult<'_, &[u8]> {
    let end = find(b' ', i).unwrap_or(i.len());
    if end == 0 {
        return Err(nom::Err::Error(Fault { rest: i, expected: Expected::Word }));
    }
    Ok((&i[end..], &i[..end]))
}
