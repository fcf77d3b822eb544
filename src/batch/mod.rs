//! Records to Arrow batches.
//!
//! [`Batcher`] takes the records of one chunk and gives one [`DateBatch`] per event date. Text columns are views
//! over the chunk's own bytes; UTF-8 is checked once for the whole chunk and line by line only when that fails.
//! It does not read lines (`parse`) and does not know files.

mod rows;
pub mod schema;
mod text;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Int16Builder, Int64Builder, RecordBatch,
    TimestampMicrosecondBuilder,
};
use arrow::buffer::Buffer;

use crate::error::{Error, ErrorKind, Result};
use crate::lines::Line;
use crate::record::{Field, FieldType, Quirk, Record, value};
pub use rows::LineReader;
use text::{Side, TextColumn, view_in_chunk};

/// Number of text columns among the 27 fields.
const TEXT_FIELDS: usize = {
    let mut n = 0;
    let mut i = 0;
    while i < Field::COUNT {
        if matches!(Field::ALL[i].field_type(), FieldType::Text) {
            n += 1;
        }
        i += 1;
    }
    n
};

/// Rows of one event date.
#[derive(Debug, Clone)]
pub struct DateBatch {
    /// Days since the epoch, UTC; `None` for records without a time.
    pub event_date: Option<i32>,
    /// The rows, in the order of the lines, with the schema of [`schema::access_logs_schema`].
    pub batch: RecordBatch,
    /// Bytes of the lines of these rows.
    pub text_bytes: u64,
}

/// Where the lines that follow come from.
#[derive(Debug, Clone, Copy)]
pub struct Provenance {
    log_bucket: Option<u128>,
    log_key: u128,
    /// Offset in the log object of byte 0 of the chunk, modulo 2^64.
    base: u64,
}

/// Turns the records of one chunk into batches.
#[derive(Debug)]
pub struct Batcher {
    chunk: Buffer,
    chunk_is_utf8: bool,
    chunk_has_controls: bool,
    side: Side,
    quirk_names: HashMap<u32, u128>,
    dates: Vec<(Option<i32>, Columns)>,
    current: usize,
    capacity: usize,
}

impl Batcher {
    /// A batcher for the lines of `chunk`, which must be smaller than 2 GiB.
    pub fn new(chunk: Buffer) -> Result<Self> {
        if chunk.len() > i32::MAX as usize {
            return Err(Error::new(ErrorKind::Internal, "a chunk of 2 GiB or more"));
        }
        // A newline is the only control byte that plain chunks have.
        let chunk_has_controls = has_controls(&chunk);
        let chunk_is_utf8 = simdutf8::basic::from_utf8(&chunk).is_ok();
        let capacity = chunk.len() / 500 + 8;
        Ok(Self {
            chunk,
            chunk_is_utf8,
            chunk_has_controls,
            side: Side::default(),
            quirk_names: HashMap::new(),
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
            log_bucket: bucket.map(|b| self.side.store(b)),
            log_key: self.side.store(key),
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
            let side = &mut self.side;
            *self
                .quirk_names
                .entry(record.quirks.bits())
                .or_insert_with(|| side.store(&record.quirks.names()))
        });
        let logged = record.get(Field::Key);
        let decoded = logged.and_then(|logged| {
            let operation = record.get(Field::Operation).unwrap_or(b"");
            self.side.write(|out| value::decode_key_into(operation, logged, out))
        });
        let chunk: &[u8] = &self.chunk;
        let side = &mut self.side;
        let mut view = |text: &[u8]| {
            if utf8 { view_in_chunk(chunk, text) } else { side.store(&String::from_utf8_lossy(text)) }
        };
        let columns = &mut self.dates[self.current].1;
        let mut at = 0;
        for field in Field::ALL {
            if !matches!(field.field_type(), FieldType::Text) {
                continue;
            }
            if field != Field::Key {
                columns.text[at].push(record.get(field).map(&mut view));
            }
            at += 1;
        }
        columns.extra.push(record.extra.map(&mut view));
        let logged_view = logged.map(&mut view);
        columns.text[KEY_COLUMN].push(decoded.or(logged_view));
        columns.key_logged.push(decoded.and(logged_view));
        columns.quirks.push(quirks);
        columns.log_bucket.push(from.log_bucket);
        columns.log_key.push(Some(from.log_key));
        columns.push_plain(record, line, from.base);
    }

    #[cold]
    fn switch_to(&mut self, date: Option<i32>) {
        self.current = match self.dates.iter().position(|(d, _)| *d == date) {
            Some(at) => at,
            None => {
                // Only the first date is likely to fill the whole chunk.
                let capacity = if self.dates.is_empty() { self.capacity } else { 16 };
                self.dates.push((date, Columns::with_capacity(capacity)));
                self.dates.len() - 1
            }
        };
    }

    /// The batches, one per event date, in the order the dates were met.
    pub fn finish(self) -> Result<Vec<DateBatch>> {
        let side = self.side.finish();
        let chunk = self.chunk;
        self.dates.into_iter().map(|(date, columns)| columns.finish(date, &chunk, &side)).collect()
    }
}

/// Index of `key` among the text columns.
const KEY_COLUMN: usize = {
    let mut n = 0;
    let mut i = 0;
    while i < Field::Key as usize {
        if matches!(Field::ALL[i].field_type(), FieldType::Text) {
            n += 1;
        }
        i += 1;
    }
    n
};

/// Control bytes other than LF and tab.
fn has_controls(bytes: &[u8]) -> bool {
    let is_control = |b: u8| (b < 0x20 && b != b'\n' && b != b'\t') || b == 0x7f;
    // In blocks, so that the check is vectorised and still stops early.
    bytes.chunks(4096).any(|block| block.iter().fold(false, |seen, b| seen | is_control(*b)))
}

#[derive(Debug)]
struct Columns {
    text: [TextColumn; TEXT_FIELDS],
    key_logged: TextColumn,
    quirks: TextColumn,
    extra: TextColumn,
    log_bucket: TextColumn,
    log_key: TextColumn,
    time: TimestampMicrosecondBuilder,
    http_status: Int16Builder,
    numbers: [Int64Builder; 4],
    acl_required: BooleanBuilder,
    raw_line: BinaryBuilder,
    log_offset: Vec<i64>,
    record_bytes: Vec<i64>,
    text_bytes: u64,
}

impl Columns {
    fn with_capacity(rows: usize) -> Self {
        let text = || TextColumn::with_capacity(rows);
        Self {
            text: std::array::from_fn(|_| text()),
            key_logged: text(),
            quirks: text(),
            extra: text(),
            log_bucket: text(),
            log_key: text(),
            time: TimestampMicrosecondBuilder::with_capacity(rows).with_timezone("UTC"),
            http_status: Int16Builder::with_capacity(rows),
            numbers: std::array::from_fn(|_| Int64Builder::with_capacity(rows)),
            acl_required: BooleanBuilder::with_capacity(rows),
            raw_line: BinaryBuilder::with_capacity(rows, 0),
            log_offset: Vec::with_capacity(rows),
            record_bytes: Vec::with_capacity(rows),
            text_bytes: 0,
        }
    }

    /// Everything that is no text.
    #[inline]
    fn push_plain(&mut self, record: &Record<'_>, line: &Line<'_>, base: u64) {
        self.time.append_option(record.time.map(|t| t * 1_000_000));
        self.http_status.append_option(record.http_status);
        let numbers =
            [record.bytes_sent, record.object_size, record.total_time_ms, record.turn_around_time_ms];
        for (column, number) in self.numbers.iter_mut().zip(numbers) {
            column.append_option(number);
        }
        self.acl_required.append_option(record.acl_required());
        self.raw_line.append_option(record.quirks.is_lossy().then_some(line.text));
        self.log_offset.push(base.wrapping_add(line.offset as u64) as i64);
        let bytes = line.len_with_lf();
        self.record_bytes.push(bytes as i64);
        self.text_bytes += bytes as u64;
    }

    fn finish(mut self, event_date: Option<i32>, chunk: &Buffer, side: &Buffer) -> Result<DateBatch> {
        // SAFETY: views come from `view_in_chunk` on slices of a chunk (or of a line) that was checked to be
        // UTF-8, cut at ASCII bytes, and from `Side`, which holds UTF-8 only.
        let finish = |column: TextColumn| unsafe { column.finish(chunk, side) };
        let mut text = self.text.into_iter();
        let mut numbers = self.numbers.iter_mut();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(Field::COUNT + schema::EXTRA_COLUMNS.len());
        for field in Field::ALL {
            let column: Option<ArrayRef> = match field.field_type() {
                FieldType::Text => text.next().map(finish),
                FieldType::Timestamp => Some(Arc::new(self.time.finish())),
                FieldType::Int16 => Some(Arc::new(self.http_status.finish())),
                FieldType::Int64 => numbers.next().map(|n| Arc::new(n.finish()) as ArrayRef),
                FieldType::Bool => Some(Arc::new(self.acl_required.finish())),
            };
            columns.extend(column);
        }
        columns.push(finish(self.key_logged));
        columns.push(finish(self.quirks));
        columns.push(finish(self.extra));
        columns.push(Arc::new(self.raw_line.finish()));
        columns.push(finish(self.log_bucket));
        columns.push(finish(self.log_key));
        columns.push(Arc::new(arrow::array::Int64Array::from(self.log_offset)));
        columns.push(Arc::new(arrow::array::Int64Array::from(self.record_bytes)));
        let batch = RecordBatch::try_new(schema::access_logs_schema(), columns)
            .map_err(|e| Error::new(ErrorKind::Internal, "columns do not fit the schema").with_source(e))?;
        Ok(DateBatch { event_date, batch, text_bytes: self.text_bytes })
    }
}
