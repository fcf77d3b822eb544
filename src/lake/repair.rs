//! Repair: what damage has taken from the lake is made ready to be taken in again.
//!
//! Steps, of which each can be the last one and leaves the lake for the next repair to find:
//! - Commits that damage took from some of the tables are closed: see [`Lake::close`].
//! - Files of `access_logs` and `rejects` that are gone or damaged leave their tables, so that these can be read again.
//! - Log objects of which the tables do not have what the ledger says, or the ledger not what the tables have, are
//!   forgotten: their remaining records, their rejects and their rows of the ledger go in one commit, and the next
//!   ingest takes them in as new.
//! - Damaged files of `log_objects` leave with the objects they were the ledger of, in that same commit: before it an
//!   ingest would take these objects in twice.
//!
//! Which log objects are still to be had is known to the caller: nothing is forgotten that is not. Damage of a Delta log
//! that cannot be read is for a backup.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use deltalake::kernel::Transaction;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Serialize;

use super::commit::{MAINTENANCE, ROUNDS};
use super::compact::{DayWriter, as_written, beaten, event_date};
use super::delta::{self, Append};
use super::encode::write_part;
use super::intent::Change;
use super::verify::Flaw;
use super::{Lake, PartFile, Table, store_error, task_error};
use crate::error::{Error, ErrorKind, Result, escape_line};

/// The columns of the ledger that [`Lake::disagreements`] asks for.
const COUNTED: [&str; 5] = ["log_bucket", "log_key", "records", "rejects", "first_time"];

/// A source whose last commit is not in all three tables, and of which no intent is left to finish it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unfinished {
    /// The source.
    pub source_id: String,
    /// The attempt that is to be the last one of all three tables.
    n: i64,
    /// Whether [`Lake::incomplete`] sees all that the missing commits had.
    pub can_be_closed: bool,
    /// What does not fit, in a sentence.
    pub problem: String,
}

/// A file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DamagedFile {
    /// The table that has it.
    pub table: Table,
    /// Below the table's folder.
    pub path: String,
    /// Rows it is said to have.
    pub rows: Option<u64>,
    /// What is wrong, in a sentence.
    pub problem: String,
}

/// A log object of which the tables and the ledger do not say the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Incomplete {
    /// Destination bucket; `None` when unknown.
    pub log_bucket: Option<String>,
    /// Key, or path below the root that was given.
    pub log_key: String,
    /// Records by the ledger less records that are there; negative when the ledger has lost a row.
    pub missing: i64,
}

/// What was forgotten, to be taken in again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// Log objects.
    pub objects: u64,
    /// Records of them that were still there.
    pub records: u64,
}

/// A log object: bucket and key.
type Objects = HashSet<(Option<String>, String)>;

/// Where a repair notes that it has begun to forget.
const NOTE: &str = "repairs/last.json";

impl Lake {
    /// Notes that log objects are about to be forgotten, or that all of them were read again.
    pub async fn note_repair(&self, is_pending: bool) -> Result<()> {
        self.write_state(NOTE, format!("{{\"is_pending\":{is_pending}}}").into_bytes()).await
    }

    /// Whether a repair has forgotten log objects that it did not come to read again, or not all.
    pub async fn is_repair_cut_short(&self) -> Result<bool> {
        let note = self.read_state(NOTE).await?;
        let note = note.and_then(|note| serde_json::from_slice::<serde_json::Value>(&note).ok());
        Ok(note.is_some_and(|note| note["is_pending"] == true))
    }

    /// The sources whose last commit is not in all three tables although no recovery is going to finish it: an entry of
    /// a Delta log is lost. `source_id` is looked at even if no row names it. Unless `dry_run`, commits that can be
    /// finished are.
    ///
    /// # Errors
    /// As [`Lake::recover`].
    pub async fn unfinished(&mut self, source_id: &str, dry_run: bool) -> Result<Vec<Unfinished>> {
        self.begin_maintenance(dry_run).await?;
        // In this order: what access_logs shows as committed is complete in the other two, or its intent is listed. And
        // what those two have, access_logs had before.
        self.refresh_table(Table::AccessLogs).await?;
        let intents = self.intents().await?;
        let mut sources = self.committers(&intents).await?;
        sources.insert(source_id.to_owned());
        let mut decided = Vec::with_capacity(sources.len());
        for source in sources {
            let logs = self.txn(Table::AccessLogs, &source).await?;
            decided.push((source, logs));
        }
        self.refresh_table(Table::Rejects).await?;
        self.refresh_table(Table::LogObjects).await?;
        self.refresh_table(Table::AccessLogs).await?;
        let has_expired = self.expired_before().await?.is_some();
        let mut found = Vec::new();
        for (source_id, logs) in decided {
            let newest = self.txn(Table::AccessLogs, &source_id).await?;
            let rejects = self.txn(Table::Rejects, &source_id).await?;
            let objects = self.txn(Table::LogObjects, &source_id).await?;
            let is_pending =
                intents.iter().any(|intent| intent.source_id == source_id && Some(intent.n) == logs);
            let is_behind = newest < rejects.max(objects);
            if !is_behind && (is_pending || rejects.min(objects) >= logs) {
                continue;
            }
            let last = if is_behind { rejects.max(objects) } else { logs };
            let Some(n) = last else { continue };
            // Where objects have records that expired, others that are gone are not missed. And an intent of that
            // attempt or a later one would be taken for committed.
            let hides_loss = has_expired && (is_behind || source_id == MAINTENANCE);
            let is_named = intents.iter().any(|intent| intent.source_id == source_id && intent.n >= n);
            let can_be_closed = !hides_loss && (!is_behind || (rejects == objects && !is_named));
            let shown = |n: Option<i64>| n.map_or("none".to_owned(), |n| n.to_string());
            let problem = format!(
                "The last commit of source {} is attempt {} in access_logs, {} in rejects and {} in log_objects: its \
                 intent is missing.",
                escape_line(&source_id),
                shown(newest),
                shown(rejects),
                shown(objects),
            );
            found.push(Unfinished { source_id, n, can_be_closed, problem });
        }
        Ok(found)
    }

    /// Makes the last commit of these sources the last one of all three tables, by commits without files where it is
    /// missing. So the sources can commit again. What the missing commits had stays missing, and is what
    /// [`Lake::incomplete`] finds: to be called when that is known and can be had again.
    ///
    /// Whoever is under way meanwhile is not harmed. Nobody is going to commit the attempts in question, since there
    /// was no intent of them; and a table that has moved on to a later one is left as it is.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when a table stays too busy; otherwise as [`Lake::recover`].
    pub async fn close(&mut self, unfinished: &[Unfinished]) -> Result<()> {
        for Unfinished { source_id, n, .. } in unfinished {
            for table in [Table::AccessLogs, Table::Rejects, Table::LogObjects] {
                self.close_in(table, source_id, *n).await?;
            }
        }
        Ok(())
    }

    async fn close_in(&mut self, table: Table, source_id: &str, n: i64) -> Result<()> {
        let definition = table.definition()?;
        let site = Arc::clone(&self.site);
        for _ in 0..ROUNDS {
            self.refresh_table(table).await?;
            if self.txn(table, source_id).await? >= Some(n) {
                return Ok(());
            }
            let delta = &mut self.tables[table as usize];
            let txns = vec![Transaction::new(source_id, n)];
            let done = delta::commit(site.as_ref(), delta, &definition, Vec::new(), txns).await?;
            if let Append::Done(version) = done {
                return delta::flush(site.as_ref(), table.name(), version..=version).await;
            }
        }
        Err(Error::new(ErrorKind::Conflict, "other processes kept committing to the table")
            .with_context("table", table.name())
            .with_hint("run again when fewer are writing"))
    }

    /// Finds the files that are missing or damaged and, unless `dry_run`, takes those of `access_logs` and `rejects` out
    /// of their tables. They stay where they are until they are vacuumed. Those of `log_objects` go with
    /// [`Lake::forget`].
    ///
    /// A file that cannot be read may be whole: it stays, and so does everything else.
    ///
    /// # Errors
    /// [`ErrorKind::Lake`] when a file cannot be read; [`ErrorKind::Conflict`] when another process compacts or expires
    /// at the same time; otherwise as [`Lake::recover`].
    pub async fn drop_damaged(&mut self, dry_run: bool) -> Result<Vec<DamagedFile>> {
        self.begin_maintenance(dry_run).await?;
        let mut damaged = Vec::new();
        for table in Table::ALL {
            for file in self.described(table.name(), &self.tables[table as usize])? {
                let (path, rows) = (file.path.clone(), file.rows);
                match self.check(file).await.1 {
                    Ok(_) => {}
                    Err(Flaw::Lost(problem)) => damaged.push(DamagedFile { table, path, rows, problem }),
                    Err(Flaw::Unread(problem)) => {
                        return Err(Error::new(
                            ErrorKind::Lake,
                            "not every file can be read, so nothing was changed",
                        )
                        .with_context("problem", problem)
                        .with_hint("repair again when it can; if it never can, move the file away first"));
                    }
                }
            }
        }
        let dropped = damaged.iter().filter(|file| file.table != Table::LogObjects);
        let removed: Vec<(Table, String)> = dropped.map(|file| (file.table, file.path.clone())).collect();
        if !dry_run && !removed.is_empty() {
            let change = Change { removed, is_loss: true, ..Change::default() };
            let attempt = self.begin(MAINTENANCE).await?;
            self.replace(&attempt, &[], change).await.map_err(beaten)?;
        }
        Ok(damaged)
    }

    /// The log objects of which records or rejects are missing, or of which there are more than the ledger says, which
    /// is read without its damaged files. Records that expired are not missing.
    ///
    /// # Errors
    /// [`ErrorKind::Lake`] when a table cannot be read.
    pub async fn incomplete(&self, damaged: &[DamagedFile]) -> Result<Vec<Incomplete>> {
        let question = self.disagreements(None).await?;
        let answer = match damaged.iter().any(|file| file.table == Table::LogObjects) {
            true => self.sql_without(damaged, &question).await?,
            false => self.sql(&question).await?,
        };
        let mut found = Vec::new();
        for batch in answer {
            let text = |column: usize| super::verify::text(batch.column(column));
            let (buckets, keys) = (text(0)?, text(1)?);
            let (buckets, keys) = (buckets.as_string::<i32>(), keys.as_string::<i32>());
            let number = |column: usize| batch.column(column).as_primitive::<Int64Type>();
            let (ledger, there) = (number(2), number(3));
            for row in 0..batch.num_rows() {
                found.push(Incomplete {
                    log_bucket: buckets.is_valid(row).then(|| buckets.value(row).to_owned()),
                    log_key: keys.value(row).to_owned(),
                    missing: ledger.value(row) - there.value(row),
                });
            }
        }
        Ok(found)
    }

    /// An answer of the tables, of which the ledger is read without its damaged files. Its rows are held in memory.
    async fn sql_without(&self, damaged: &[DamagedFile], query: &str) -> Result<Vec<RecordBatch>> {
        let schema = Table::LogObjects.file_schema();
        let unknown = |e| store_error("read the ledger", self.location(), e);
        let mut columns = Vec::with_capacity(COUNTED.len());
        for name in COUNTED {
            columns.push(schema.index_of(name).map_err(unknown)?);
        }
        let schema = Arc::new(schema.project(&columns).map_err(unknown)?);
        let mut ledger = Vec::new();
        for file in self.described(Table::LogObjects.name(), &self.tables[Table::LogObjects as usize])? {
            if is_among(damaged, Table::LogObjects, &file.path) {
                continue;
            }
            let local = self.site.fetch(file.object()?).await?;
            let columns = columns.clone();
            let read = move || ledger_rows(local.path(), &columns);
            ledger.extend(tokio::task::spawn_blocking(read).await.map_err(task_error)??);
        }
        let failed = |e| store_error("read the tables", self.location(), e);
        let ledger = MemTable::try_new(schema, vec![ledger]).map_err(failed)?;
        let context = SessionContext::new();
        context.register_table(Table::LogObjects.name(), Arc::new(ledger)).map_err(failed)?;
        for table in [Table::AccessLogs, Table::Rejects] {
            context.register_table(table.name(), self.provider(table).await?).map_err(failed)?;
        }
        context.sql(query).await.map_err(failed)?.collect().await.map_err(failed)
    }

    /// Makes the lake as if it had never seen these log objects, and takes damaged files out of it that are there yet.
    ///
    /// # Errors
    /// As [`Lake::drop_damaged`].
    pub async fn forget(&mut self, objects: &[Incomplete], damaged: &[DamagedFile]) -> Result<Forgotten> {
        let gone = objects.iter().map(|object| (object.log_bucket.clone(), object.log_key.clone()));
        let gone: Arc<Objects> = Arc::new(gone.collect());
        self.begin_maintenance(false).await?;
        let attempt = self.begin(MAINTENANCE).await?;
        let mut parts = Vec::new();
        let mut change = Change { is_loss: true, ..Change::default() };
        let written = self.without(&gone, damaged, &mut parts, &mut change).await;
        let done = match written {
            Ok(records) => self.replace(&attempt, &parts, change).await.map(|()| records),
            Err(e) => Err(e),
        };
        match done {
            Ok(records) => Ok(Forgotten { objects: gone.len() as u64, records }),
            Err(error) => {
                // Nothing names these files.
                let _ = self.discard(&parts).await;
                Err(beaten(error))
            }
        }
    }

    /// Writes every file that has rows of these objects anew, without them; damaged files only go. The number of records
    /// left out.
    async fn without(
        &self,
        gone: &Arc<Objects>,
        damaged: &[DamagedFile],
        parts: &mut Vec<PartFile>,
        change: &mut Change,
    ) -> Result<u64> {
        let mut records = 0;
        for table in Table::ALL {
            for file in self.described(table.name(), &self.tables[table as usize])? {
                if is_among(damaged, table, &file.path) {
                    change.removed.push((table, file.path));
                    continue;
                }
                if gone.is_empty() {
                    continue;
                }
                let local = self.site.fetch(file.object()?).await?;
                let (dir, gone, path) = (self.table_dir(table), Arc::clone(gone), file.path.clone());
                let is_local = self.is_local();
                let write = move || rewrite(local.path(), table, &path, dir, &gone, is_local);
                let Some((left_out, written)) =
                    tokio::task::spawn_blocking(write).await.map_err(task_error)??
                else {
                    continue;
                };
                parts.extend(written);
                change.removed.push((table, file.path));
                if table == Table::AccessLogs {
                    records += left_out;
                }
            }
        }
        Ok(records)
    }
}

fn is_among(damaged: &[DamagedFile], table: Table, path: &str) -> bool {
    damaged.iter().any(|file| file.table == table && file.path == path)
}

/// Some columns of a file of the ledger.
fn ledger_rows(file: &Path, columns: &[usize]) -> Result<Vec<RecordBatch>> {
    let open = File::open(file).map_err(|e| Error::io("open a Parquet file", file, e))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(open)
        .and_then(|reader| reader.build())
        .map_err(|e| store_error("read a Parquet file", file, e))?;
    let failed = |e| store_error("read a Parquet file", file, e);
    let mut rows = Vec::new();
    for batch in reader {
        let batch = as_written(&batch.map_err(failed)?, Table::LogObjects)?;
        rows.push(batch.project(columns).map_err(failed)?);
    }
    Ok(rows)
}

/// The rows of a file but those of the objects in `gone`, as new files; `None` when it has none of them.
fn rewrite(
    file: &Path,
    table: Table,
    path: &str,
    dir: PathBuf,
    gone: &Objects,
    is_local: bool,
) -> Result<Option<(u64, Vec<PartFile>)>> {
    let failed = |e| store_error("read a Parquet file", file, e);
    let open = || File::open(file).map_err(|e| Error::io("open a Parquet file", file, e));
    // Two columns tell whether there is anything to do.
    let reader = ParquetRecordBatchReaderBuilder::try_new(open()?).map_err(failed)?;
    let mask = ProjectionMask::columns(reader.parquet_schema(), ["log_bucket", "log_key"]);
    let mut any = false;
    for batch in reader.with_projection(mask).build().map_err(failed)? {
        let batch = batch.map_err(|e| store_error("read a Parquet file", file, e))?;
        any = any || keep(&batch, gone)?.contains(&false);
    }
    if !any {
        return Ok(None);
    }
    let mut writer = DayWriter::new(dir.clone(), event_date(path).flatten(), is_local);
    let (mut left_out, mut side) = (0, Vec::new());
    let reader = ParquetRecordBatchReaderBuilder::try_new(open()?).map_err(failed)?;
    for batch in reader.build().map_err(failed)? {
        let batch = as_written(&batch.map_err(|e| store_error("read a Parquet file", file, e))?, table)?;
        let kept = keep(&batch, gone)?;
        left_out += kept.iter().filter(|kept| !**kept).count() as u64;
        let batch = filter_record_batch(&batch, &BooleanArray::from(kept))
            .map_err(|e| store_error("read a Parquet file", file, e))?;
        match table {
            Table::AccessLogs => writer.push(batch)?,
            Table::LogObjects | Table::Rejects => side.push(batch),
        }
    }
    writer.finish()?;
    let mut parts = writer.into_parts();
    if side.iter().any(|batch| batch.num_rows() > 0) {
        parts.push(write_part(&dir, table, None, &side, is_local)?);
    }
    Ok(Some((left_out, parts)))
}

/// Which rows are not of the objects in `gone`.
fn keep(batch: &RecordBatch, gone: &Objects) -> Result<Vec<bool>> {
    let column = |name: &str| {
        let column = batch.column_by_name(name);
        column.map_or_else(
            || Err(Error::new(ErrorKind::Lake, "a file lacks a column").with_context("column", name)),
            super::verify::text,
        )
    };
    let (buckets, keys) = (column("log_bucket")?, column("log_key")?);
    let (buckets, keys) = (buckets.as_string::<i32>(), keys.as_string::<i32>());
    let is_kept = |row: usize| {
        let bucket = buckets.is_valid(row).then(|| buckets.value(row).to_owned());
        !gone.contains(&(bucket, keys.value(row).to_owned()))
    };
    Ok((0..batch.num_rows()).map(is_kept).collect())
}
