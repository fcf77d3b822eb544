//! One byte among a few, found by the instructions that every processor of its kind has. Longer searches are a library's.

/// Bytes looked at at once.
pub(super) const STEP: usize = 16;

/// Where `needle` is in `block`: bit n of the answer is byte n.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
#[inline(always)]
pub(super) fn matches(needle: u8, block: &[u8; STEP]) -> u32 {
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
pub(super) fn matches(needle: u8, block: &[u8; STEP]) -> u32 {
    (0..).zip(block).fold(0, |bits, (at, byte)| bits | u32::from(*byte == needle) << at)
}

/// Where `needle` first is in a text that is short, or where it is near.
#[inline(always)]
pub(crate) fn find(needle: u8, text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<STEP>()) {
        let found = matches(needle, block);
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize);
        }
        at += STEP;
    }
    text[at..].iter().position(|byte| *byte == needle).map(|more| at + more)
}
