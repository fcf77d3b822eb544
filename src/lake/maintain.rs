//! Looking after a lake: what is in it, whether it is sound, and what can go.
//!
//! `status` and `verify` only read. `vacuum` removes Parquet files and temporary files that no table and no intent
//! names, once they are old enough, and settles the intents that runs left behind; it touches nothing else. Names
//! of files and log objects go into sentences here, escaped: strangers chose some of them.

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, SecondsFormat, Utc};
use datafusion::prelude::SessionContext;
use deltalake::logstore::commit_uri_from_version;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rayon::prelude::*;
use serde::Deserialize;
use walkdir::WalkDir;

use super::open::local;
use super::{Files, Lake, OWN_FOLDER, Status, Table, TableStatus, Vacuumed, Verification};
use super::{store_error, task_error};
use crate::error::{Error, ErrorKind, Result, escape_line};

/// Problems of one kind listed by [`Lake::verify`]; a lake with more is not better known by listing them.
const LISTED: usize = 1000;

/// How often [`Lake::verify`] looks again when the tables disagree, since another process may be between two
/// commits, and how long it waits in between.
const LOOKS: usize = 3;
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);

/// A file of the lake that no table has.
struct Loose {
    path: PathBuf,
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
struct Described {
    table: Table,
    path: PathBuf,
    bytes: u64,
    rows: Option<u64>,
}

/// The part of a file's Delta statistics that says when its records are from.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TimeStats {
    num_records: Option<u64>,
    min_values: HashMap<String, serde_json::Value>,
    max_values: HashMap<String, serde_json::Value>,
    null_count: HashMap<String, serde_json::Value>,
}

impl Lake {
    /// Counts what is in the lake, from the newest Delta logs and a walk over the folders.
    ///
    /// # Errors
    /// [`ErrorKind::Lake`] when a Delta log or, where it has no statistics, a file is damaged; [`ErrorKind::Io`]
    /// when the operating system refuses.
    pub async fn status(&mut self) -> Result<Status> {
        let loose = self.loose().await?;
        let mut status = Status {
            location: self.root.display().to_string(),
            tables: Vec::with_capacity(Table::ALL.len()),
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
        for table in Table::ALL {
            status.tables.push(self.table_status(table).await?);
        }
        if let Some((first, last)) = self.time_range().await? {
            status.first_time = rfc3339(first);
            status.last_time = rfc3339(last);
        }
        Ok(status)
    }

    /// Compares everything with everything: the ledger's numbers with the rows of the tables, every Parquet file
    /// with its description (and reads it from end to end), the tables' last attempts with each other.
    ///
    /// # Errors
    /// As [`Lake::refresh`]. What is wrong inside a readable lake is no error but a problem of the report.
    pub async fn verify(&mut self) -> Result<Verification> {
        let mut report = Verification::default();
        for look in 1..=LOOKS {
            self.refresh().await?;
            let mut problems = self.compare_attempts().await?;
            match self.compare_rows().await {
                Ok((log_objects, differences)) => {
                    report.log_objects = log_objects;
                    problems.extend(differences);
                }
                Err(e) => problems.push(format!("The rows of the tables cannot be counted: {}.", e.report())),
            }
            report.problems = problems;
            if report.problems.is_empty() || look == LOOKS {
                break;
            }
            tokio::task::spawn_blocking(|| std::thread::sleep(BETWEEN_LOOKS)).await.map_err(task_error)?;
        }
        let mut files = Vec::new();
        for table in Table::ALL {
            files.extend(self.described(table)?);
        }
        let read = tokio::task::spawn_blocking(move || {
            files.par_iter().map(|file| (file.bytes, check_file(file))).collect::<Vec<_>>()
        })
        .await
        .map_err(task_error)?;
        for (bytes, outcome) in read {
            match outcome {
                Ok(rows) => {
                    report.read.add(bytes);
                    report.rows += rows;
                }
                Err(problem) => report.problems.push(problem),
            }
        }
        Ok(report)
    }

    /// Removes what attempts left behind: Parquet and temporary files older than `min_age` that no table has or had
    /// lately and no intent names, and the intents of dead attempts with their files. With `dry_run` it counts
    /// only. Older readers and time travel lose the files that a table dropped longer ago than `min_age`.
    ///
    /// `min_age` must exceed the time that a commit batch takes: an attempt names its files only once all are
    /// written.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when a file cannot be removed (those before it are gone, and nothing else is harmed);
    /// otherwise as [`Lake::recover`].
    pub async fn vacuum(&mut self, min_age: Duration, dry_run: bool) -> Result<Vacuumed> {
        let mut outcome = Vacuumed { dry_run, ..Vacuumed::default() };
        if dry_run {
            self.refresh().await?;
            for intent in self.intents().await? {
                let decided = self.txn(Table::AccessLogs, intent.source_id()).await?;
                outcome.intents += usize::from(intent.is_dead(decided));
            }
        } else {
            let recovery = self.recover().await?;
            outcome.intents = recovery.discarded;
            outcome.removed = Files { files: recovery.files_removed, bytes: recovery.bytes_removed };
        }
        let mut loose = self.loose().await?;
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
        let removed = tokio::task::spawn_blocking(move || {
            let mut removed = Files::default();
            for file in &loose {
                match std::fs::remove_file(&file.path) {
                    Ok(()) => removed.add(file.bytes),
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                    Err(e) => return Err(Error::io("remove a file", &file.path, e)),
                }
            }
            Ok(removed)
        })
        .await
        .map_err(task_error)??;
        outcome.removed.files += removed.files;
        outcome.removed.bytes += removed.bytes;
        Ok(outcome)
    }

    /// Every file of ours on the disk that no table has. Refreshes the lake.
    async fn loose(&mut self) -> Result<Vec<Loose>> {
        // The order matters to attempts that are running: their files first, then the intents that name them, then
        // the tables that have them. Whatever moves on in between is found at the next station.
        let root = self.root.clone();
        let found = tokio::task::spawn_blocking(move || walk(&root)).await.map_err(task_error)??;
        let intents = self.intents().await?;
        self.refresh().await?;
        let references = self.all_referenced().await?;
        let mut claims: HashMap<(Table, &str), Claim> = HashMap::new();
        for intent in &intents {
            let decided = self.txn(Table::AccessLogs, intent.source_id()).await?;
            let claim = if intent.is_dead(decided) { Claim::Dead } else { Claim::Pending };
            for part in intent.body.iter().flat_map(|body| &body.parts) {
                claims.insert((part.table, part.path.as_str()), claim);
            }
        }
        let now = SystemTime::now();
        let mut loose = Vec::new();
        for file in found {
            let mut age = now.duration_since(file.modified).unwrap_or_default();
            let mut claim = Claim::Nobody;
            if let Some((table, path)) = &file.part {
                let references = &references[*table as usize];
                if references.live.contains(path) {
                    continue;
                }
                if let Some(dropped) = references.removed.get(path) {
                    claim = Claim::Replaced;
                    if let Some(dropped) = dropped.and_then(DateTime::<Utc>::from_timestamp_millis) {
                        age = age.min((Utc::now() - dropped).to_std().unwrap_or_default());
                    }
                } else if let Some(named) = claims.get(&(*table, path.as_str())) {
                    claim = *named;
                }
            }
            loose.push(Loose { path: file.path, bytes: file.bytes, age, claim });
        }
        Ok(loose)
    }

    async fn table_status(&self, table: Table) -> Result<TableStatus> {
        let version = self.version(table)?;
        let commit = local(&self.table_dir(table), &commit_uri_from_version(Some(version)));
        let last_commit = match tokio::fs::metadata(&commit).await.and_then(|found| found.modified()) {
            Ok(time) => Some(DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Secs, true)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => return Err(Error::io("read the Delta log", &commit, e)),
        };
        let mut content = Files::default();
        let (mut rows, mut uncounted) = (0, Vec::new());
        for file in self.described(table)? {
            content.add(file.bytes);
            match file.rows {
                Some(known) => rows += known,
                None => uncounted.push(file.path),
            }
        }
        // Files written by other tools may come without statistics; their footers know.
        rows += tokio::task::spawn_blocking(move || {
            uncounted.par_iter().map(|path| footer_rows(path)).sum::<Result<u64>>()
        })
        .await
        .map_err(task_error)??;
        Ok(TableStatus { table, rows, content, version, last_commit })
    }

    fn described(&self, table: Table) -> Result<Vec<Described>> {
        let dir = self.table_dir(table);
        let describe = |file: deltalake::kernel::LogicalFileView| Described {
            table,
            path: dir.join(&*file.path()),
            bytes: u64::try_from(file.size()).unwrap_or(0),
            rows: file.num_records().map(|rows| rows as u64),
        };
        Ok(self.state(table)?.log_data().iter().map(describe).collect())
    }

    /// Times of the first and the last record, in microseconds.
    async fn time_range(&self) -> Result<Option<(i64, i64)>> {
        let mut range: Option<(i64, i64)> = None;
        let mut told = true;
        for file in self.state(Table::AccessLogs)?.log_data().iter() {
            let stats: TimeStats =
                file.stats().and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
            match (bound(&stats.min_values), bound(&stats.max_values)) {
                (Some(min), Some(max)) => {
                    let (first, last) = range.unwrap_or((min, max));
                    range = Some((first.min(min), last.max(max)));
                }
                _ => {
                    let nulls = stats.null_count.get("time").and_then(serde_json::Value::as_u64);
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

    /// Sources whose last attempt is not the same in all three tables.
    async fn compare_attempts(&self) -> Result<Vec<String>> {
        let intents = self.intents().await?;
        let mut sources: BTreeSet<String> =
            intents.iter().map(|intent| intent.source_id().to_owned()).collect();
        // When this fails, a file is damaged, and the problem is reported with the file.
        let named = "SELECT DISTINCT source_id FROM log_objects UNION SELECT DISTINCT source_id FROM rejects";
        for batch in self.sql(named).await.unwrap_or_default() {
            let ids = text(batch.column(0))?;
            let ids = ids.as_string::<i32>();
            sources
                .extend((0..ids.len()).filter(|row| ids.is_valid(*row)).map(|row| ids.value(row).to_owned()));
        }
        let mut problems = Vec::new();
        for source in sources {
            let logs = self.txn(Table::AccessLogs, &source).await?;
            let rejects = self.txn(Table::Rejects, &source).await?;
            let objects = self.txn(Table::LogObjects, &source).await?;
            if logs == rejects && logs == objects {
                continue;
            }
            let shown = |n: Option<i64>| n.map_or("none".to_owned(), |n| n.to_string());
            let pending =
                intents.iter().any(|intent| intent.source_id() == source && Some(intent.n()) == logs);
            let outlook = if pending { "the next ingest finishes it" } else { "its intent is missing" };
            problems.push(format!(
                "The last commit of source {} is attempt {} in access_logs, {} in rejects and {} in log_objects: {}.",
                escape_line(&source),
                shown(logs),
                shown(rejects),
                shown(objects),
                outlook,
            ));
        }
        Ok(problems)
    }

    /// The number of rows of the ledger, and every way in which the tables and it disagree.
    async fn compare_rows(&self) -> Result<(u64, Vec<String>)> {
        let mut problems = Vec::new();
        let batches = self.sql("SELECT count(*) AS n FROM log_objects").await?;
        let log_objects =
            batches.first().map_or(0, |batch| batch.column(0).as_primitive::<Int64Type>().value(0));

        let limit = LISTED + 1;
        let sums = format!(
            "SELECT log_bucket, log_key, lines, records, rejects, duplicates FROM log_objects
             WHERE lines <> records + rejects + duplicates ORDER BY log_bucket, log_key LIMIT {limit}"
        );
        list(&mut problems, &self.sql(&sums).await?, |object, [lines, records, rejects, duplicates]| {
            format!(
                "Log object {object}: its {lines} lines are not its {records} records, {rejects} rejects and \
                 {duplicates} duplicates."
            )
        })?;

        let twice = format!(
            "SELECT log_bucket, log_key, count(*) AS times, 0 AS b, 0 AS c, 0 AS d FROM log_objects
             GROUP BY log_bucket, log_key, etag HAVING count(*) > 1 ORDER BY log_bucket, log_key LIMIT {limit}"
        );
        list(&mut problems, &self.sql(&twice).await?, |object, [times, ..]| {
            format!("Log object {object} was taken in {times} times.")
        })?;

        // One key may have several rows in the ledger, with different etags, so it is the sums that must agree.
        let counts = format!(
            "SELECT log_bucket, log_key, sum(a) AS w, sum(b) AS x, sum(c) AS y, sum(d) AS z FROM (
                 SELECT log_bucket, log_key, records AS a, 0 AS b, rejects AS c, 0 AS d FROM log_objects
                 UNION ALL
                 SELECT log_bucket, log_key, 0 AS a, count(*) AS b, 0 AS c, 0 AS d FROM access_logs
                 GROUP BY log_bucket, log_key
                 UNION ALL
                 SELECT log_bucket, log_key, 0 AS a, 0 AS b, 0 AS c, count(*) AS d FROM rejects
                 GROUP BY log_bucket, log_key
             ) AS counted
             GROUP BY log_bucket, log_key HAVING sum(a) <> sum(b) OR sum(c) <> sum(d)
             ORDER BY log_bucket, log_key LIMIT {limit}"
        );
        list(&mut problems, &self.sql(&counts).await?, |object, [records, logs, rejects, lines]| {
            format!(
                "Log object {object}: the ledger has {records} records and {rejects} rejects, access_logs has \
                 {logs} rows and rejects has {lines}."
            )
        })?;
        Ok((u64::try_from(log_objects).unwrap_or(0), problems))
    }

    pub(super) async fn sql(&self, query: &str) -> Result<Vec<RecordBatch>> {
        let failed = |e| store_error("read the tables", &self.root, e);
        let context = SessionContext::new();
        for table in Table::ALL {
            context.register_table(table.name(), self.provider(table).await?).map_err(failed)?;
        }
        context.sql(query).await.map_err(failed)?.collect().await.map_err(failed)
    }
}

/// Appends a sentence for each row (log bucket, log key, four numbers), up to [`LISTED`].
fn list(
    problems: &mut Vec<String>,
    batches: &[RecordBatch],
    sentence: impl Fn(&str, [i64; 4]) -> String,
) -> Result<()> {
    let mut listed = 0;
    for batch in batches {
        let (buckets, keys) = (text(batch.column(0))?, text(batch.column(1))?);
        let (buckets, keys) = (buckets.as_string::<i32>(), keys.as_string::<i32>());
        for row in 0..batch.num_rows() {
            if listed == LISTED {
                problems.push(format!("There are more than {LISTED} of these; the others are not listed."));
                return Ok(());
            }
            let number = |column: usize| {
                let numbers = batch.column(column).as_primitive_opt::<Int64Type>();
                numbers.filter(|numbers| numbers.is_valid(row)).map_or(0, |numbers| numbers.value(row))
            };
            let key =
                if keys.is_valid(row) { escape_line(keys.value(row)) } else { "without a key".to_owned() };
            let object = match buckets.is_valid(row) {
                true => format!("{}/{key}", escape_line(buckets.value(row))),
                false => key,
            };
            problems.push(sentence(&object, [number(2), number(3), number(4), number(5)]));
            listed += 1;
        }
    }
    Ok(())
}

fn text(column: &ArrayRef) -> Result<ArrayRef> {
    cast(column, &DataType::Utf8)
        .map_err(|e| Error::new(ErrorKind::Internal, "a text column holds no text").with_source(e))
}

fn bound(values: &HashMap<String, serde_json::Value>) -> Option<i64> {
    let time = DateTime::parse_from_rfc3339(values.get("time")?.as_str()?).ok()?;
    Some(time.timestamp_micros())
}

fn rfc3339(micros: i64) -> Option<String> {
    Some(DateTime::<Utc>::from_timestamp_micros(micros)?.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// Rows of a Parquet file according to itself.
fn footer_rows(path: &Path) -> Result<u64> {
    let file = std::fs::File::open(path).map_err(|e| Error::io("open a Parquet file", path, e))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|e| store_error("read a Parquet file", path, e))?;
    Ok(u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(0))
}

/// Reads a file from end to end. The number of its rows, or what is wrong with it.
fn check_file(file: &Described) -> Result<u64, String> {
    let name = format!("File {} of {}", escape_line(&file.path.display().to_string()), file.table);
    let found = match std::fs::metadata(&file.path) {
        Ok(found) => found.len(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(format!("{name} is missing.")),
        Err(e) => return Err(format!("{name} cannot be read: {e}.")),
    };
    if found != file.bytes {
        return Err(format!("{name} has {found} bytes and should have {}.", file.bytes));
    }
    // Damaged pages have made decoders panic before; that too is an answer.
    let rows = match catch_unwind(AssertUnwindSafe(|| read_rows(&file.path))) {
        Ok(Ok(rows)) => rows,
        Ok(Err(e)) => return Err(format!("{name} is damaged: {}.", escape_line(&e.to_string()))),
        Err(_) => return Err(format!("{name} is damaged: its pages cannot be decoded.")),
    };
    match file.rows {
        Some(stated) if stated != rows => Err(format!("{name} has {rows} rows and should have {stated}.")),
        _ => Ok(rows),
    }
}

fn read_rows(path: &Path) -> std::result::Result<u64, Box<dyn std::error::Error>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path)?)?.build()?;
    let mut rows = 0;
    for batch in reader {
        rows += batch?.num_rows() as u64;
    }
    Ok(rows)
}

/// A file on the disk that may be ours.
struct Found {
    path: PathBuf,
    /// The table and the path in it, for Parquet files; `None` for temporary files.
    part: Option<(Table, String)>,
    bytes: u64,
    modified: SystemTime,
}

/// Every Parquet file in the tables' folders and every temporary file of the lake. Links are not followed.
fn walk(root: &Path) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for table in Table::ALL {
        walk_folder(&root.join(table.name()), Some(table), &mut found)?;
    }
    walk_folder(&root.join(OWN_FOLDER), None, &mut found)?;
    Ok(found)
}

fn walk_folder(folder: &Path, table: Option<Table>, found: &mut Vec<Found>) -> Result<()> {
    for entry in WalkDir::new(folder).follow_links(false) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) => match e.io_error().map(std::io::Error::kind) {
                // Removed while we walk.
                Some(std::io::ErrorKind::NotFound) => continue,
                _ => return Err(store_error("look into the lake", folder, e)),
            },
        };
        if !entry.file_type().is_file() {
            continue;
        }
        let Some(relative) = entry.path().strip_prefix(folder).ok().and_then(slashed) else { continue };
        let part = match (kind_of(&relative), table) {
            (Some(Kind::Part), Some(table)) => Some((table, relative)),
            (Some(Kind::Temporary), _) => None,
            _ => continue,
        };
        let (bytes, modified) = match entry.metadata().map_err(std::io::Error::from) {
            Ok(about) => {
                let modified = about.modified();
                (about.len(), modified.map_err(|e| Error::io("look into the lake", entry.path(), e))?)
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(Error::io("look into the lake", entry.path(), e)),
        };
        found.push(Found { path: entry.into_path(), part, bytes, modified });
    }
    Ok(())
}

/// A relative path with `/` between its parts; `None` when it is not UTF-8, and so none of ours.
fn slashed(path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
    parts.map(|parts| parts.join("/"))
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Part,
    Temporary,
}

/// What a file is, by its path in a table's or our own folder: a Parquet file, a Parquet file being written
/// (`.parquet.tmp`), an object that the store was writing (`#` and a number), or, `None`, nothing we may touch.
fn kind_of(path: &str) -> Option<Kind> {
    let name = path.rsplit('/').next().unwrap_or(path);
    if let Some((_, number)) = name.rsplit_once('#')
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
    {
        return Some(Kind::Temporary);
    }
    // Folders and files that Delta keeps for itself: _delta_log and the like.
    if path.split('/').any(|part| part.starts_with(['_', '.'])) {
        None
    } else if name.ends_with(".parquet") {
        Some(Kind::Part)
    } else {
        name.ends_with(".parquet.tmp").then_some(Kind::Temporary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_files_are_touched() {
        let part = Some(Kind::Part);
        let temporary = Some(Kind::Temporary);
        for (path, kind) in [
            ("part-1.parquet", &part),
            ("event_date=2026-01-01/part-1.parquet", &part),
            ("event_date=__HIVE_DEFAULT_PARTITION__/part-1.parquet", &part),
            ("event_date=2026-01-01/part-1.parquet.tmp", &temporary),
            ("_delta_log/00000000000000000007.json#1", &temporary),
            ("intents/local/17.json#2", &temporary),
            ("_delta_log/00000000000000000050.checkpoint.parquet", &None),
            ("_delta_log/00000000000000000007.json", &None),
            ("_change_data/cdc-1.parquet", &None),
            ("notes.txt", &None),
            ("intents/local/17.json", &None),
            ("a#b.txt", &None),
        ] {
            assert_eq!(kind_of(path), *kind, "{path}");
        }
    }
}
