//! Looking after a lake: what is in it, and what can go.
//!
//! `status` only reads. `vacuum` removes Parquet files and temporary files that no table and no intent names, once
//! they are old enough, and settles the intents that runs left behind; it touches nothing else.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use arrow::array::{Array, AsArray};
use arrow::datatypes::TimestampMicrosecondType;
use chrono::{DateTime, SecondsFormat, Utc};
use deltalake::DeltaTable;
use deltalake::kernel::LogicalFileView;
use futures::{StreamExt, stream};
use object_store::path::Path as ObjectPath;
use object_store::{Error as StoreError, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;

use super::delta::{Referenced, loaded, log_entry, referenced};
use super::open::inside;
use super::parts::HASH_TAG;
use super::{Files, Lake, Status, Table, TableName, TableStatus, Vacuumed};
use super::{store_error, task_error};
use crate::error::{Error, ErrorKind, Result};

/// A file of the lake that no table has.
struct Loose {
    object: ObjectPath,
    bytes: u64,
    /// Since it was written, or since a table dropped it.
    age: Duration,
    claim: Claim,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Claim {
    Nobody,
    /// A table had it.
    Replaced,
    /// An attempt that may be running, or that committed, names it.
    Pending,
    /// A dead attempt names it.
    Dead,
}

/// A Parquet file as the Delta log describes it.
pub(super) struct Described {
    pub(super) table: String,
    /// `None` when its path leads nowhere.
    pub(super) object: Option<ObjectPath>,
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) rows: Option<u64>,
    /// Of its bytes, when it was written by a version that noted it.
    pub(super) hash: Option<String>,
}

impl Described {
    /// Where the file is.
    pub(super) fn object(&self) -> Result<&ObjectPath> {
        self.object.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Lake, "the path of a Parquet file leads nowhere")
                .with_context("table", self.table.as_str())
                .with_context("path", self.path.as_str())
        })
    }
}

/// A file's Delta statistics, by column. From their text: what deltalake has of it in columns lacks the nulls of all but
/// numbers.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FileStats {
    num_records: Option<u64>,
    min_values: HashMap<String, serde_json::Value>,
    max_values: HashMap<String, serde_json::Value>,
    null_count: HashMap<String, serde_json::Value>,
}

impl FileStats {
    /// What the log says of the file; nothing where it has no statistics, or damaged ones.
    pub(super) fn of(file: &LogicalFileView) -> FileStats {
        file.stats().and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default()
    }

    /// How many rows have no value in a column.
    pub(super) fn nulls(&self, column: &str) -> Option<u64> {
        self.null_count.get(column)?.as_u64()
    }
}

impl Lake {
    /// Counts what is in the lake, from the newest Delta logs and a walk over its files.
    ///
    /// # Errors
    /// [`ErrorKind::Lake`] when a Delta log (also a side table's) or, where it has no statistics, a file is damaged;
    /// [`ErrorKind::Io`] when the operating system or the store refuses.
    pub async fn status(&mut self) -> Result<Status> {
        let (loose, sides) = self.loose().await?;
        let mut status = Status {
            location: self.location(),
            tables: Vec::new(),
            first_time: None,
            last_time: None,
            pending_intents: self.intents().await?.len(),
            remains: Files::default(),
            replaced: Files::default(),
        };
        for file in &loose {
            match file.claim {
                Claim::Nobody => status.remains.add(file.bytes),
                Claim::Replaced => status.replaced.add(file.bytes),
                Claim::Pending | Claim::Dead => {}
            }
        }
        status.tables = self.tables().await?;
        for (name, delta) in sides {
            status.tables.push(self.table_status(TableName(name), &delta).await?);
        }
        if let Some((first, last)) = self.time_range().await? {
            status.first_time = rfc3339(first);
            status.last_time = rfc3339(last);
        }
        Ok(status)
    }

    /// What is in the three tables, as of the state in memory: cheaper than [`Lake::status`], which looks at every file.
    ///
    /// # Errors
    /// As [`Lake::provider`].
    pub async fn tables(&self) -> Result<Vec<TableStatus>> {
        let mut tables = Vec::with_capacity(Table::ALL.len());
        for table in Table::ALL {
            tables.push(self.table_status(table.into(), &self.tables[table as usize]).await?);
        }
        Ok(tables)
    }

    /// Removes what attempts left behind: Parquet and temporary files older than `min_age` that no table has or had
    /// lately and no intent names, and the intents of dead attempts with their files. With `dry_run` it counts
    /// only. Older readers and time travel lose the files that a table dropped longer ago than `min_age`.
    ///
    /// `min_age` must exceed the time that a commit batch takes: an attempt names its files only once all are
    /// written, and uploaded.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when a file cannot be removed (others may be gone, and nothing else is harmed);
    /// [`ErrorKind::Lake`] when a side table is damaged; otherwise as [`Lake::recover`].
    pub async fn vacuum(&mut self, min_age: Duration, dry_run: bool) -> Result<Vacuumed> {
        let mut outcome = Vacuumed { dry_run, ..Vacuumed::default() };
        if dry_run {
            self.refresh().await?;
            for intent in self.intents().await? {
                let decided = self.txn(Table::AccessLogs, &intent.source_id).await?;
                outcome.intents += usize::from(intent.is_dead(decided));
            }
        } else {
            let recovery = self.recover().await?;
            outcome.intents = recovery.discarded;
            outcome.removed = Files { files: recovery.files_removed, bytes: recovery.bytes_removed };
        }
        let (mut loose, _) = self.loose().await?;
        loose.retain(|file| match file.claim {
            Claim::Nobody | Claim::Replaced => file.age >= min_age,
            Claim::Pending => false,
            // What recovery left is not dead after all.
            Claim::Dead => dry_run,
        });
        if dry_run {
            loose.iter().for_each(|file| outcome.removed.add(file.bytes));
            return Ok(outcome);
        }
        let objects = loose.into_iter().map(|file| (file.object, file.bytes)).collect();
        let removed = self.site.remove(objects).await?;
        outcome.removed.files += removed.files;
        outcome.removed.bytes += removed.bytes;
        Ok(outcome)
    }

    /// Every file of ours that no table has, and the side tables. Refreshes the lake.
    async fn loose(&mut self) -> Result<(Vec<Loose>, Vec<(String, DeltaTable)>)> {
        // The order matters to attempts that are running: their files first, then the intents that name them, then
        // the tables that have them. Whatever moves on in between is found at the next station.
        let side_names = self.side_names().await?;
        let three = Table::ALL.iter().map(|table| table.name().to_owned());
        let found = self.site.walk(three.chain(side_names.iter().cloned()).collect()).await?;
        let intents = self.intents().await?;
        self.refresh().await?;
        let mut references: HashMap<String, Referenced> = HashMap::new();
        for (table, referenced) in Table::ALL.into_iter().zip(self.all_referenced().await?) {
            references.insert(table.name().to_owned(), referenced);
        }
        let mut sides = Vec::new();
        for name in side_names {
            // One that was never made has no files either.
            let Some(delta) = self.side_state(&name).await? else { continue };
            references.insert(name.clone(), referenced(self.site.as_ref(), &name, &delta).await?);
            sides.push((name, delta));
        }
        let mut claims: HashMap<(&str, &str), Claim> = HashMap::new();
        for intent in &intents {
            let decided = self.txn(Table::AccessLogs, &intent.source_id).await?;
            let claim = if intent.is_dead(decided) { Claim::Dead } else { Claim::Pending };
            for part in intent.body.iter().flat_map(|body| &body.parts) {
                claims.insert((part.table.name(), part.path.as_str()), claim);
            }
        }
        let now = SystemTime::now();
        let mut loose = Vec::new();
        for file in found {
            let mut age = now.duration_since(file.modified).unwrap_or_default();
            let mut claim = Claim::Nobody;
            if let Some((table, path)) = &file.part {
                let Some(references) = references.get(table) else { continue };
                if references.live.contains(path) {
                    continue;
                }
                if let Some(dropped) = references.removed.get(path) {
                    claim = Claim::Replaced;
                    if let Some(dropped) = dropped.and_then(DateTime::<Utc>::from_timestamp_millis) {
                        age = age.min((Utc::now() - dropped).to_std().unwrap_or_default());
                    }
                } else if let Some(named) = claims.get(&(table.as_str(), path.as_str())) {
                    claim = *named;
                }
            }
            loose.push(Loose { object: file.object, bytes: file.bytes, age, claim });
        }
        Ok((loose, sides))
    }

    async fn table_status(&self, table: TableName, delta: &DeltaTable) -> Result<TableStatus> {
        let version = loaded(self.site.as_ref(), table.name(), delta)?.version();
        let commit = log_entry(table.name(), version);
        let last_commit = match self.site.store().head(&commit).await {
            Ok(found) => Some(found.last_modified.to_rfc3339_opts(SecondsFormat::Secs, true)),
            Err(StoreError::NotFound { .. }) => None,
            Err(e) => return Err(store_error("read the Delta log", self.site.name(&commit), e)),
        };
        let mut content = Files::default();
        let (mut rows, mut uncounted) = (0, Vec::new());
        for file in self.described(table.name(), delta)? {
            content.add(file.bytes);
            match file.rows {
                Some(known) => rows += known,
                None => uncounted.push(self.rows_of(file)),
            }
        }
        // Files written by other tools may come without statistics; their footers know.
        let mut uncounted = stream::iter(uncounted).buffer_unordered(self.site.reads_at_once());
        while let Some(counted) = uncounted.next().await {
            rows += counted?;
        }
        Ok(TableStatus { table, rows, content, version, last_commit })
    }

    /// Rows of a Parquet file according to itself.
    async fn rows_of(&self, file: Described) -> Result<u64> {
        let local = self.site.fetch(file.object()?).await?;
        tokio::task::spawn_blocking(move || footer_rows(local.path())).await.map_err(task_error)?
    }

    /// The files of a table, as of the state in memory.
    pub(super) fn described(&self, table: &str, delta: &DeltaTable) -> Result<Vec<Described>> {
        let describe = |file: LogicalFileView| {
            let path = file.path().into_owned();
            Described {
                table: table.to_owned(),
                object: inside(table, &path),
                path,
                bytes: u64::try_from(file.size()).unwrap_or(0),
                rows: file.num_records().map(|rows| rows as u64),
                hash: noted_hash(&file),
            }
        };
        let state = loaded(self.site.as_ref(), table, delta)?;
        Ok(state.log_data().iter().map(describe).collect())
    }

    /// Times of the first and the last record, in microseconds.
    async fn time_range(&self) -> Result<Option<(i64, i64)>> {
        let mut range: Option<(i64, i64)> = None;
        let mut told = true;
        for file in self.state(Table::AccessLogs)?.log_data().iter() {
            let stats = FileStats::of(&file);
            match (bound(&stats.min_values), bound(&stats.max_values)) {
                (Some(min), Some(max)) => {
                    let (first, last) = range.unwrap_or((min, max));
                    range = Some((first.min(min), last.max(max)));
                }
                _ => {
                    let nulls = stats.nulls("time");
                    told &= nulls.is_some() && nulls == stats.num_records;
                }
            }
        }
        if told {
            return Ok(range);
        }
        // Some file does not say: ask the rows.
        let batches = self.sql("SELECT min(time) AS a, max(time) AS b FROM access_logs").await?;
        let value = |column: usize| {
            let values = batches.first()?.column(column).as_primitive_opt::<TimestampMicrosecondType>()?;
            (values.len() == 1 && values.is_valid(0)).then(|| values.value(0))
        };
        Ok(value(0).zip(value(1)))
    }
}

/// The hash of a file's bytes as the Delta log has it.
#[expect(deprecated, reason = "nothing else tells the tags of a file")]
pub(super) fn noted_hash(file: &LogicalFileView) -> Option<String> {
    file.add_action().tags?.remove(HASH_TAG)?
}

fn bound(values: &HashMap<String, serde_json::Value>) -> Option<i64> {
    let time = DateTime::parse_from_rfc3339(values.get("time")?.as_str()?).ok()?;
    Some(time.timestamp_micros())
}

fn rfc3339(micros: i64) -> Option<String> {
    Some(DateTime::<Utc>::from_timestamp_micros(micros)?.to_rfc3339_opts(SecondsFormat::Secs, true))
}

fn footer_rows(path: &Path) -> Result<u64> {
    let file = std::fs::File::open(path).map_err(|e| Error::io("open a Parquet file", path, e))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|e| store_error("read a Parquet file", path, e))?;
    Ok(u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(0))
}
