//! The two ways Parquet packs small numbers: runs of equal ones (levels, dictionary codes), and differences to the
//! one before (times, offsets, lengths). The layouts are those of the Parquet format's page "Encodings". Knows
//! nothing of columns or pages.

use std::ops::Range;

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::util::bit_chunk_iterator::UnalignedBitChunk;
use arrow::util::bit_iterator::BitIndexIterator;

/// A list of bits, eight to a byte, the first the lowest.
#[derive(Debug)]
pub(super) struct Bits(BooleanBufferBuilder);

impl Default for Bits {
    fn default() -> Self {
        Self(BooleanBufferBuilder::new(0))
    }
}

impl Bits {
    pub(super) fn clear(&mut self) {
        self.0.truncate(0);
    }

    #[inline]
    pub(super) fn push(&mut self, bit: bool) {
        self.0.append(bit);
    }

    /// Appends `count` times `bit`.
    pub(super) fn extend(&mut self, bit: bool, count: usize) {
        self.0.append_n(count, bit);
    }

    /// Appends a part of `bits`.
    pub(super) fn extend_bits(&mut self, bits: &BooleanBuffer, rows: Range<usize>) {
        let from = bits.offset();
        self.0.append_packed_range(from + rows.start..from + rows.end, bits.values());
    }

    /// Appends which of `rows` have a value, and returns these; `None` when all have.
    pub(super) fn extend_from<'n>(
        &mut self,
        nulls: Option<&'n NullBuffer>,
        rows: Range<usize>,
    ) -> Option<impl Iterator<Item = usize> + use<'n>> {
        let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) else {
            self.extend(true, rows.len());
            return None;
        };
        self.extend_bits(nulls.inner(), rows.clone());
        let bits = nulls.inner();
        let valid = BitIndexIterator::new(bits.values(), bits.offset() + rows.start, rows.len());
        Some(valid.map(move |at| rows.start + at))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn ones(&self) -> usize {
        UnalignedBitChunk::new(self.0.as_slice(), 0, self.0.len()).count_ones()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// The bits as runs ("RLE", bit width 1).
    pub(super) fn pack_runs(&self, out: &mut Vec<u8>) {
        let (len, ones, bytes) = (self.len(), self.ones(), self.bytes());
        if ones == len || ones == 0 {
            varint((len as u64) << 1, out);
            out.push(u8::from(ones > 0));
            return;
        }
        // A run in between pays from some bytes on.
        const LEAST: usize = 4;
        let whole = len / 8;
        let run_at = |at: usize| {
            let byte = bytes[at];
            match byte {
                0 | 0xff => bytes[at..whole].iter().take_while(|b| **b == byte).count(),
                _ => 0,
            }
        };
        let mut at = 0;
        let mut literal = 0;
        let flush = |from: usize, to: usize, out: &mut Vec<u8>| {
            if to > from {
                varint(((to - from) as u64) << 1 | 1, out);
                out.extend_from_slice(&bytes[from..to]);
            }
        };
        while at < whole {
            let run = run_at(at);
            if run >= LEAST {
                flush(literal, at, out);
                varint((run as u64 * 8) << 1, out);
                out.push(bytes[at] & 1);
                at += run;
                literal = at;
            } else {
                at += run.max(1);
            }
        }
        flush(literal, bytes.len(), out);
    }
}

/// Appends a number, seven bits to a byte.
fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Appends codes below `distinct` as a dictionary-coded page has them: bit width, then runs and packed groups.
pub(super) fn pack_codes(codes: &[u32], distinct: usize, out: &mut Vec<u8>) {
    let width = usize::BITS - distinct.saturating_sub(1).leading_zeros();
    out.push(width as u8);
    if width == 0 {
        varint((codes.len() as u64) << 1, out);
        return;
    }
    /// Equal codes from which a run of their own pays.
    const LEAST: usize = 16;
    let (mut at, mut literal) = (0, 0);
    while at < codes.len() {
        let code = codes[at];
        let run = codes[at..].iter().take_while(|c| **c == code).count();
        // Packed groups are of eight: a run begins where a group would.
        let lead = (8 - (at - literal) % 8) % 8;
        if run >= LEAST + lead {
            at += lead;
            pack_group(&codes[literal..at], width, out);
            let run = run - lead;
            varint((run as u64) << 1, out);
            out.extend_from_slice(&code.to_le_bytes()[..width.div_ceil(8) as usize]);
            at += run;
            literal = at;
        } else {
            at += run;
        }
    }
    pack_group(&codes[literal..], width, out);
}

/// Appends codes as one bit-packed run, filled up with zeros.
fn pack_group(codes: &[u32], width: u32, out: &mut Vec<u8>) {
    if codes.is_empty() {
        return;
    }
    let groups = codes.len().div_ceil(8);
    varint((groups as u64) << 1 | 1, out);
    pack(codes.iter().map(|code| u64::from(*code)), groups * 8, width, out);
}

/// Appends `count` numbers of `width` bits, the lowest first; those that are missing are zeros.
fn pack(values: impl Iterator<Item = u64>, count: usize, width: u32, out: &mut Vec<u8>) {
    let end = out.len() + (count * width as usize).div_ceil(8);
    let (mut buffer, mut filled) = (0u128, 0);
    for value in values {
        buffer |= u128::from(value) << filled;
        filled += width;
        if filled >= 64 {
            out.extend_from_slice(&(buffer as u64).to_le_bytes());
            buffer >>= 64;
            filled -= 64;
        }
    }
    out.extend_from_slice(&(buffer as u64).to_le_bytes()[..filled.div_ceil(8) as usize]);
    out.resize(end, 0);
}

/// Appends integers as their differences ("DELTA_BINARY_PACKED").
pub(super) fn pack_deltas(values: &[i64], out: &mut Vec<u8>) {
    const BLOCK: usize = 128;
    const MINI: usize = 32;
    varint(BLOCK as u64, out);
    varint((BLOCK / MINI) as u64, out);
    varint(values.len() as u64, out);
    let Some((first, rest)) = values.split_first() else {
        varint(0, out);
        return;
    };
    varint(zigzag(*first), out);
    let mut last = *first;
    let mut deltas = [0i64; BLOCK];
    for block in rest.chunks(BLOCK) {
        let deltas = &mut deltas[..block.len()];
        for (delta, value) in deltas.iter_mut().zip(block) {
            *delta = value.wrapping_sub(last);
            last = *value;
        }
        let least = deltas.iter().copied().min().unwrap_or(0);
        varint(zigzag(least), out);
        let widths_at = out.len();
        out.extend_from_slice(&[0; BLOCK / MINI]);
        for (number, mini) in deltas.chunks(MINI).enumerate() {
            let over = |delta: &i64| delta.wrapping_sub(least) as u64;
            let width = 64 - mini.iter().map(over).fold(0, |all, v| all | v).leading_zeros();
            out[widths_at + number] = width as u8;
            pack(mini.iter().map(over), MINI, width, out);
        }
    }
}
