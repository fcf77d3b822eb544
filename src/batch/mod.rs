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
    ArrayBuilder, ArrayRef, BinaryBuilder, BooleanArray, Int16Array, Int64Array, RecordBatch,
    StringViewArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::DataType;

use crate::error::{Error, ErrorKind, Result};
use crate::lines::Line;
use crate::record::{Field, FieldType, Quirk, Record, value};
pub use rows::LineReader;
use text::{Recent, Side, view_in_chunk};

/// Number of text columns: those among the 27 fields, and five of our own.
const TEXT_COLUMNS: usize = {
    let mut n = 0;
    let mut i = 0;
    while i < Field::COUNT {
        if matches!(Field::ALL[i].field_type(), FieldType::Text) {
            n += 1;
        }
        i += 1;
    }
    n + 5
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
    /// By field.
    recent: Box<[Recent; Field::COUNT]>,
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
        let capacity = chunk.len() / 400 + 8;
        Ok(Self {
            chunk,
            chunk_is_utf8,
            chunk_has_controls,
            side: Side::default(),
            quirk_names: HashMap::new(),
            recent: Box::new(std::array::from_fn(|_| Recent::new())),
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
        let logged_view = logged.map(&mut view);
        let mut present = 0;
        let mut texts = columns.text.iter_mut();
        let mut push = |column: usize, view: Option<u128>| {
            if let Some(texts) = texts.next() {
                present |= u64::from(view.is_some()) << column;
                texts.push(view.unwrap_or(0));
            }
        };
        for field in Field::ALL {
            let text = record.get(field);
            match field {
                Field::Key => push(field as usize, decoded.or(logged_view)),
                Field::RequestId | Field::RequestUri | Field::VersionId | Field::HostId => {
                    push(field as usize, text.map(&mut view));
                }
                _ if field.field_type() != FieldType::Text => {}
                _ if utf8 => {
                    let recent = &mut self.recent[field as usize];
                    push(field as usize, text.map(|text| recent.view(chunk, text)));
                }
                _ => push(field as usize, text.map(&mut view)),
            }
        }
        push(schema::KEY_LOGGED, decoded.and(logged_view));
        push(schema::QUIRKS, quirks);
        push(schema::EXTRA, record.extra.map(&mut view));
        push(schema::LOG_BUCKET, from.log_bucket);
        push(schema::LOG_KEY, Some(from.log_key));
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
        let side = self.side.finish();
        let chunk = self.chunk;
        self.dates.into_iter().map(|(date, columns)| columns.finish(date, &chunk, &side)).collect()
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
    text: [Vec<u128>; TEXT_COLUMNS],
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
            text: std::array::from_fn(|_| Vec::with_capacity(rows)),
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

    fn finish(mut self, event_date: Option<i32>, chunk: &Buffer, side: &Buffer) -> Result<DateBatch> {
        let schema = schema::access_logs_schema();
        let rows = self.present.len();
        let all = self.present.iter().fold(u64::MAX, |all, row| all & row);
        let nulls = |column: usize| {
            (all >> column & 1 == 0).then(|| {
                NullBuffer::new(BooleanBuffer::collect_bool(rows, |row| self.present[row] >> column & 1 == 1))
            })
        };
        let mut text = self.text.into_iter();
        let mut numbers = self.numbers.into_iter();
        let integers = |values: Vec<i64>, nulls| Int64Array::new(ScalarBuffer::from(values), nulls);
        let mut finish_text = |column: usize| -> Result<ArrayRef> {
            let views = text.next().ok_or_else(|| Error::new(ErrorKind::Internal, "too few text columns"))?;
            let buffers = vec![chunk.clone(), side.clone()];
            // SAFETY: views come from `view_in_chunk` on slices of a chunk (or of a line) that was checked to be
            // UTF-8, cut at ASCII bytes, and from `Side`, which holds UTF-8 only; those of nulls are empty text.
            let array =
                unsafe { StringViewArray::new_unchecked(ScalarBuffer::from(views), buffers, nulls(column)) };
            Ok(Arc::new(array))
        };
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        for field in Field::ALL {
            let column = field as usize;
            columns.push(match field.field_type() {
                FieldType::Text => finish_text(column)?,
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
        columns.push(finish_text(schema::KEY_LOGGED)?);
        columns.push(finish_text(schema::QUIRKS)?);
        columns.push(finish_text(schema::EXTRA)?);
        columns.push(raw_lines(rows, &self.raw_line, chunk));
        columns.push(finish_text(schema::LOG_BUCKET)?);
        columns.push(finish_text(schema::LOG_KEY)?);
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
