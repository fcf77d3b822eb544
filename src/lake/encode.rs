//! Batches to Parquet files: sorted, with statistics, durable under a unique name.
//!
//! A file written here is not yet part of the lake; `commit` makes it visible. What a column is encoded with is
//! decided here and nowhere else. It does not know log lines.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch};
use arrow::datatypes::{DataType, Int16Type, Int64Type, TimeUnit, TimestampMicrosecondType, UInt32Type};
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{Compression, LogicalType, ZstdLevel};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnDescPtr;
use serde_json::{Map, Value, json};
use twox_hash::XxHash3_128;

use super::column::{ColumnEncoder, Layout, Scratch, WordList, ZSTD_LEVEL};
use super::runs::{self, Run};
use super::{PartFile, Table};
use crate::error::{Error, ErrorKind, Result, io_hint, io_kind};

/// Rows of a row group. Small enough that a point lookup reads little, large enough that dictionaries pay.
const ROW_GROUP_ROWS: usize = 1 << 16;

/// Rows that a column is given at a time, at most: it may end a page behind them.
const RUN_ROWS: usize = 1 << 10;

/// Folder name of the partition of records without a time, as Hive and Delta write it.
const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// Columns whose values hardly repeat: a dictionary would only cost.
const PLAIN: [&str; 3] = ["request_id", "host_id", "raw_line"];

/// The same, of texts whose parts recur, and their lengths with them: these then cost little where both in turn are
/// compressed.
const INTERLEAVED: [&str; 3] = ["key", "key_logged", "request_uri"];

/// Columns whose values are close to the ones before, once sorted.
const DELTAS: [&str; 2] = ["time", "log_offset"];

/// Columns of `access_logs` on which files and row groups are skipped. Bounds of values that are spread evenly over
/// every file (request ids, addresses, keys, operations) would skip nothing and cost a comparison each.
const WITH_STATISTICS: [&str; 8] = [
    "bucket",
    "time",
    "http_status",
    "bytes_sent",
    "object_size",
    "total_time_ms",
    "turn_around_time_ms",
    "log_offset",
];

/// Columns whose row groups are skipped when a value that is looked for is not in them.
const WITH_FILTER: [&str; 6] = ["request_id", "key", "requester", "remote_ip", "operation", "error_code"];

fn plain_properties() -> WriterProperties {
    let level = ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default();
    WriterProperties::builder()
        .set_created_by(format!("s3trail {}", env!("CARGO_PKG_VERSION")))
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(level))
        .build()
}

fn properties(table: Table) -> WriterProperties {
    let mut properties = plain_properties();
    // Readers of Arrow get back the very types that were written.
    add_encoded_arrow_schema_to_metadata(&table.file_schema(), &mut properties);
    properties
}

/// How a column of `access_logs` is laid out.
fn layout(name: &str) -> Layout {
    if PLAIN.contains(&name) {
        Layout::Plain
    } else if INTERLEAVED.contains(&name) {
        Layout::Interleaved
    } else if DELTAS.contains(&name) {
        Layout::Delta
    } else {
        Layout::Dictionary
    }
}

thread_local! {
    /// The encoders of this thread: their buffers are large and warm.
    static ENCODERS: RefCell<Option<RowGroupEncoder>> = const { RefCell::new(None) };
}

/// Encodes row groups of `access_logs`.
struct RowGroupEncoder {
    columns: Vec<ColumnEncoder>,
    scratch: Scratch,
}

impl RowGroupEncoder {
    fn new() -> Result<Self, ParquetError> {
        let schema = ArrowSchemaConverter::new().convert(&Table::AccessLogs.file_schema())?;
        let column = |column: &ColumnDescPtr| {
            let name = column.name();
            let with_filter = WITH_FILTER.contains(&name);
            ColumnEncoder::new(column.clone(), layout(name), WITH_STATISTICS.contains(&name), with_filter)
        };
        Ok(Self { columns: schema.columns().iter().map(column).collect(), scratch: Scratch::new()? })
    }

    /// Encodes the rows of `runs`, in that order.
    fn encode(&mut self, batches: &[RecordBatch], runs: &[Run]) -> Result<Vec<Chunk>, ParquetError> {
        let Self { columns, scratch } = self;
        let encode = |(index, column): (usize, &mut ColumnEncoder)| {
            let arrays: Vec<&ArrayRef> = batches.iter().map(|batch| batch.column(index)).collect();
            column.reset();
            push(column, &arrays, runs, scratch)?;
            column.finish(scratch)
        };
        columns.iter_mut().enumerate().map(encode).collect()
    }
}

/// Pages of a column, and what the footer says of them.
type Chunk = (bytes::Bytes, ColumnCloseResult);

/// Appends the rows of one column; `arrays` by batch.
fn push(
    column: &mut ColumnEncoder,
    arrays: &[&ArrayRef],
    runs: &[Run],
    scratch: &mut Scratch,
) -> Result<(), ParquetError> {
    let lists = word_lists(arrays);
    for run in runs {
        let array = arrays[run.batch as usize];
        let rows = run.rows();
        if array.null_count() == array.len() {
            column.push_nulls(rows.len());
            continue;
        }
        match array.data_type() {
            DataType::Dictionary(..) => {
                let words = array.as_dictionary::<UInt32Type>();
                let list = lists[run.batch as usize];
                column.push_words(list, words.keys(), words.values().as_string_view(), rows, scratch)?;
            }
            DataType::Utf8View => {
                let array = array.as_string_view();
                let value = |row| array.is_valid(row).then(|| array.value(row).as_bytes());
                column.push_texts(rows.map(value), scratch)?;
            }
            DataType::Utf8 => {
                let array = array.as_string::<i32>();
                column.push_text(array.value_data(), array.value_offsets(), array.nulls(), rows, scratch)?;
            }
            DataType::Binary => {
                let array = array.as_binary::<i32>();
                column.push_text(array.value_data(), array.value_offsets(), array.nulls(), rows, scratch)?;
            }
            DataType::Int64 => integers::<Int64Type>(column, array, rows)?,
            DataType::Int16 => integers::<Int16Type>(column, array, rows)?,
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                integers::<TimestampMicrosecondType>(column, array, rows)?;
            }
            DataType::Boolean => column.push_booleans(array.as_boolean(), rows)?,
            other => {
                return Err(ParquetError::General(format!("a column of type {other} cannot be written")));
            }
        }
    }
    Ok(())
}

fn integers<T: ArrowPrimitiveType<Native: Into<i64>>>(
    column: &mut ColumnEncoder,
    array: &ArrayRef,
    rows: Range<usize>,
) -> Result<(), ParquetError> {
    let array: &PrimitiveArray<T> = array.as_primitive();
    column.push_integers(array.values(), array.nulls(), rows)
}

/// The lists of words that `arrays` have, by array: batches of one chunk share theirs.
fn word_lists(arrays: &[&ArrayRef]) -> Vec<WordList> {
    let mut numbers = HashMap::new();
    let mut rows = Vec::new();
    let number_of = |array: &&ArrayRef| {
        let Some(words) = array.as_dictionary_opt::<UInt32Type>() else { return 0 };
        let number = *numbers.entry(Arc::as_ptr(words.values()).cast::<()>()).or_insert(rows.len());
        rows.resize(rows.len().max(number + 1), 0);
        rows[number] += array.len();
        number
    };
    let by_array: Vec<usize> = arrays.iter().map(number_of).collect();
    let list = |number: usize| WordList { number, rows: rows.get(number).copied().unwrap_or(0) };
    by_array.into_iter().map(list).collect()
}

/// Writes `batches` (all of `table`'s file schema) as one Parquet file below `table_dir`; see [`PartWriter`].
pub fn write_part(
    table_dir: &Path,
    table: Table,
    event_date: Option<i32>,
    batches: &[RecordBatch],
    durable: bool,
) -> Result<PartFile> {
    let mut writer = PartWriter::create(table_dir, table, event_date, durable)?;
    writer.write(batches)?;
    writer.finish()
}

/// A Parquet file in memory.
pub(super) struct EncodedSide {
    pub(super) content: Vec<u8>,
    /// Delta statistics as JSON.
    pub(super) stats: String,
    /// See [`content_hash`].
    pub(super) hash: String,
}

/// Rows of a side table as a Parquet file. Such tables are small: all is in memory.
pub(super) fn encode_side(rows: &RecordBatch) -> Result<EncodedSide> {
    let failed = |e: ParquetError| {
        Error::new(ErrorKind::Internal, "rows of a side table cannot be written as Parquet").with_source(e)
    };
    let mut content = Vec::new();
    let mut writer =
        ArrowWriter::try_new(&mut content, rows.schema(), Some(plain_properties())).map_err(failed)?;
    writer.write(rows).map_err(failed)?;
    let metadata = writer.close().map_err(failed)?;
    let hash = content_hash(XxHash3_128::oneshot(&content));
    Ok(EncodedSide { content, stats: delta_stats(&metadata).to_string(), hash })
}

/// A Parquet file in the making, under a temporary name: gone unless it is finished.
///
/// Rows are encoded as they come, a row group at a time, so that what waits in memory is small whatever the file.
pub struct PartWriter {
    table: Table,
    event_date: Option<i32>,
    table_dir: PathBuf,
    /// Relative to the table's folder.
    path: String,
    temporary: PathBuf,
    file: Arc<File>,
    writer: Option<Writer>,
    durable: bool,
}

type Out = BufWriter<Hashed>;

/// A file, and the hash of what was written to it.
struct Hashed {
    file: Arc<File>,
    hash: XxHash3_128,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = (&*self.file).write(bytes)?;
        self.hash.write(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The hash of a whole file as it is noted beside it: XXH3, 128 bits, in hexadecimal.
pub(super) fn content_hash(hash: u128) -> String {
    format!("{hash:032x}")
}

enum Writer {
    /// Row groups encoded here.
    AccessLogs(SerializedFileWriter<Out>),
    /// The small tables.
    Other(ArrowWriter<Out>),
}

impl PartWriter {
    /// Begins a file below `table_dir`. `event_date` is the partition, for `access_logs` only. With `durable`
    /// false nothing is synced to disk (temporary lakes).
    pub fn create(table_dir: &Path, table: Table, event_date: Option<i32>, durable: bool) -> Result<Self> {
        Self::create_named(table_dir, table, event_date, durable, "part-")
    }

    /// The same, with what the file's name begins with.
    pub(super) fn create_named(
        table_dir: &Path,
        table: Table,
        event_date: Option<i32>,
        durable: bool,
        prefix: &str,
    ) -> Result<Self> {
        let name = format!("{prefix}{}.parquet", uuid::Uuid::new_v4());
        let path = match table {
            Table::AccessLogs => format!("event_date={}/{name}", partition_value(event_date)),
            Table::LogObjects | Table::Rejects => name,
        };
        let temporary = table_dir.join(format!("{path}.tmp"));
        let folder = temporary.parent().unwrap_or(table_dir);
        std::fs::create_dir_all(folder).map_err(|e| Error::io("create folder", folder, e))?;
        let file = Arc::new(File::create(&temporary).map_err(|e| Error::io("create", &temporary, e))?);
        let hashed = Hashed { file: Arc::clone(&file), hash: XxHash3_128::new() };
        let out = BufWriter::with_capacity(64 << 10, hashed);
        let writer = Writer::new(out, table).map_err(|e| parquet_error(&temporary, e))?;
        let table_dir = table_dir.to_owned();
        Ok(Self { table, event_date, table_dir, path, temporary, file, writer: Some(writer), durable })
    }

    /// Encodes `batches`. Rows of `access_logs` become row groups of their own, sorted by bucket and time, so that
    /// they can be skipped on both; other tables keep their order.
    pub fn write(&mut self, batches: &[RecordBatch]) -> Result<()> {
        let failed = |e| parquet_error(&self.temporary, e);
        match &mut self.writer {
            Some(Writer::AccessLogs(writer)) => write_row_groups(writer, batches).map_err(failed),
            Some(Writer::Other(writer)) => batches.iter().try_for_each(|b| writer.write(b).map_err(failed)),
            None => Ok(()),
        }?;
        if self.durable {
            begin_writing_to_disk(&self.file);
        }
        Ok(())
    }

    /// Bytes of Parquet so far.
    pub(super) fn bytes_written(&self) -> u64 {
        match &self.writer {
            Some(Writer::AccessLogs(writer)) => writer.bytes_written() as u64,
            Some(Writer::Other(writer)) => writer.bytes_written() as u64,
            None => 0,
        }
    }

    /// Ends the file and makes it durable: fsync, rename, fsync of the folder.
    pub fn finish(mut self) -> Result<PartFile> {
        let Some(writer) = self.writer.take() else {
            return Err(Error::new(ErrorKind::Internal, "a part file was finished twice"));
        };
        let (metadata, hash) = writer.finish().map_err(|e| parquet_error(&self.temporary, e))?;
        let finished = self.table_dir.join(&self.path);
        if self.durable {
            self.file.sync_all().map_err(|e| Error::io("sync", &self.temporary, e))?;
        }
        std::fs::rename(&self.temporary, &finished).map_err(|e| Error::io("rename", &self.temporary, e))?;
        if self.durable {
            let folder = finished.parent().unwrap_or(&self.table_dir);
            sync_dir(folder)?;
            if folder != self.table_dir {
                sync_dir(&self.table_dir)?;
            }
        }
        let size_bytes = self.file.metadata().map_err(|e| Error::io("read", &finished, e))?.len();
        Ok(PartFile {
            table: self.table,
            path: std::mem::take(&mut self.path),
            event_date: self.event_date,
            size_bytes,
            rows: metadata.file_metadata().num_rows().max(0) as u64,
            stats: delta_stats(&metadata).to_string(),
            hash: Some(content_hash(hash)),
        })
    }
}

impl Writer {
    fn new(out: Out, table: Table) -> Result<Self, ParquetError> {
        let properties = properties(table);
        if table != Table::AccessLogs {
            return Ok(Writer::Other(ArrowWriter::try_new(out, table.file_schema(), Some(properties))?));
        }
        let schema = ArrowSchemaConverter::new().convert(&table.file_schema())?;
        Ok(Writer::AccessLogs(SerializedFileWriter::new(out, schema.root_schema_ptr(), properties.into())?))
    }

    /// Ends the file; what its footer says, and the hash of its bytes.
    fn finish(self) -> Result<(ParquetMetaData, u128), ParquetError> {
        let hash = |out: &mut Out| -> std::io::Result<u128> {
            out.flush()?;
            Ok(out.get_ref().hash.finish_128())
        };
        match self {
            Writer::AccessLogs(mut writer) => Ok((writer.finish()?, hash(writer.inner_mut())?)),
            Writer::Other(mut writer) => Ok((writer.finish()?, hash(writer.inner_mut())?)),
        }
    }
}

/// Writes rows as row groups of their own, sorted by bucket and time.
fn write_row_groups(
    writer: &mut SerializedFileWriter<Out>,
    batches: &[RecordBatch],
) -> Result<(), ParquetError> {
    ENCODERS.with_borrow_mut(|encoder| {
        for runs in runs::groups(&runs::order(batches), ROW_GROUP_ROWS, RUN_ROWS) {
            let encoder = match encoder {
                Some(encoder) => encoder,
                None => encoder.insert(RowGroupEncoder::new()?),
            };
            let mut group = writer.next_row_group()?;
            for (pages, close) in encoder.encode(batches, &runs)? {
                group.append_column(&pages, close)?;
            }
            group.close()?;
        }
        Ok(())
    })
}

impl Drop for PartWriter {
    fn drop(&mut self) {
        // Nothing refers to an unfinished file; leaving it would only cost space on what may be a full disk. After
        // the rename there is nothing under this name.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

impl std::fmt::Debug for PartWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartWriter").field("temporary", &self.temporary).finish_non_exhaustive()
    }
}

#[cold]
fn parquet_error(path: &Path, e: ParquetError) -> Error {
    // The cause of a failed write is the disk, which the writer wraps.
    let hint = io_kind(&e).and_then(io_hint);
    let error = Error::new(ErrorKind::Io, "cannot write Parquet file")
        .with_context("path", path.display().to_string())
        .with_source(e);
    hint.into_iter().fold(error, Error::with_hint)
}

/// The value of `event_date` in a folder name: `2026-03-01`.
pub fn partition_value(event_date: Option<i32>) -> String {
    match event_date {
        Some(days) => {
            let (year, month, day) = crate::record::value::civil_from_days(i64::from(days));
            format!("{year:04}-{month:02}-{day:02}")
        }
        None => NULL_PARTITION.to_owned(),
    }
}

/// Has the system begin to write what it holds of the file to disk, without waiting: the sync at the end, which tells of
/// errors, then finds little left to wait for.
#[cfg(target_os = "linux")]
fn begin_writing_to_disk(file: &File) {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open as long as the file is borrowed, and no memory is passed.
    unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
}

#[cfg(not(target_os = "linux"))]
fn begin_writing_to_disk(_: &File) {}

fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| Error::io("sync folder", dir, e))
}

/// Statistics of a file in the form of Delta's `add` action: rows, bounds, null counts.
///
/// A bound that was cut short is left out: it would be wrong as a maximum for readers that trust it.
fn delta_stats(metadata: &ParquetMetaData) -> Value {
    let mut min_values = Map::new();
    let mut max_values = Map::new();
    let mut null_count = Map::new();
    let columns = metadata.file_metadata().schema_descr().columns();
    for (i, column) in columns.iter().enumerate() {
        let is_time = matches!(column.logical_type_ref(), Some(LogicalType::Timestamp(_)));
        let groups: Option<Vec<(i64, &Statistics)>> = metadata
            .row_groups()
            .iter()
            .map(|group| Some((group.num_rows(), group.column(i).statistics()?)))
            .collect();
        let Some(groups) = groups else { continue };
        if let Some(nulls) = groups.iter().map(|(_, s)| s.null_count_opt()).sum::<Option<u64>>() {
            null_count.insert(column.name().to_owned(), json!(nulls));
        }
        // A row group of nulls has no bounds and changes none.
        let all_null = |rows: i64, s: &Statistics| s.null_count_opt() == Some(rows as u64);
        // Delta wants dates as text. No table of ours is skipped by one.
        if matches!(column.logical_type_ref(), Some(LogicalType::Date)) {
            continue;
        }
        let bounds: Option<Vec<Bounds>> =
            groups.iter().filter(|(rows, s)| !all_null(*rows, s)).map(|(_, s)| Bounds::of(s)).collect();
        let Some(bounds) = bounds.and_then(|b| b.into_iter().reduce(Bounds::join)) else { continue };
        let (min, max) = bounds.to_json(is_time);
        min_values.insert(column.name().to_owned(), min);
        max_values.insert(column.name().to_owned(), max);
    }
    json!({
        "numRecords": metadata.file_metadata().num_rows(),
        "minValues": min_values,
        "maxValues": max_values,
        "nullCount": null_count,
    })
}

/// Least and greatest value of a column.
enum Bounds {
    Int(i64, i64),
    Text(String, String),
}

impl Bounds {
    fn of(statistics: &Statistics) -> Option<Bounds> {
        match statistics {
            Statistics::Int32(s) => Some(Bounds::Int(i64::from(*s.min_opt()?), i64::from(*s.max_opt()?))),
            Statistics::Int64(s) => Some(Bounds::Int(*s.min_opt()?, *s.max_opt()?)),
            Statistics::ByteArray(s) if s.min_is_exact() && s.max_is_exact() => {
                let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
                Some(Bounds::Text(text(s.min_bytes_opt()?)?, text(s.max_bytes_opt()?)?))
            }
            _ => None,
        }
    }

    fn join(self, other: Bounds) -> Bounds {
        match (self, other) {
            (Bounds::Int(a, b), Bounds::Int(c, d)) => Bounds::Int(a.min(c), b.max(d)),
            (Bounds::Text(a, b), Bounds::Text(c, d)) => Bounds::Text(a.min(c), b.max(d)),
            // One column has one physical type.
            (this, _) => this,
        }
    }

    fn to_json(&self, is_time: bool) -> (Value, Value) {
        match self {
            // Delta keeps milliseconds: the minimum is rounded down, the maximum up.
            Bounds::Int(min, max) if is_time => {
                (json!(iso_millis(min.div_euclid(1_000))), json!(iso_millis(-(-max).div_euclid(1_000))))
            }
            Bounds::Int(min, max) => (json!(min), json!(max)),
            Bounds::Text(min, max) => (json!(min), json!(max)),
        }
    }
}

fn iso_millis(millis: i64) -> String {
    let (days, rest) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    let (year, month, day) = crate::record::value::civil_from_days(days);
    let (seconds, millis) = (rest / 1_000, rest % 1_000);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{millis:03}Z",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        BooleanArray, DictionaryArray, Int16Array, Int64Array, StringViewArray, TimestampMicrosecondArray,
        new_null_array,
    };
    use arrow::compute::{cast, concat_batches};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    /// Rows of one bucket in order of time, so that they stay in order.
    fn batch(rows: usize, from: i64) -> RecordBatch {
        let schema = Table::AccessLogs.file_schema();
        let numbers = || (0..rows as i64).map(move |n| from + n);
        let columns = schema.fields().iter().map(|field| -> ArrayRef {
            match field.name().as_str() {
                "bucket" => {
                    Arc::new(StringViewArray::from_iter_values(numbers().map(|_| "amzn-s3-demo-bucket")))
                }
                // Always, sometimes and hardly ever the same; longer than a view and shorter; empty.
                "operation" => Arc::new(
                    numbers()
                        .map(|n| Some(["", "REST.GET.OBJECT", "x"][n as usize / 700 % 3]))
                        .collect::<StringViewArray>(),
                ),
                "requester" => Arc::new(
                    numbers()
                        .map(|n| (n % 3 > 0).then(|| format!("arn:aws:iam::111122223333:user/{}", n % 97)))
                        .collect::<StringViewArray>(),
                ),
                // A dictionary that has to grow, of texts that stand in their views and others.
                "host_header" => Arc::new(
                    numbers()
                        .map(|n| Some(format!("{}.example", n * n % 1_500)))
                        .collect::<StringViewArray>(),
                ),
                "remote_ip" => Arc::new(
                    numbers().map(|n| Some(format!("192.0.2.{}", n % 1_201))).collect::<StringViewArray>(),
                ),
                "user_agent" => Arc::new(
                    numbers().map(|n| Some(format!("agent number {n}"))).collect::<StringViewArray>(),
                ),
                // More than a page of text.
                "key" => Arc::new(
                    numbers()
                        .map(|n| (n % 11 > 0).then(|| "k".repeat(n as usize % 401)))
                        .collect::<StringViewArray>(),
                ),
                "referer" => Arc::new(
                    numbers().map(|n| (n == from + 77).then_some("once")).collect::<StringViewArray>(),
                ),
                "time" => {
                    let times = numbers().map(|n| Some(1_772_000_000_000_000 + n / 5 * 1_000_000));
                    Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
                }
                "http_status" => Arc::new(
                    numbers()
                        .map(|n| (n % 50 < 40).then_some([200, 206, 404, 503][n as usize / 9 % 4]))
                        .collect::<Int16Array>(),
                ),
                "bytes_sent" => Arc::new(
                    numbers()
                        .map(|n| Some(n.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64)))
                        .collect::<Int64Array>(),
                ),
                "object_size" => {
                    Arc::new(numbers().map(|n| (n % 2 == 0).then_some(n % 13)).collect::<Int64Array>())
                }
                "log_offset" => Arc::new(numbers().map(|n| Some(n * n)).collect::<Int64Array>()),
                "acl_required" => {
                    Arc::new(numbers().map(|n| (n % 64 > 3).then_some(n % 7 == 0)).collect::<BooleanArray>())
                }
                _ => new_null_array(field.data_type(), rows),
            }
        });
        RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
    }

    /// The rows in the form that batches of log lines have.
    fn as_batched(batch: &RecordBatch) -> RecordBatch {
        let schema = crate::batch::schema::batch_schema();
        let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| -> ArrayRef {
            if !matches!(field.data_type(), DataType::Dictionary(..)) {
                return cast(column, field.data_type()).unwrap();
            }
            let mut first = std::collections::HashMap::new();
            let rows = column.as_string_view().iter().enumerate();
            let keys = rows.map(|(row, text)| text.map(|text| *first.entry(text).or_insert(row as u32)));
            Arc::new(DictionaryArray::<UInt32Type>::new(keys.collect(), Arc::clone(column)))
        });
        RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
    }

    fn read_back(part: &PartFile, dir: &Path) -> RecordBatch {
        let file = File::open(dir.join(&part.path)).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let schema = Arc::clone(reader.schema());
        assert_eq!(schema.fields(), Table::AccessLogs.file_schema().fields());
        let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
        concat_batches(&schema, &batches).unwrap()
    }

    #[test]
    fn batches_of_log_lines_are_written_as_what_they_stand_for() {
        let whole = as_batched(&batch(9_000, 0));
        // The second has more words than rows.
        let pieces = [whole.slice(0, 8_990), whole.slice(8_990, 10)];
        let dir = tempfile::tempdir().unwrap();
        let write = |batches: &[RecordBatch]| {
            let part = write_part(dir.path(), Table::AccessLogs, Some(20_500), batches, false);
            let part = part.unwrap_or_else(|e| panic!("{}", e.report()));
            (part.stats.clone(), read_back(&part, dir.path()))
        };
        let (stats, rows) = write(&pieces);
        let (plain_stats, plain_rows) = write(&[batch(9_000, 0)]);
        assert_eq!(rows, plain_rows);
        assert_eq!(stats, plain_stats);
    }

    #[test]
    fn what_is_written_is_read_back() {
        // One row, less and more than a slice, more than a row group.
        for rows in [1, 500, 9_001, ROW_GROUP_ROWS + 10] {
            let dir = tempfile::tempdir().unwrap();
            let first = batch(rows, 0);
            let second = batch(rows / 2, rows as i64);
            let part = write_part(
                dir.path(),
                Table::AccessLogs,
                Some(20_500),
                &[first.clone(), second.clone()],
                false,
            );
            let part = part.unwrap_or_else(|e| panic!("{}", e.report()));
            let whole = concat_batches(&first.schema(), [&first, &second]).unwrap();
            assert_eq!(part.rows, whole.num_rows() as u64);
            let there = read_back(&part, dir.path());
            for (column, name) in whole.schema().fields().iter().enumerate() {
                assert_eq!(there.column(column), whole.column(column), "{} of {rows} rows", name.name());
            }
            let stats: Value = serde_json::from_str(&part.stats).unwrap();
            assert_eq!(stats["numRecords"], whole.num_rows());
            assert_eq!(stats["minValues"]["bucket"], "amzn-s3-demo-bucket");
            let nulls = whole.column_by_name("object_size").unwrap().null_count();
            assert_eq!(stats["nullCount"]["object_size"], nulls);
            let sent = whole.column_by_name("bytes_sent").unwrap().as_primitive::<Int64Type>();
            assert_eq!(stats["minValues"]["bytes_sent"].as_i64(), arrow::compute::min(sent));
            assert_eq!(stats["maxValues"]["bytes_sent"].as_i64(), arrow::compute::max(sent));
        }
    }
}
