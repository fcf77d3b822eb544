//! Compaction: the many small part files of a day become few sorted ones, and records that were delivered twice go.
//!
//! A day at a time, each in one attempt of the commit protocol under an app id of its own, so that a run that is cut
//! short has done whole days, and two runs at once do not get in each other's way: the slower one finds that it lost.
//! What ingest adds meanwhile stays beside the new files, for the next time. Files that were replaced serve older
//! readers until they are vacuumed.
//!
//! A record is a duplicate when all its columns but those that say where it was read from are those of another:
//! columns give back their line byte for byte, so that is the whole line. Sorted by bucket, time and request id,
//! duplicates are neighbors; so memory holds rows of one batch, whatever the day, and what sorting needs beyond its
//! share is spilled to disk. This module knows neither lines nor where the lake lies.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringViewArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use arrow::row::{RowConverter, SortField};
use chrono::Utc;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::TryStreamExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Serialize;
use std::sync::Arc;

use super::commit::MAINTENANCE;
use super::encode::{PartWriter, partition_value, write_part};
use super::intent::Change;
use super::maintain::Described;
use super::{Files, Lake, PartFile, Table, store_error, task_error};
use crate::error::{Error, ErrorKind, Result};
use crate::record::Field;

/// What the names of files made here begin with: such a file has no duplicates of its own.
const COMPACTED: &str = "compact-";

/// Bytes of text waiting to become a row group.
const GROUP_BYTES: i64 = 24 << 20;

/// Small files of `log_objects` and `rejects` that are left alone.
const FEW: usize = 8;

/// Sorting cannot do with less.
pub const LEAST_MEMORY: usize = 64 << 20;

/// How to compact.
#[derive(Debug, Clone)]
pub struct CompactOptions {
    /// A part file ends when it has so many bytes of Parquet.
    pub target_bytes: u64,
    /// Days with fewer part files are left alone; at least 2.
    pub min_files: usize,
    /// Also days that are not over yet (UTC), and records without a time.
    pub open_days: bool,
    /// Bytes that sorting may hold before it spills to disk; at least [`LEAST_MEMORY`].
    pub memory_bytes: usize,
    /// Whether only to count.
    pub dry_run: bool,
}

impl Default for CompactOptions {
    fn default() -> Self {
        Self {
            target_bytes: 256 << 20,
            min_files: 2,
            open_days: false,
            memory_bytes: 1 << 30,
            dry_run: false,
        }
    }
}

/// The outcome of [`Lake::compact`].
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Compacted {
    /// Whether nothing was changed, only counted.
    pub dry_run: bool,
    /// Days whose files were replaced.
    pub days: u64,
    /// Part files replaced, in all tables.
    pub replaced: Files,
    /// Part files that took their place; none in a dry run.
    pub written: Files,
    /// Records removed because another with the very same line stays.
    pub duplicates: u64,
}

/// A day that needs it.
#[derive(Debug, Clone)]
struct Day {
    event_date: Option<i32>,
    paths: Vec<String>,
    bytes: u64,
}

/// A log object: bucket and key.
type Object = (Option<String>, String);

/// How many records of each log object are duplicates.
type Removed = HashMap<Object, u64>;

impl Lake {
    /// Rewrites the days that have several part files, and the small files of the other two tables; see the
    /// module's documentation. `told` hears of each day before it is begun: its date, files and bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when another process compacts or expires at the same time: what was done by then
    /// stays done. [`ErrorKind::Lake`] when a table is damaged or a file missing, [`ErrorKind::Io`] when the
    /// operating system or the store refuses.
    pub async fn compact(
        &mut self,
        options: &CompactOptions,
        told: &(dyn Fn(&str, u64, u64) + Sync),
    ) -> Result<Compacted> {
        let mut outcome = Compacted { dry_run: options.dry_run, ..Compacted::default() };
        self.begin_maintenance(options.dry_run).await?;
        for Day { event_date, .. } in self.days(options)? {
            self.compact_day(event_date, options, told, &mut outcome).await.map_err(beaten)?;
        }
        self.compact_small(options, &mut outcome).await.map_err(beaten)?;
        Ok(outcome)
    }

    /// Takes up what a run of maintenance left behind, and the newest tables.
    pub(super) async fn begin_maintenance(&mut self, dry_run: bool) -> Result<()> {
        if !dry_run {
            self.recover().await?;
        }
        self.refresh().await?;
        self.cover(MAINTENANCE).await
    }

    /// The days that need compaction, as of the state in memory: oldest first.
    fn days(&self, options: &CompactOptions) -> Result<Vec<Day>> {
        let today = (Utc::now().timestamp() / 86_400) as i32;
        let mut days: BTreeMap<Option<i32>, Day> = BTreeMap::new();
        for file in self.state(Table::AccessLogs)?.log_data().iter() {
            let path = file.path().into_owned();
            let Some(event_date) = event_date(&path) else { continue };
            let day = days.entry(event_date).or_insert(Day { event_date, paths: Vec::new(), bytes: 0 });
            day.bytes += u64::try_from(file.size()).unwrap_or(0);
            day.paths.push(path);
        }
        let is_due = |day: &Day| {
            let is_closed = day.event_date.is_some_and(|date| date < today);
            let is_new = |path: &String| !path.rsplit('/').next().unwrap_or(path).starts_with(COMPACTED);
            (is_closed || options.open_days)
                && day.paths.len() >= options.min_files.max(2)
                && day.paths.iter().any(is_new)
        };
        Ok(days.into_values().filter(is_due).collect())
    }

    async fn compact_day(
        &mut self,
        event_date: Option<i32>,
        options: &CompactOptions,
        told: &(dyn Fn(&str, u64, u64) + Sync),
        outcome: &mut Compacted,
    ) -> Result<()> {
        let attempt = self.begin(MAINTENANCE).await?;
        // The commit of the day before has moved the tables on: from here to the new files it is one state of them.
        let Some(day) = &self.days(options)?.into_iter().find(|day| day.event_date == event_date) else {
            return Ok(());
        };
        told(&partition_value(day.event_date), day.paths.len() as u64, day.bytes);
        let (mut parts, removed) = match self.rewrite(day, options).await {
            Ok(rewritten) => rewritten,
            Err((parts, error)) => {
                // What was written by then is named by nothing.
                let _ = self.discard(&parts).await;
                return Err(error);
            }
        };
        outcome.days += 1;
        outcome.replaced.files += day.paths.len() as u64;
        outcome.replaced.bytes += day.bytes;
        outcome.duplicates += removed.values().sum::<u64>();
        if options.dry_run {
            return Ok(());
        }
        let logs = day.paths.iter().map(|path| (Table::AccessLogs, path.clone()));
        let mut change = Change { removed: logs.collect(), ..Change::default() };
        let done = match self.correct_ledger(removed, &mut parts, &mut change).await {
            Ok(()) => self.replace(&attempt, &parts, change).await,
            Err(e) => Err(e),
        };
        match done {
            Ok(()) => parts.iter().for_each(|part| outcome.written.add(part.size_bytes)),
            Err(error) => {
                let _ = self.discard(&parts).await;
                return Err(error);
            }
        }
        Ok(())
    }

    /// The rows of a day as new part files, each line once, and what was left out. With the files when it fails.
    async fn rewrite(
        &self,
        day: &Day,
        options: &CompactOptions,
    ) -> Result<(Vec<PartFile>, Removed), (Vec<PartFile>, Error)> {
        let mut writer = DayWriter {
            target_bytes: options.target_bytes,
            dry_run: options.dry_run,
            ..DayWriter::new(self.table_dir(Table::AccessLogs), day.event_date, self.is_local())
        };
        let mut twins = Twins::default();
        match self.rewrite_into(day, options, &mut writer, &mut twins).await {
            Ok(()) => Ok((writer.parts, twins.removed)),
            Err(e) => Err((writer.parts, e)),
        }
    }

    async fn rewrite_into(
        &self,
        day: &Day,
        options: &CompactOptions,
        writer: &mut DayWriter,
        twins: &mut Twins,
    ) -> Result<()> {
        let failed = |e| store_error("rewrite a day", self.name_of(Table::AccessLogs), e);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(options.memory_bytes)))
            .build_arc()
            .map_err(failed)?;
        let mut config = SessionConfig::new().with_batch_size(1024).with_target_partitions(1);
        // Views share the buffers of whole pages: held, counted and spilled again with each batch that has a part of
        // them.
        config.options_mut().execution.parquet.schema_force_view_types = false;
        // A part of the memory is for merging what was spilled.
        config.options_mut().execution.sort_spill_reservation_bytes = options.memory_bytes / 8;
        let context = SessionContext::new_with_config_rt(config, runtime);
        context.register_table("access_logs", self.provider(Table::AccessLogs).await?).map_err(failed)?;
        let is_day = match day.event_date {
            Some(_) => format!("= DATE '{}'", partition_value(day.event_date)),
            None => "IS NULL".to_owned(),
        };
        let columns: Vec<String> = Table::AccessLogs
            .file_schema()
            .fields()
            .iter()
            .map(|field| format!("\"{}\"", field.name()))
            .collect();
        let sql = format!(
            "SELECT {} FROM access_logs WHERE event_date {is_day}
             ORDER BY bucket, time, request_id, log_bucket, log_key, log_offset",
            columns.join(", ")
        );
        let frame = context.sql(&sql).await.map_err(failed)?;
        let mut sorted = frame.execute_stream().await.map_err(failed)?;
        while let Some(batch) = sorted.try_next().await.map_err(failed)? {
            let batch = as_written(&batch, Table::AccessLogs)?;
            let keep = twins.keep(&batch)?;
            let batch = match keep {
                None => batch,
                Some(keep) => filter_record_batch(&batch, &keep)
                    .map_err(|e| store_error("rewrite a day", self.name_of(Table::AccessLogs), e))?,
            };
            tokio::task::block_in_place(|| writer.push(batch))?;
        }
        tokio::task::block_in_place(|| writer.finish())
    }

    /// Takes duplicates that are gone out of `records` in the ledger, into `duplicates`: files of the ledger that
    /// name such an object are written anew.
    async fn correct_ledger(
        &mut self,
        mut removed: Removed,
        parts: &mut Vec<PartFile>,
        change: &mut Change,
    ) -> Result<()> {
        if removed.is_empty() {
            return Ok(());
        }
        // Records are visible before their ledger rows: where an ingest stood in between when the day was read, its
        // commit is finished here, by it or by us.
        self.recover().await?;
        let delta = &self.tables[Table::LogObjects as usize];
        for file in self.described(Table::LogObjects.name(), delta)? {
            let rows = self.side_rows(Table::LogObjects, &file).await?;
            let Some(corrected) = corrected(&rows, &mut removed)? else { continue };
            let dir = self.table_dir(Table::LogObjects);
            parts.push(write_part(&dir, Table::LogObjects, None, &[corrected], self.is_local())?);
            change.removed.push((Table::LogObjects, file.path));
            if removed.is_empty() {
                return Ok(());
            }
        }
        let Some((bucket, key)) = removed.into_keys().next() else { return Ok(()) };
        Err(Error::new(ErrorKind::Lake, "the ledger has fewer records of a log object than the table")
            .with_context("log bucket", bucket.unwrap_or_default())
            .with_context("log key", key)
            .with_hint("`s3trail lake verify` shows what does not fit"))
    }

    /// All rows of a file of `log_objects` or `rejects`.
    async fn side_rows(&self, table: Table, file: &Described) -> Result<RecordBatch> {
        let object = file.object()?;
        let local = self.site.fetch(object).await?;
        let name = self.site.name(object);
        let read = move || {
            let failed = |e: parquet::errors::ParquetError| store_error("read a Parquet file", &name, e);
            let file = std::fs::File::open(local.path())
                .map_err(|e| Error::io("open a Parquet file", local.path(), e))?;
            let reader =
                ParquetRecordBatchReaderBuilder::try_new(file).and_then(|r| r.build()).map_err(failed)?;
            let batches: std::result::Result<Vec<RecordBatch>, _> = reader.collect();
            let batches = batches.map_err(|e| store_error("read a Parquet file", &name, e))?;
            let batches: Vec<RecordBatch> =
                batches.iter().map(|batch| as_written(batch, table)).collect::<Result<_>>()?;
            arrow::compute::concat_batches(&table.file_schema(), &batches)
                .map_err(|e| store_error("read a Parquet file", &name, e))
        };
        tokio::task::spawn_blocking(read).await.map_err(task_error)?
    }

    /// Makes one file of the small files of `log_objects`, and one of those of `rejects`.
    async fn compact_small(&mut self, options: &CompactOptions, outcome: &mut Compacted) -> Result<()> {
        self.refresh().await?;
        self.cover(MAINTENANCE).await?;
        let mut parts = Vec::new();
        let mut change = Change::default();
        let attempt = self.begin(MAINTENANCE).await?;
        for table in [Table::LogObjects, Table::Rejects] {
            let mut small = self.described(table.name(), &self.tables[table as usize])?;
            small.retain(|file| file.bytes < options.target_bytes / 8);
            if small.len() <= FEW {
                continue;
            }
            // What is merged at a time is held in memory.
            let mut bytes = 0;
            small.retain(|file| {
                bytes += file.bytes;
                bytes < options.target_bytes / 2
            });
            for file in &small {
                outcome.replaced.add(file.bytes);
            }
            if options.dry_run {
                continue;
            }
            let mut batches = Vec::with_capacity(small.len());
            for file in small {
                batches.push(self.side_rows(table, &file).await?);
                change.removed.push((table, file.path));
            }
            parts.push(write_part(&self.table_dir(table), table, None, &batches, self.is_local())?);
        }
        if change.removed.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.replace(&attempt, &parts, change).await {
            let _ = self.discard(&parts).await;
            return Err(error);
        }
        parts.iter().for_each(|part| outcome.written.add(part.size_bytes));
        Ok(())
    }
}

/// Says more plainly that another run of maintenance was faster.
pub(super) fn beaten(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Conflict => {
            Error::new(ErrorKind::Conflict, "another process is compacting or expiring this lake")
                .with_hint("nothing was lost; run again when it is done")
                .with_source(error)
        }
        _ => error,
    }
}

/// The partition of a path in `access_logs`; `None` when it is in none.
pub(super) fn event_date(path: &str) -> Option<Option<i32>> {
    let value = path.split('/').next()?.strip_prefix("event_date=")?;
    if value == partition_value(None) {
        return Some(None);
    }
    let date = chrono::NaiveDate::parse_from_str(value, "%Y-%m-%d").ok()?;
    let epoch = chrono::NaiveDate::from_ymd_opt(1970, 1, 1)?;
    i32::try_from((date - epoch).num_days()).ok().map(Some)
}

/// A batch with the very types that files have.
pub(super) fn as_written(batch: &RecordBatch, table: Table) -> Result<RecordBatch> {
    let failed = |e| store_error("read the table", table.name(), e);
    let schema = table.file_schema();
    let columns = schema.fields().iter().map(|field| {
        let column = batch.column_by_name(field.name()).ok_or_else(|| {
            Error::new(ErrorKind::Lake, "a file lacks a column").with_context("column", field.name().as_str())
        })?;
        cast(column, field.data_type()).map_err(failed)
    });
    let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
    RecordBatch::try_new(schema, columns).map_err(failed)
}

/// Rows of the ledger with duplicates counted as such; `None` when none of them is concerned.
fn corrected(rows: &RecordBatch, removed: &mut Removed) -> Result<Option<RecordBatch>> {
    let text = |name: &str| rows.column_by_name(name).map(|c| c.as_string_view().clone());
    let int = |name: &str| rows.column_by_name(name).map(|c| c.as_primitive::<Int64Type>().values().to_vec());
    let missing = || Error::new(ErrorKind::Internal, "the ledger lacks a column");
    let (buckets, keys): (StringViewArray, StringViewArray) =
        text("log_bucket").zip(text("log_key")).ok_or_else(missing)?;
    let (mut records, mut duplicates) = int("records").zip(int("duplicates")).ok_or_else(missing)?;
    let mut is_changed = false;
    for row in 0..rows.num_rows() {
        let bucket = buckets.is_valid(row).then(|| buckets.value(row).to_owned());
        let object = (bucket, keys.value(row).to_owned());
        let Some(left) = removed.get_mut(&object) else { continue };
        // One key can have several rows, of several versions.
        let taken = (*left).min(u64::try_from(records[row]).unwrap_or(0));
        records[row] -= taken as i64;
        duplicates[row] += taken as i64;
        *left -= taken;
        is_changed |= taken > 0;
        if *left == 0 {
            removed.remove(&object);
        }
    }
    if !is_changed {
        return Ok(None);
    }
    let schema = rows.schema();
    let mut columns = rows.columns().to_vec();
    for (name, values) in [("records", records), ("duplicates", duplicates)] {
        let at = schema.index_of(name).map_err(|_| missing())?;
        columns[at] = Arc::new(Int64Array::from(values));
    }
    RecordBatch::try_new(schema, columns)
        .map(Some)
        .map_err(|e| Error::new(ErrorKind::Internal, "columns do not fit the ledger").with_source(e))
}

/// The columns that make a record what it is: all but where it was read from.
fn identity() -> impl Iterator<Item = usize> {
    let schema = Table::AccessLogs.file_schema();
    let is_place = |name: &str| matches!(name, "log_bucket" | "log_key" | "log_offset");
    (0..schema.fields().len()).filter(move |at| !is_place(schema.field(*at).name()))
}

/// Finds records that stand there already, in rows sorted by bucket, time and request id.
#[derive(Default)]
struct Twins {
    /// Of the run of rows that are the same in these three: whole records, as bytes.
    seen: HashSet<Box<[u8]>>,
    run: Option<(Option<String>, Option<i64>, Option<String>)>,
    removed: Removed,
    converter: Option<RowConverter>,
}

impl Twins {
    /// Which rows to keep; `None` for all.
    fn keep(&mut self, batch: &RecordBatch) -> Result<Option<BooleanArray>> {
        let rows = batch.num_rows();
        let buckets = batch.column(Field::Bucket as usize).as_string_view();
        let times = batch.column(Field::Time as usize).as_primitive::<TimestampMicrosecondType>();
        let ids = batch.column(Field::RequestId as usize).as_string_view();
        let of = |row: usize| {
            let text = |array: &'_ StringViewArray| array.is_valid(row).then(|| array.value(row).to_owned());
            (text(buckets), times.is_valid(row).then(|| times.value(row)), text(ids))
        };
        let same = |a: usize, b: usize| {
            let text = |array: &StringViewArray| {
                array.is_valid(a) == array.is_valid(b)
                    && (array.is_null(a) || array.value(a) == array.value(b))
            };
            let time = times.is_valid(a) == times.is_valid(b)
                && (times.is_null(a) || times.value(a) == times.value(b));
            text(ids) && time && text(buckets)
        };
        let mut keep = vec![true; rows];
        let mut from = 0;
        while from < rows {
            let to = (from + 1..rows).find(|row| !same(from, *row)).unwrap_or(rows);
            let goes_on = from == 0 && self.run.as_ref() == Some(&of(0));
            if !goes_on {
                self.seen.clear();
            }
            // The last run of a batch may go on in the next.
            if goes_on || to - from > 1 || to == rows {
                let records = self.records(batch, from, to)?;
                for (row, record) in (from..to).zip(records) {
                    if !self.seen.insert(record) {
                        keep[row] = false;
                        *self.removed.entry(object_of(batch, row)?).or_default() += 1;
                    }
                }
            }
            if to == rows {
                self.run = Some(of(from));
            }
            from = to;
        }
        Ok(keep.contains(&false).then(|| BooleanArray::from(keep)))
    }

    /// The identity of rows, as bytes.
    fn records(&mut self, batch: &RecordBatch, from: usize, to: usize) -> Result<Vec<Box<[u8]>>> {
        let failed = |e| Error::new(ErrorKind::Internal, "records cannot be compared").with_source(e);
        // Their converter knows no views.
        let columns: Vec<ArrayRef> = identity()
            .map(|at| {
                let column = batch.column(at).slice(from, to - from);
                match column.data_type() {
                    DataType::Utf8View => cast(&column, &DataType::Utf8).map_err(failed),
                    _ => Ok(column),
                }
            })
            .collect::<Result<_>>()?;
        let converter = match &self.converter {
            Some(converter) => converter,
            None => {
                let fields = columns.iter().map(|column| SortField::new(column.data_type().clone()));
                self.converter.insert(RowConverter::new(fields.collect()).map_err(failed)?)
            }
        };
        let rows = converter.convert_columns(&columns).map_err(failed)?;
        Ok(rows.iter().map(|row| row.as_ref().into()).collect())
    }
}

fn object_of(batch: &RecordBatch, row: usize) -> Result<Object> {
    let text = |name: &str| {
        let column = batch.column_by_name(name).map(|column| column.as_string_view());
        column.filter(|column| column.is_valid(row)).map(|column| column.value(row).to_owned())
    };
    let key = text("log_key").ok_or_else(|| Error::new(ErrorKind::Lake, "a record has no log key"))?;
    Ok((text("log_bucket"), key))
}

/// Writes the rows of a day, in order, into part files of the wanted size.
pub(super) struct DayWriter {
    dir: std::path::PathBuf,
    event_date: Option<i32>,
    target_bytes: u64,
    durable: bool,
    dry_run: bool,
    waiting: Vec<RecordBatch>,
    waiting_bytes: i64,
    open: Option<PartWriter>,
    parts: Vec<PartFile>,
}

impl DayWriter {
    /// A writer of one file, whatever its size.
    pub(super) fn new(dir: std::path::PathBuf, event_date: Option<i32>, durable: bool) -> Self {
        Self {
            dir,
            event_date,
            target_bytes: u64::MAX,
            durable,
            dry_run: false,
            waiting: Vec::new(),
            waiting_bytes: 0,
            open: None,
            parts: Vec::new(),
        }
    }

    pub(super) fn into_parts(self) -> Vec<PartFile> {
        self.parts
    }

    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if self.dry_run || batch.num_rows() == 0 {
            return Ok(());
        }
        let lengths = batch.column_by_name("record_bytes").map(|c| c.as_primitive::<Int64Type>());
        self.waiting_bytes += lengths.map_or(0, |lengths| lengths.values().iter().sum());
        self.waiting.push(batch);
        match self.waiting_bytes >= GROUP_BYTES {
            true => self.write(),
            false => Ok(()),
        }
    }

    fn write(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut writer = match self.open.take() {
            Some(writer) => writer,
            None => PartWriter::create_named(
                &self.dir,
                Table::AccessLogs,
                self.event_date,
                self.durable,
                COMPACTED,
            )?,
        };
        writer.write(&self.waiting)?;
        self.waiting.clear();
        self.waiting_bytes = 0;
        if writer.bytes_written() >= self.target_bytes {
            self.parts.push(writer.finish()?);
        } else {
            self.open = Some(writer);
        }
        Ok(())
    }

    pub(super) fn finish(&mut self) -> Result<()> {
        self.write()?;
        if let Some(writer) = self.open.take() {
            self.parts.push(writer.finish()?);
        }
        Ok(())
    }
}
