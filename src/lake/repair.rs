//! Repair: what damage has taken from the lake is made ready to be taken in again.
//!
//! Two steps, each an attempt of the commit protocol. Files of `access_logs` that are gone or damaged leave the table, so
//! that it can be read again. Then log objects of which the tables do not have what the ledger says are forgotten: their
//! remaining records, their rejects and their rows of the ledger go in one commit, and the next ingest takes them in as new.
//! Which log objects are still to be had is known to the caller: nothing is forgotten that is not. Damage of the other
//! two tables, and of a Delta log, is for a backup.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Serialize;

use super::commit::MAINTENANCE;
use super::compact::{DayWriter, as_written, beaten, event_date};
use super::encode::write_part;
use super::intent::Change;
use super::{Lake, PartFile, Table, store_error, task_error};
use crate::error::{Error, ErrorKind, Result};

/// A file of `access_logs` that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DamagedFile {
    /// Below the table's folder.
    pub path: String,
    /// Records it is said to have.
    pub records: Option<u64>,
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

impl Lake {
    /// Finds the files of `access_logs` that are missing or damaged and, unless `dry_run`, takes them out of the table.
    /// They stay where they are until they are vacuumed.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when another process compacts or expires at the same
    /// time; otherwise as [`Lake::recover`].
    pub async fn drop_damaged(&mut self, dry_run: bool) -> Result<Vec<DamagedFile>> {
        self.begin_maintenance(dry_run).await?;
        let mut damaged = Vec::new();
        for file in self.described(Table::AccessLogs.name(), &self.tables[Table::AccessLogs as usize])? {
            let (path, records) = (file.path.clone(), file.rows);
            if let (_, Err(problem)) = self.check(file).await {
                damaged.push(DamagedFile { path, records, problem });
            }
        }
        if !dry_run && !damaged.is_empty() {
            let removed = damaged.iter().map(|file| (Table::AccessLogs, file.path.clone())).collect();
            let change = Change { removed, is_loss: true, ..Change::default() };
            let attempt = self.begin(MAINTENANCE).await?;
            self.replace(&attempt, &[], change).await.map_err(beaten)?;
        }
        Ok(damaged)
    }

    /// The log objects of which records or rejects are missing, or of which there are more than the ledger says. Records
    /// that expired are not missing.
    ///
    /// # Errors
    /// [`ErrorKind::Lake`] when a table cannot be read.
    pub async fn incomplete(&self) -> Result<Vec<Incomplete>> {
        let mut found = Vec::new();
        for batch in self.sql(&self.disagreements(None).await?).await? {
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

    /// Makes the lake as if it had never seen these log objects.
    ///
    /// # Errors
    /// As [`Lake::drop_damaged`].
    pub async fn forget(&mut self, objects: &[Incomplete]) -> Result<Forgotten> {
        let gone = objects.iter().map(|object| (object.log_bucket.clone(), object.log_key.clone()));
        let gone: Arc<Objects> = Arc::new(gone.collect());
        self.begin_maintenance(false).await?;
        let attempt = self.begin(MAINTENANCE).await?;
        let mut parts = Vec::new();
        let mut change = Change { is_loss: true, ..Change::default() };
        let written = self.without(&gone, &mut parts, &mut change).await;
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

    /// Writes every file that has rows of these objects anew, without them. The number of records left out.
    async fn without(
        &self,
        gone: &Arc<Objects>,
        parts: &mut Vec<PartFile>,
        change: &mut Change,
    ) -> Result<u64> {
        let mut records = 0;
        for table in Table::ALL {
            for file in self.described(table.name(), &self.tables[table as usize])? {
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
