//! Records to Arrow batches.
//!
//! [`Batcher`] takes the records of one chunk and gives one [`DateBatch`] per event date. Text columns are dictionaries
//! where texts repeat and plain where they do not; UTF-8 is checked once for the whole chunk and line by line only when
//! that fails.
//! It does not read lines (`parse`) and does not know files.

mod rows;
pub mod schema;
mod text;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BinaryBuilder, BooleanArray, DictionaryArray, Int16Array, Int64Array,
    RecordBatch, TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::DataType;

use crate::error::{Error, ErrorKind, Result};
use crate::lines::Line;
use crate::record::{Field, FieldType, Quirk, Record, value};
pub use rows::LineReader;
use schema::repeats;
use text::{Texts, Words};

/// How many fields are text that repeats, and how many text that does not.
const fn count_text(is_repeating: bool) -> usize {
    let mut n = 0;
    let mut i = 0;
    while i < Field::COUNT {
        let field = Field::ALL[i];
        n += (matches!(field.field_type(), FieldType::Text) && repeats(field) == is_repeating) as usize;
        i += 1;
    }
    n
}

/// Columns of repeating text: those of fields, then quirks, log bucket and log key.
const WORD_COLUMNS: usize = count_text(true) + 3;
const QUIRK_WORDS: usize = WORD_COLUMNS - 3;
const LOG_BUCKET_WORDS: usize = WORD_COLUMNS - 2;
const LOG_KEY_WORDS: usize = WORD_COLUMNS - 1;

/// Columns of other text: those of fields, then the logged key and unknown fields.
const PLAIN_COLUMNS: usize = count_text(false) + 2;
const KEY_LOGGED_TEXTS: usize = PLAIN_COLUMNS - 2;
const EXTRA_TEXTS: usize = PLAIN_COLUMNS - 1;

/// Rows of one event date.
#[derive(Debug, Clone)]
pub struct DateBatch {
    /// Days since the epoch, UTC; `None` for records without a time.
    pub event_date: Option<i32>,
    /// The rows, in the order of the lines, with the schema of [`schema::batch_schema`].
    pub batch: RecordBatch,
    /// Bytes of the lines of these rows.
    pub text_bytes: u64,
}

/// Where the lines that follow come from.
#[derive(Debug, Clone, Copy)]
pub struct Provenance {
    /// Numbers of their words.
    log_bucket: Option<u32>,
    log_key: u32,
    /// Offset in the log object of byte 0 of the chunk, modulo 2^64.
    base: u64,
}

/// Turns the records of one chunk into batches.
#[derive(Debug)]
pub struct Batcher<'c> {
    chunk: &'c [u8],
    chunk_is_utf8: bool,
    chunk_has_controls: bool,
    /// Numbers of their words.
    quirk_names: HashMap<u32, u32>,
    words: Box<[Words; WORD_COLUMNS]>,
    dates: Vec<(Option<i32>, Columns)>,
    current: usize,
    capacity: usize,
}

impl<'c> Batcher<'c> {
    /// A batcher for the lines of `chunk`, which must be smaller than 512 MiB.
    pub fn new(chunk: &'c [u8]) -> Result<Self> {
        // Bytes that are not UTF-8 become up to three times as many, and columns end below 2 GiB.
        if chunk.len() > i32::MAX as usize / 4 {
            return Err(Error::new(ErrorKind::Internal, "a chunk of 512 MiB or more"));
        }
        // A newline is the only control byte that plain chunks have.
        let chunk_has_controls = has_controls(chunk);
        let chunk_is_utf8 = simdutf8::basic::from_utf8(chunk).is_ok();
        let capacity = chunk.len() / 400 + 8;
        Ok(Self {
            chunk,
            chunk_is_utf8,
            chunk_has_controls,
            quirk_names: HashMap::new(),
            words: Box::new(std::array::from_fn(|_| Words::new())),
            dates: Vec::new(),
            current: 0,
            capacity,
        })
    }

    /// Declares the log object of the lines pushed next. `chunk_at` is where its bytes begin in the chunk,
    /// `offset` where those bytes begin in the decompressed object.
    pub fn provenance(
        &mut self,
        bucket: Option<&str>,
        key: &str,
        chunk_at: usize,
        offset: u64,
    ) -> Provenance {
        Provenance {
            log_bucket: bucket.map(|b| self.words[LOG_BUCKET_WORDS].add(b)),
            log_key: self.words[LOG_KEY_WORDS].add(key),
            base: offset.wrapping_sub(chunk_at as u64),
        }
    }

    /// Appends the record of `line`. `line.offset` counts from the start of the chunk, and the record's slices
    /// must be slices of the chunk. Quirks found here (bytes that are not UTF-8, control bytes) are added to it.
    #[inline]
    pub fn push(&mut self, record: &mut Record<'_>, line: &Line<'_>, from: &Provenance) {
        let utf8 = self.chunk_is_utf8 || simdutf8::basic::from_utf8(line.text).is_ok();
        if !utf8 {
            record.quirks.insert(Quirk::NotUtf8);
        }
        if self.chunk_has_controls && has_controls(line.text.strip_suffix(b"\r").unwrap_or(line.text)) {
            record.quirks.insert(Quirk::ControlBytes);
        }
        if !line.has_lf {
            record.quirks.insert(Quirk::NoFinalLf);
        }
        let date = record.time.map(|t| t.div_euclid(86_400) as i32);
        if self.dates.get(self.current).is_none_or(|(d, _)| *d != date) {
            self.switch_to(date);
        }
        let quirks = (!record.quirks.is_empty()).then(|| {
            let words = &mut self.words[QUIRK_WORDS];
            *self.quirk_names.entry(record.quirks.bits()).or_insert_with(|| words.add(&record.quirks.names()))
        });
        let columns = &mut self.dates[self.current].1;
        let mut present = 0;
        let mut is_decoded = false;
        let (mut words, mut texts) = (0, 0);
        for field in Field::ALL.into_iter().filter(|field| field.field_type() == FieldType::Text) {
            let text = record.get(field);
            present |= u64::from(text.is_some()) << field as usize;
            if repeats(field) {
                let number = text.map(|text| match utf8 {
                    true => self.words[words].number(self.chunk, text),
                    false => self.words[words].add(&String::from_utf8_lossy(text)),
                });
                columns.words[words].push(number.unwrap_or(0));
                words += 1;
                continue;
            }
            let column = &mut columns.texts[texts];
            texts += 1;
            let Some(text) = text else {
                column.push_null();
                continue;
            };
            if field == Field::Key {
                let operation = record.get(Field::Operation).unwrap_or(b"");
                is_decoded = column.push_with(|out| value::decode_key_into(operation, text, out));
                if is_decoded {
                    columns.texts[KEY_LOGGED_TEXTS].push(text, utf8);
                    continue;
                }
            }
            column.push(text, utf8);
        }
        if !is_decoded {
            columns.texts[KEY_LOGGED_TEXTS].push_null();
        }
        match record.extra {
            Some(extra) => columns.texts[EXTRA_TEXTS].push(extra, utf8),
            None => columns.texts[EXTRA_TEXTS].push_null(),
        }
        columns.words[QUIRK_WORDS].push(quirks.unwrap_or(0));
        columns.words[LOG_BUCKET_WORDS].push(from.log_bucket.unwrap_or(0));
        columns.words[LOG_KEY_WORDS].push(from.log_key);
        for (column, is_there) in [
            (schema::KEY_LOGGED, is_decoded),
            (schema::QUIRKS, quirks.is_some()),
            (schema::EXTRA, record.extra.is_some()),
            (schema::LOG_BUCKET, from.log_bucket.is_some()),
            (schema::LOG_KEY, true),
        ] {
            present |= u64::from(is_there) << column;
        }
        columns.push_plain(record, line, from.base, present);
    }

    #[cold]
    fn switch_to(&mut self, date: Option<i32>) {
        self.current = match self.dates.iter().position(|(d, _)| *d == date) {
            Some(at) => at,
            None => {
                // Only the first date is likely to fill the whole chunk.
                let capacity = if self.dates.is_empty() { self.capacity } else { 4 };
                self.dates.push((date, Columns::with_capacity(capacity)));
                self.dates.len() - 1
            }
        };
    }

    /// The batches, one per event date, in the order the dates were met.
    pub fn finish(self) -> Result<Vec<DateBatch>> {
        let words: Vec<ArrayRef> =
            self.words.into_iter().map(|words| Arc::new(words.finish()) as ArrayRef).collect();
        self.dates.into_iter().map(|(date, columns)| columns.finish(date, self.chunk, &words)).collect()
    }
}

/// Control bytes other than LF and tab.
fn has_controls(bytes: &[u8]) -> bool {
    let is_control = |b: u8| (b < 0x20 && b != b'\n' && b != b'\t') || b == 0x7f;
    // In blocks, so that the check is vectorised and still stops early.
    bytes.chunks(4096).any(|block| block.iter().fold(false, |seen, b| seen | is_control(*b)))
}

/// The columns of one event date. Which values are there is kept by row, a bit for each column, and turned into
/// columns at the end: most columns have every value or none.
#[derive(Debug)]
struct Columns {
    /// Numbers of words.
    words: [Vec<u32>; WORD_COLUMNS],
    texts: [Texts; PLAIN_COLUMNS],
    time: Vec<i64>,
    http_status: Vec<i16>,
    numbers: [Vec<i64>; 4],
    acl_required: Vec<bool>,
    /// Row, and where its line is in the chunk.
    raw_line: Vec<(usize, std::ops::Range<usize>)>,
    log_offset: Vec<i64>,
    record_bytes: Vec<i64>,
    /// Bit n of a row: whether column n of the schema has a value.
    present: Vec<u64>,
    text_bytes: u64,
}

impl Columns {
    fn with_capacity(rows: usize) -> Self {
        Self {
            words: std::array::from_fn(|_| Vec::with_capacity(rows)),
            texts: std::array::from_fn(|_| Texts::with_capacity(rows)),
            time: Vec::with_capacity(rows),
            http_status: Vec::with_capacity(rows),
            numbers: std::array::from_fn(|_| Vec::with_capacity(rows)),
            acl_required: Vec::with_capacity(rows),
            raw_line: Vec::new(),
            log_offset: Vec::with_capacity(rows),
            record_bytes: Vec::with_capacity(rows),
            present: Vec::with_capacity(rows),
            text_bytes: 0,
        }
    }

    /// Everything that is no text; `present` has the bits of the text columns.
    #[inline]
    fn push_plain(&mut self, record: &Record<'_>, line: &Line<'_>, base: u64, mut present: u64) {
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
        self.acl_required.push(acl_required.unwrap_or(false));
        if record.quirks.is_lossy() {
            has(schema::RAW_LINE, true);
            self.raw_line.push((self.present.len(), line.offset..line.offset + line.text.len()));
        }
        self.log_offset.push(base.wrapping_add(line.offset as u64) as i64);
        let bytes = line.len_with_lf();
        self.record_bytes.push(bytes as i64);
        self.text_bytes += bytes as u64;
        self.present.push(present);
    }

    /// `words` are the values of the columns of words.
    fn finish(mut self, event_date: Option<i32>, chunk: &[u8], words: &[ArrayRef]) -> Result<DateBatch> {
        let schema = schema::batch_schema();
        let rows = self.present.len();
        let all = self.present.iter().fold(u64::MAX, |all, row| all & row);
        let nulls = |column: usize| {
            (all >> column & 1 == 0).then(|| {
                NullBuffer::new(BooleanBuffer::collect_bool(rows, |row| self.present[row] >> column & 1 == 1))
            })
        };
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
                FieldType::Bool => {
                    let values = BooleanBuffer::collect_bool(rows, |row| self.acl_required[row]);
                    Arc::new(BooleanArray::new(values, nulls(column)))
                }
            });
        }
        columns.push(finish_texts(schema::KEY_LOGGED)?);
        columns.push(finish_words(schema::QUIRKS)?);
        columns.push(finish_texts(schema::EXTRA)?);
        columns.push(raw_lines(rows, &self.raw_line, chunk));
        columns.push(finish_words(schema::LOG_BUCKET)?);
        columns.push(finish_words(schema::LOG_KEY)?);
        columns.push(Arc::new(integers(self.log_offset, None)));
        columns.push(Arc::new(integers(self.record_bytes, None)));
        let batch = RecordBatch::try_new(schema, columns)
            .map_err(|e| Error::new(ErrorKind::Internal, "columns do not fit the schema").with_source(e))?;
        Ok(DateBatch { event_date, batch, text_bytes: self.text_bytes })
    }
}

/// The column `raw_line`; `lines` are in order of their rows.
fn raw_lines(rows: usize, lines: &[(usize, std::ops::Range<usize>)], chunk: &[u8]) -> ArrayRef {
    if lines.is_empty() {
        return new_null_array(&DataType::Binary, rows);
    }
    let mut column = BinaryBuilder::with_capacity(rows, lines.iter().map(|(_, line)| line.len()).sum());
    for (row, line) in lines {
        column.append_nulls(row - column.len());
        column.append_value(&chunk[line.clone()]);
    }
    column.append_nulls(rows - column.len());
    Arc::new(column.finish())
}
