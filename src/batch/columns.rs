//! The columns of a group of rows while they grow, and what Arrow makes of them.
//!
//! Which values are there is kept by row too, a bit for each column. It does not know what a text is worth: its callers
//! give numbers of words and bytes.

use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BinaryBuilder, BooleanArray, DictionaryArray, Int16Array, Int64Array,
    RecordBatch, TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::DataType;

use super::schema::{self, repeats};
use super::text::Texts;
use super::{DateBatch, PLAIN_COLUMNS, WORD_COLUMNS};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Field, FieldType};

/// The bit beside those of columns that says whether an ACL was required.
pub(super) const ACL_REQUIRED: usize = 63;

/// Rows of a group, and bytes of each of its plain text columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) rows: usize,
    pub(super) texts: [usize; PLAIN_COLUMNS],
}

impl Size {
    /// A little more of everything.
    pub(super) fn and_an_eighth(self) -> Size {
        let more = |size: usize| size + size / 8;
        Size { rows: more(self.rows), texts: self.texts.map(more) }
    }
}

/// Values of a row that take little room.
#[derive(Debug)]
pub(super) struct Row {
    /// Numbers of words, zero where there is none.
    pub(super) words: [u32; WORD_COLUMNS],
    /// Where its texts end.
    pub(super) ends: [i32; PLAIN_COLUMNS],
    pub(super) http_status: i16,
    /// Microseconds since the epoch.
    pub(super) time: i64,
    pub(super) numbers: [i64; NUMBERS.len()],
    pub(super) log_offset: i64,
    pub(super) record_bytes: i64,
    /// Bit n: whether column n of the schema has a value; and [`ACL_REQUIRED`].
    pub(super) present: u64,
}

/// The fields of a row's numbers.
pub(super) const NUMBERS: [Field; 4] =
    [Field::BytesSent, Field::ObjectSize, Field::TotalTimeMs, Field::TurnAroundTimeMs];

/// The columns of a group while they grow. A row is written at one place first, and goes to its columns with those
/// beside it.
#[derive(Debug)]
pub(super) struct Columns {
    /// The last rows, at most [`BLOCK`].
    rows: Vec<Row>,
    /// What came before.
    values: Values,
    pub(super) texts: [Texts; PLAIN_COLUMNS],
    /// Number of a row, and its line.
    raw_line: Vec<(usize, Box<[u8]>)>,
    /// Bytes of the lines.
    text_bytes: u64,
}

/// Rows that stay in the nearest cache until they are in their columns.
const BLOCK: usize = 64;

impl Columns {
    pub(super) fn with_room(room: &Size) -> Self {
        Self {
            rows: Vec::with_capacity(BLOCK),
            values: Values::with_room(room.rows),
            texts: room.texts.map(Texts::with_capacity),
            raw_line: Vec::new(),
            text_bytes: 0,
        }
    }

    pub(super) fn size(&self) -> Size {
        let rows = self.values.present.len() + self.rows.len();
        Size { rows, texts: self.texts.each_ref().map(Texts::len) }
    }

    /// Appends a row whose texts were appended; `raw_line` is its line where that is to be kept.
    #[inline]
    pub(super) fn push(&mut self, row: Row, raw_line: Option<&[u8]>) {
        self.text_bytes += row.record_bytes as u64;
        if let Some(line) = raw_line {
            self.raw_line.push((self.values.present.len() + self.rows.len(), line.into()));
        }
        self.rows.push(row);
        if self.rows.len() == BLOCK {
            self.values.extend(&self.rows);
            self.rows.clear();
        }
    }

    /// `words` are the values of the columns of words.
    pub(super) fn finish(mut self, event_date: Option<i32>, words: &[ArrayRef]) -> Result<DateBatch> {
        self.values.extend(&self.rows);
        let schema = schema::batch_schema();
        let Values {
            words: keys,
            ends,
            mut http_status,
            mut time,
            numbers,
            log_offset,
            record_bytes,
            present,
        } = self.values;
        let rows = present.len();
        let all = present.iter().fold(u64::MAX, |all, row| all & row);
        let bits = transpose(&present);
        let bits_of = |column: usize| {
            let words = bits.iter().map(|block| block[column]).collect::<Vec<_>>();
            BooleanBuffer::new(Buffer::from_vec(words), 0, rows)
        };
        let nulls = |column: usize| (all >> column & 1 == 0).then(|| NullBuffer::new(bits_of(column)));
        let integers = |values: Vec<i64>, nulls| Int64Array::new(ScalarBuffer::from(values), nulls);
        let mut texts = self.texts.into_iter().zip(ends);
        let mut finish_texts = |column: usize| -> Result<ArrayRef> {
            let (texts, ends) =
                texts.next().ok_or_else(|| Error::new(ErrorKind::Internal, "too few columns of text"))?;
            Ok(Arc::new(texts.finish(ends, nulls(column))))
        };
        let mut keys = keys.into_iter().zip(words);
        let mut finish_words = |column: usize| -> Result<ArrayRef> {
            let (keys, values) =
                keys.next().ok_or_else(|| Error::new(ErrorKind::Internal, "too few columns of words"))?;
            let keys = UInt32Array::new(ScalarBuffer::from(keys), nulls(column));
            // SAFETY: `Words` gave the numbers, so each that is no null is below the number of its values.
            Ok(Arc::new(unsafe { DictionaryArray::new_unchecked(keys, Arc::clone(values)) }))
        };
        let mut numbers = numbers.into_iter();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        for field in Field::ALL {
            let column = field as usize;
            columns.push(match field.field_type() {
                FieldType::Text if repeats(field) => finish_words(column)?,
                FieldType::Text => finish_texts(column)?,
                FieldType::Timestamp => {
                    let times = ScalarBuffer::from(std::mem::take(&mut time));
                    Arc::new(TimestampMicrosecondArray::new(times, nulls(column)).with_timezone("UTC"))
                }
                FieldType::Int16 => {
                    Arc::new(Int16Array::new(std::mem::take(&mut http_status).into(), nulls(column)))
                }
                FieldType::Int64 => Arc::new(integers(numbers.next().unwrap_or_default(), nulls(column))),
                FieldType::Bool => Arc::new(BooleanArray::new(bits_of(ACL_REQUIRED), nulls(column))),
            });
        }
        columns.push(finish_texts(schema::KEY_LOGGED)?);
        columns.push(finish_words(schema::QUIRKS)?);
        columns.push(finish_texts(schema::EXTRA)?);
        columns.push(raw_lines(rows, &self.raw_line));
        columns.push(finish_words(schema::LOG_BUCKET)?);
        columns.push(finish_words(schema::LOG_KEY)?);
        columns.push(Arc::new(integers(log_offset, None)));
        columns.push(Arc::new(integers(record_bytes, None)));
        let batch = RecordBatch::try_new(schema, columns)
            .map_err(|e| Error::new(ErrorKind::Internal, "columns do not fit the schema").with_source(e))?;
        Ok(DateBatch { event_date, batch, text_bytes: self.text_bytes })
    }
}

/// The values of rows, column by column.
#[derive(Debug)]
struct Values {
    words: [Vec<u32>; WORD_COLUMNS],
    /// A zero before them.
    ends: [Vec<i32>; PLAIN_COLUMNS],
    http_status: Vec<i16>,
    time: Vec<i64>,
    numbers: [Vec<i64>; NUMBERS.len()],
    log_offset: Vec<i64>,
    record_bytes: Vec<i64>,
    present: Vec<u64>,
}

impl Values {
    fn with_room(rows: usize) -> Self {
        let ends = || {
            let mut ends = Vec::with_capacity(rows + 1);
            ends.push(0);
            ends
        };
        Self {
            words: std::array::from_fn(|_| Vec::with_capacity(rows)),
            ends: std::array::from_fn(|_| ends()),
            http_status: Vec::with_capacity(rows),
            time: Vec::with_capacity(rows),
            numbers: std::array::from_fn(|_| Vec::with_capacity(rows)),
            log_offset: Vec::with_capacity(rows),
            record_bytes: Vec::with_capacity(rows),
            present: Vec::with_capacity(rows),
        }
    }

    fn extend(&mut self, rows: &[Row]) {
        for (at, column) in self.words.iter_mut().enumerate() {
            column.extend(rows.iter().map(|row| row.words[at]));
        }
        for (at, column) in self.ends.iter_mut().enumerate() {
            column.extend(rows.iter().map(|row| row.ends[at]));
        }
        for (at, column) in self.numbers.iter_mut().enumerate() {
            column.extend(rows.iter().map(|row| row.numbers[at]));
        }
        self.http_status.extend(rows.iter().map(|row| row.http_status));
        self.time.extend(rows.iter().map(|row| row.time));
        self.log_offset.extend(rows.iter().map(|row| row.log_offset));
        self.record_bytes.extend(rows.iter().map(|row| row.record_bytes));
        self.present.extend(rows.iter().map(|row| row.present));
    }
}

/// Of each 64 rows, the bits of a column as one word, by column: bit n of a word is that of row n. Rows that are missing
/// in the last block are zeros.
fn transpose(rows: &[u64]) -> Vec<[u64; 64]> {
    let transposed = |rows: &[u64]| {
        let mut block = [0; 64];
        block[..rows.len()].copy_from_slice(rows);
        // Halves of the block change places, then halves of these, down to single bits.
        let (mut half, mut low) = (32, u64::MAX >> 32);
        while half > 0 {
            for row in (0..64).filter(|row| row & half == 0) {
                let changed = (block[row] >> half ^ block[row | half]) & low;
                block[row] ^= changed << half;
                block[row | half] ^= changed;
            }
            half /= 2;
            low ^= low << half;
        }
        block
    };
    rows.chunks(64).map(transposed).collect()
}

/// The column `raw_line`; `lines` are in order of their rows.
fn raw_lines(rows: usize, lines: &[(usize, Box<[u8]>)]) -> ArrayRef {
    if lines.is_empty() {
        return new_null_array(&DataType::Binary, rows);
    }
    let mut column = BinaryBuilder::with_capacity(rows, lines.iter().map(|(_, line)| line.len()).sum());
    for (row, line) in lines {
        column.append_nulls(row - column.len());
        column.append_value(line);
    }
    column.append_nulls(rows - column.len());
    Arc::new(column.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_rows_become_bits_of_columns() {
        for rows in [0, 1, 63, 64, 65, 200] {
            let bit = |row: usize, column: usize| (row * 31 + column * 17 + row * column) % 5 < 2;
            let row =
                |row: usize| (0..64).fold(0, |bits, column| bits | u64::from(bit(row, column)) << column);
            let blocks = transpose(&(0..rows).map(row).collect::<Vec<_>>());
            assert_eq!(blocks.len(), rows.div_ceil(64));
            for (at, column) in (0..blocks.len() * 64).flat_map(|at| (0..64).map(move |column| (at, column)))
            {
                let found = blocks[at / 64][column] >> (at % 64) & 1 == 1;
                assert_eq!(found, at < rows && bit(at, column), "row {at} of {rows}, column {column}");
            }
        }
    }
}
