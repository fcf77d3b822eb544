//! The one seam between the grammar and fast byte search.
//!
//! Everything here is a nom parser over one search; swapping that touches nothing else.

use super::error::{Expected, Fault, PResult};

/// Fields up to this length, which most are, are searched here, where the search is a few instructions among those of the
/// grammar; the call of one that is made for long texts pays beyond.
const NEAR: usize = 128;

/// Bytes looked at at once.
const STEP: usize = 16;

/// Where `needle` is in `block`: bit n of the answer is byte n.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
#[inline(always)]
fn matches(needle: u8, block: &[u8; STEP]) -> u32 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};
    let bytes = u128::from_le_bytes(*block);
    // SAFETY: nothing is compiled here where SSE2 is missing.
    unsafe {
        let bytes = _mm_set_epi64x((bytes >> 64) as i64, bytes as i64);
        _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(needle as i8))) as u32
    }
}

#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
#[inline(always)]
fn matches(needle: u8, block: &[u8; STEP]) -> u32 {
    (0..).zip(block).fold(0, |bits, (at, byte)| bits | u32::from(*byte == needle) << at)
}

/// Where the next `needle` is.
#[inline(always)]
fn find(needle: u8, i: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(block) = i.get(at..).and_then(|rest| rest.first_chunk::<STEP>()) {
        let found = matches(needle, block);
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize);
        }
        at += STEP;
        if at >= NEAR {
            return memchr::memchr(needle, &i[at..]).map(|more| at + more);
        }
    }
    i[at..].iter().position(|byte| *byte == needle).map(|more| at + more)
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
