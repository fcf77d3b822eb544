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
    ) -> Option<Valid<'n>> {
        let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) else {
            self.extend(true, rows.len());
            return None;
        };
        let bits = nulls.inner();
        self.extend_bits(bits, rows.clone());
        Some(Valid { bits, rows })
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

/// Rows that have a value, among some.
pub(super) struct Valid<'n> {
    bits: &'n BooleanBuffer,
    rows: Range<usize>,
}

impl Valid<'_> {
    /// Their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        let Self { bits, rows } = self;
        let valid = BitIndexIterator::new(bits.values(), bits.offset() + rows.start, rows.len());
        valid.map(|at| rows.start + at)
    }

    /// Appends what `value` gives for each; it is asked for other rows of these too.
    #[inline]
    pub(super) fn extend<T: Copy + Default>(&self, out: &mut Vec<T>, value: impl Fn(usize) -> T) {
        const WORD: usize = u64::BITS as usize;
        let Self { bits, rows } = self;
        let mut end = out.len();
        out.resize(end + rows.len().next_multiple_of(WORD), T::default());
        let words = bits.slice(rows.start, rows.len());
        for (first, word) in rows.clone().step_by(WORD).zip(words.bit_chunks().iter_padded()) {
            let out = &mut out[end..end + WORD];
            let count = word.count_ones() as usize;
            if count == WORD {
                out.iter_mut().zip(first..).for_each(|(out, row)| *out = value(row));
            } else if count < WORD / 4 {
                let mut rest = word;
                for out in &mut out[..count] {
                    *out = value(first + rest.trailing_zeros() as usize);
                    rest &= rest - 1;
                }
            } else {
                // Each value is written, and stays when its row has one: no jump is taken wrongly.
                let mut place = 0;
                for row in first..rows.end.min(first + WORD) {
                    out[place % WORD] = value(row);
                    place += (word >> (row - first) & 1) as usize;
                }
            }
            end += count;
        }
        out.truncate(end);
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
    // Packed groups are of eight: a run begins where a group would.
    let (mut at, mut literal) = (0, 0);
    while let Some(window) = codes.get(at..).and_then(|rest| rest.first_chunk::<LEAST>()) {
        let code = window[0];
        let is_run = window[LEAST - 1] == code && window.iter().fold(true, |all, c| all & (*c == code));
        if !is_run {
            at += 8;
            continue;
        }
        pack_group(&codes[literal..at], width, out);
        let run = LEAST + codes[at + LEAST..].iter().take_while(|c| **c == code).count();
        varint((run as u64) << 1, out);
        out.extend_from_slice(&code.to_le_bytes()[..width.div_ceil(8) as usize]);
        at += run;
        literal = at;
    }
    pack_group(&codes[literal..], width, out);
}

/// Appends codes as one bit-packed run, filled up with zeros.
fn pack_group(codes: &[u32], width: u32, out: &mut Vec<u8>) {
    if codes.is_empty() {
        return;
    }
    varint((codes.len().div_ceil(8) as u64) << 1 | 1, out);
    pack(codes, width, out);
}

/// Appends numbers of `width` bits, at most 32, the lowest first, filled up with zeros to a multiple of eight numbers.
fn pack(numbers: &[u32], width: u32, out: &mut Vec<u8>) {
    if width > 16 {
        let count = numbers.len().next_multiple_of(8);
        return pack_wide(numbers.iter().map(|number| u64::from(*number)), count, width, out);
    }
    let (eights, rest) = numbers.as_chunks();
    let mut at = out.len();
    let end = at + numbers.len().div_ceil(8) * width as usize;
    // As many bytes are written at once as the widest would have; the next ones come over those too many.
    out.resize(end + 16, 0);
    let mut put = |eight: &[u32; 8]| {
        let pair = |at: usize| u64::from(eight[at]) | u64::from(eight[at + 1]) << width;
        let four = |at: usize| u128::from(pair(at) | pair(at + 2) << (2 * width));
        let all = four(0) | four(4) << (4 * width);
        out[at..at + 16].copy_from_slice(&all.to_le_bytes());
        at += width as usize;
    };
    eights.iter().for_each(&mut put);
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        put(&last);
    }
    out.truncate(end);
}

/// Appends `count` numbers of `width` bits, the lowest first; those that are missing are zeros.
fn pack_wide(values: impl Iterator<Item = u64>, count: usize, width: u32, out: &mut Vec<u8>) {
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
            if width > u32::BITS {
                pack_wide(mini.iter().map(over), MINI, width, out);
                continue;
            }
            let mut numbers = [0; MINI];
            for (number, delta) in numbers.iter_mut().zip(mini) {
                *number = over(delta) as u32;
            }
            pack(&numbers, width, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that need `width` bits and hardly repeat.
    fn numbers(count: usize, width: u32) -> Vec<u32> {
        let mask = ((1u64 << width) - 1) as u32;
        (0..count as u32).map(|n| (n.wrapping_mul(0x9e37_79b1) ^ n >> 3) & mask).collect()
    }

    fn read_varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (byte, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                break;
            }
        }
        value
    }

    /// The codes of a page, bit by bit, and how many runs of equal ones there are.
    fn read_codes(mut bytes: &[u8]) -> (Vec<u32>, usize) {
        let width = bytes[0] as usize;
        bytes = &bytes[1..];
        let (mut codes, mut runs) = (Vec::new(), 0);
        while !bytes.is_empty() {
            let head = read_varint(&mut bytes);
            let count = (head >> 1) as usize;
            let is_packed = head & 1 == 1;
            let len = if is_packed { count * width } else { width.div_ceil(8) };
            let (run, rest) = bytes.split_at(len);
            bytes = rest;
            let bit = |at: usize| u32::from(run[at / 8] >> (at % 8) & 1);
            let code = |n: usize| (0..width).fold(0, |code, at| code | bit(n * width + at) << at);
            match is_packed {
                true => codes.extend((0..count * 8).map(code)),
                false => codes.extend(std::iter::repeat_n(code(0), count)),
            }
            runs += usize::from(!is_packed);
        }
        (codes, runs)
    }

    #[test]
    fn codes_are_read_back() {
        for width in 1..=20 {
            let mixed = numbers(1_003, width);
            let run = |code, count| std::iter::repeat_n(code, count);
            let last = (1 << width) - 1;
            let cases = [
                (mixed.clone(), None),
                (mixed[..7].to_vec(), Some(0)),
                (run(last, 1_000).collect(), Some(1)),
                (run(last, 15).collect(), Some(0)),
                (mixed[..5].iter().copied().chain(run(last, 19)).chain(run(0, 40)).collect(), Some(2)),
                (run(0, 8).chain([last]).chain(run(0, 22)).collect(), Some(0)),
                (Vec::new(), Some(0)),
            ];
            for (codes, runs) in cases {
                let mut out = Vec::new();
                pack_codes(&codes, last as usize + 1, &mut out);
                let (read, runs_read) = read_codes(&out);
                assert_eq!(read[..codes.len()], codes, "width {width}");
                assert!(read.len() < codes.len() + 8 && read[codes.len()..].iter().all(|code| *code == 0));
                assert!(runs.is_none_or(|runs| runs == runs_read), "width {width}: {runs:?}, {runs_read}");
            }
        }
    }

    #[test]
    fn numbers_are_packed_alike_eight_at_a_time_and_one_by_one() {
        for width in 0..=32 {
            for count in [0, 1, 8, 9, 31, 32, 200] {
                let numbers = numbers(count, width);
                let (mut eights, mut ones) = (vec![7], vec![7]);
                pack(&numbers, width, &mut eights);
                let wide = numbers.iter().map(|number| u64::from(*number));
                pack_wide(wide, count.next_multiple_of(8), width, &mut ones);
                assert_eq!(eights, ones, "{count} of width {width}");
            }
        }
    }

    #[test]
    fn rows_with_a_value_are_taken_and_no_others() {
        type Has = fn(usize) -> bool;
        let patterns: [Has; 5] = [|_| true, |_| false, |n| n % 3 == 0, |n| n % 40 == 7, |n| n / 64 % 2 == 0];
        for has in patterns {
            let nulls = NullBuffer::from_iter((0..300).map(has)).slice(3, 290);
            for rows in [0..290, 0..64, 1..65, 5..5, 70..290, 289..290] {
                let mut bits = Bits::default();
                let mut taken = vec![usize::MAX];
                let wanted: Vec<usize> = rows.clone().filter(|row| nulls.is_valid(*row)).collect();
                match bits.extend_from(Some(&nulls), rows.clone()) {
                    None => assert_eq!(nulls.null_count(), 0),
                    Some(valid) => {
                        assert_eq!(valid.iter().collect::<Vec<_>>(), wanted);
                        valid.extend(&mut taken, |row| row);
                        assert_eq!(taken[1..], wanted);
                    }
                }
                assert_eq!((bits.len(), bits.ones()), (rows.len(), wanted.len()));
            }
        }
    }
}
