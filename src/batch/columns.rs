//! The columns of a group of rows while they grow, and what Arrow makes of them.
//!
//! Which values are there is kept by row, a bit for each column, and turned into columns at the end. It does not know
//! what a text is worth: its callers give numbers of words and bytes.

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
use crate::lines::Line;
use crate::record::{Field, FieldType, Record};

/// The bit beside those of columns that says whether an ACL was required.
const ACL_REQUIRED: usize = 63;

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

/// The columns of a group. Which values are there is kept by row, a bit for each column, and turned into
/// columns at the end: most columns have every value or none.
#[derive(Debug)]
pub(super) struct Columns {
    /// Numbers of words.
    pub(super) words: [Vec<u32>; WORD_COLUMNS],
    pub(super) texts: [Texts; PLAIN_COLUMNS],
    time: Vec<i64>,
    http_status: Vec<i16>,
    numbers: [Vec<i64>; 4],
    /// Row, and its line.
    raw_line: Vec<(usize, Box<[u8]>)>,
    log_offset: Vec<i64>,
    record_bytes: Vec<i64>,
    /// Bit n of a row: whether column n of the schema has a value; and [`ACL_REQUIRED`].
    present: Vec<u64>,
    text_bytes: u64,
}

impl Columns {
    pub(super) fn with_room(room: &Size) -> Self {
        let rows = room.rows;
        Self {
            words: std::array::from_fn(|_| Vec::with_capacity(rows)),
            texts: room.texts.map(|bytes| Texts::with_capacity(rows, bytes)),
            time: Vec::with_capacity(rows),
            http_status: Vec::with_capacity(rows),
            numbers: std::array::from_fn(|_| Vec::with_capacity(rows)),
            raw_line: Vec::new(),
            log_offset: Vec::with_capacity(rows),
            record_bytes: Vec::with_capacity(rows),
            present: Vec::with_capacity(rows),
            text_bytes: 0,
        }
    }

    pub(super) fn size(&self) -> Size {
        Size { rows: self.present.len(), texts: self.texts.each_ref().map(Texts::len) }
    }

    /// Everything that is no text; `present` has the bits of the text columns.
    #[inline]
    pub(super) fn push_plain(&mut self, record: &Record<'_>, line: &Line<'_>, base: u64, mut present: u64) {
        let mut has = |column: usize, is_there: bool| present |= u64::from(is_there) << column;
        has(Field::Time as usize, record.time.is_some());
        self.time.push(record.time.unwrap_or(0) * 1_000_000);
        has(Field::HttpStatus as usize, record.http_status.is_some());
        self.http_status.push(record.http_status.unwrap_or(0));
        let numbers = [
            (Field::BytesSent, record.bytes_sent),
            (Field::ObjectSize, record.object_size),
            (Field::TotalTimeMs, record.total_time_ms),
            (Field::TurnAroundTimeMs, record.turn_around_time_ms),
        ];
        for (column, (field, number)) in self.numbers.iter_mut().zip(numbers) {
            has(field as usize, number.is_some());
            column.push(number.unwrap_or(0));
        }
        let acl_required = record.acl_required();
        has(Field::AclRequired as usize, acl_required.is_some());
        has(ACL_REQUIRED, acl_required == Some(true));
        if record.quirks.is_lossy() {
            has(schema::RAW_LINE, true);
            self.raw_line.push((self.present.len(), line.text.into()));
        }
        self.log_offset.push(base.wrapping_add(line.offset as u64) as i64);
        let bytes = line.len_with_lf();
        self.record_bytes.push(bytes as i64);
        self.text_bytes += bytes as u64;
        self.present.push(present);
    }

    /// `words` are the values of the columns of words.
    pub(super) fn finish(mut self, event_date: Option<i32>, words: &[ArrayRef]) -> Result<DateBatch> {
        let schema = schema::batch_schema();
        let rows = self.present.len();
        let all = self.present.iter().fold(u64::MAX, |all, row| all & row);
        let bits = transpose(&self.present);
        let bits_of = |column: usize| {
            let words = bits.iter().map(|block| block[column]).collect::<Vec<_>>();
            BooleanBuffer::new(Buffer::from_vec(words), 0, rows)
        };
        let nulls = |column: usize| (all >> column & 1 == 0).then(|| NullBuffer::new(bits_of(column)));
        let mut numbers = self.numbers.into_iter();
        let integers = |values: Vec<i64>, nulls| Int64Array::new(ScalarBuffer::from(values), nulls);
        let mut texts = self.texts.into_iter();
        let mut finish_texts = |column: usize| -> Result<ArrayRef> {
            let texts =
                texts.next().ok_or_else(|| Error::new(ErrorKind::Internal, "too few columns of text"))?;
            Ok(Arc::new(texts.finish(nulls(column))))
        };
        let mut keys = self.words.into_iter().zip(words);
        let mut finish_words = |column: usize| -> Result<ArrayRef> {
            let (keys, values) =
                keys.next().ok_or_else(|| Error::new(ErrorKind::Internal, "too few columns of words"))?;
            let keys = UInt32Array::new(ScalarBuffer::from(keys), nulls(column));
            // SAFETY: `Words` gave the numbers, so each that is no null is below the number of its values.
            Ok(Arc::new(unsafe { DictionaryArray::new_unchecked(keys, Arc::clone(values)) }))
        };
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        for field in Field::ALL {
            let column = field as usize;
            columns.push(match field.field_type() {
                FieldType::Text if repeats(field) => finish_words(column)?,
                FieldType::Text => finish_texts(column)?,
                FieldType::Timestamp => {
                    let times = ScalarBuffer::from(std::mem::take(&mut self.time));
                    Arc::new(TimestampMicrosecondArray::new(times, nulls(column)).with_timezone("UTC"))
                }
                FieldType::Int16 => {
                    Arc::new(Int16Array::new(std::mem::take(&mut self.http_status).into(), nulls(column)))
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
        columns.push(Arc::new(integers(self.log_offset, None)));
        columns.push(Arc::new(integers(self.record_bytes, None)));
        let batch = RecordBatch::try_new(schema, columns)
            .map_err(|e| Error::new(ErrorKind::Internal, "columns do not fit the schema").with_source(e))?;
        Ok(DateBatch { event_date, batch, text_bytes: self.text_bytes })
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
