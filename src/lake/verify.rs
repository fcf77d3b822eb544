//! Whether a lake is sound: everything compared with everything. It only reads.
//!
//! Names of files and log objects go into sentences here, escaped: strangers chose some of them.

use std::collections::BTreeSet;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::prelude::SessionContext;
use futures::{StreamExt, stream};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use twox_hash::XxHash3_128;

use super::commit::MAINTENANCE;
use super::compact::event_date;
use super::encode::{content_hash, partition_value};
use super::intent::StoredIntent;
use super::maintain::Described;
use super::{Lake, Table, Verification, store_error, task_error};
use crate::error::{Error, ErrorKind, Result, escape_line};

/// Problems of one kind listed by [`Lake::verify`]; a lake with more is not better known by listing them.
const LISTED: usize = 1000;

/// How often [`Lake::verify`] looks when the tables disagree, since another process may be between two commits. What
/// is not there each time was such a moment.
const LOOKS: u32 = 4;

impl Lake {
    /// Compares everything with everything: the ledger's numbers with the rows of the tables, every Parquet file
    /// with its description (and reads it from end to end), the tables' last attempts with each other. Of side
    /// tables, the files.
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
            if look > 1 {
                problems.retain(|problem| report.problems.contains(problem));
            }
            report.problems = problems;
            if report.problems.is_empty() || look == LOOKS {
                break;
            }
            let patience = self.site.patience() * 2u32.pow(look - 1);
            tokio::task::spawn_blocking(move || std::thread::sleep(patience)).await.map_err(task_error)?;
        }
        if self.is_repair_cut_short().await? {
            report.problems.push(
                "A repair was cut short and log objects may be missing: run `s3trail lake repair SOURCE` again."
                    .to_owned(),
            );
        }
        let mut files = Vec::new();
        for table in Table::ALL {
            files.extend(self.described(table.name(), &self.tables[table as usize])?);
        }
        for name in self.side_names().await? {
            let described = match self.side_state(&name).await {
                Ok(Some(delta)) => self.described(&name, &delta),
                Ok(None) => continue,
                Err(e) => Err(e),
            };
            match described {
                Ok(described) => files.extend(described),
                Err(e) => report.problems.push(format!("Side table {name} cannot be read: {}.", e.report())),
            }
        }
        let mut days = Vec::with_capacity(files.len());
        let mut checks = Vec::with_capacity(files.len());
        for file in files {
            let is_of_day = file.table == Table::AccessLogs.name();
            days.push(is_of_day.then(|| event_date(&file.path)).flatten().flatten());
            checks.push(self.check(file));
        }
        // Where files have to be fetched, that is one after the other and a few at a time.
        let mut checks = stream::iter(checks).buffered(self.site.reads_at_once()).zip(stream::iter(days));
        let mut damaged = BTreeSet::new();
        while let Some(((bytes, outcome), day)) = checks.next().await {
            match outcome {
                Ok(rows) => {
                    report.read.add(bytes);
                    report.rows += rows;
                }
                Err(flaw) => {
                    report.problems.push(flaw.into_problem());
                    damaged.extend(day);
                }
            }
        }
        for day in damaged {
            let affected = self.affected(day).await;
            report.problems.extend(affected.unwrap_or_else(|e| {
                vec![format!("Whose records are affected, the ledger cannot tell: {}.", e.report())]
            }));
        }
        Ok(report)
    }

    /// The log objects that have records of that day, of which a damaged file may have held some.
    async fn affected(&self, day: i32) -> Result<Vec<String>> {
        let (date, limit) = (partition_value(Some(day)), LISTED + 1);
        let sql = format!(
            "SELECT log_bucket, log_key, records AS a, 0 AS b, 0 AS c, 0 AS d FROM log_objects
             WHERE records > 0 AND CAST(first_time AS date) <= DATE '{date}' AND CAST(last_time AS date) >= DATE '{date}'
             ORDER BY log_bucket, log_key LIMIT {limit}"
        );
        let mut affected = Vec::new();
        list(&mut affected, &self.sql(&sql).await?, |object, [records, ..]| {
            format!("Log object {object} may be affected: of its {records} records, some are of {date}.")
        })?;
        Ok(affected)
    }

    /// Reads a file from end to end. The number of its rows, or what is wrong with it.
    pub(super) async fn check(&self, file: Described) -> (u64, Result<u64, Flaw>) {
        let bytes = file.bytes;
        let Some(object) = &file.object else {
            let path = escape_line(&file.path);
            let problem = format!("File {path} of {} has a path that leads nowhere.", file.table);
            return (bytes, Err(Flaw::Lost(problem)));
        };
        let name = format!("File {} of {}", escape_line(&self.site.name(object)), file.table);
        let local = match self.site.fetch(object).await {
            Ok(local) => local,
            Err(e) if e.kind() == ErrorKind::NotFound => {
                return (bytes, Err(Flaw::Lost(format!("{name} is missing."))));
            }
            Err(e) => return (bytes, Err(Flaw::Unread(format!("{name} cannot be read: {}.", e.report())))),
        };
        let outcome = tokio::task::spawn_blocking(move || check_file(&name, local.path(), &file)).await;
        (bytes, outcome.unwrap_or_else(|e| Err(Flaw::Unread(format!("A file could not be checked: {e}.")))))
    }

    /// Sources whose last attempt is not the same in all three tables.
    async fn compare_attempts(&self) -> Result<Vec<String>> {
        let intents = self.intents().await?;
        let sources = self.committers(&intents).await?;
        let mut problems = Vec::new();
        for source in sources {
            let logs = self.txn(Table::AccessLogs, &source).await?;
            let rejects = self.txn(Table::Rejects, &source).await?;
            let objects = self.txn(Table::LogObjects, &source).await?;
            if logs == rejects && logs == objects {
                continue;
            }
            let shown = |n: Option<i64>| n.map_or("none".to_owned(), |n| n.to_string());
            let pending = intents.iter().any(|intent| intent.source_id == source && Some(intent.n) == logs);
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

    /// The sources known to have committed: those with intents, maintenance, and those that rows name.
    pub(super) async fn committers(&self, intents: &[StoredIntent]) -> Result<BTreeSet<String>> {
        let mut sources: BTreeSet<String> = intents.iter().map(|intent| intent.source_id.clone()).collect();
        sources.insert(MAINTENANCE.to_owned());
        for table in [Table::LogObjects, Table::Rejects] {
            let named = format!("SELECT DISTINCT source_id FROM {}", table.name());
            // When this fails, a file is damaged, and the problem is reported with the file.
            for batch in self.sql(&named).await.unwrap_or_default() {
                let ids = text(batch.column(0))?;
                let ids = ids.as_string::<i32>();
                let known = (0..ids.len()).filter(|row| ids.is_valid(*row));
                sources.extend(known.map(|row| ids.value(row).to_owned()));
            }
        }
        Ok(sources)
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

        let counts = self.disagreements(Some(limit)).await?;
        list(&mut problems, &self.sql(&counts).await?, |object, [records, logs, rejects, lines]| {
            format!(
                "Log object {object}: the ledger has {records} records and {rejects} rejects, access_logs has \
                 {logs} rows and rejects has {lines}."
            )
        })?;
        Ok((u64::try_from(log_objects).unwrap_or(0), problems))
    }

    /// The question for the log objects of which the tables and the ledger do not say the same: bucket, key, records and
    /// rejects by the ledger, each followed by what is there.
    pub(super) async fn disagreements(&self, limit: Option<usize>) -> Result<String> {
        // Of log objects with records from before that day, some or all may be gone.
        let expired = match self.expired_before().await? {
            Some(day) => format!("DATE '{}'", partition_value(Some(day))),
            None => "NULL".to_owned(),
        };
        let limit = limit.map_or_else(String::new, |limit| format!("LIMIT {limit}"));
        // One key may have several rows in the ledger, with different etags, so it is the sums that must agree.
        Ok(format!(
            "SELECT log_bucket, log_key, sum(a) AS w, sum(b) AS x, sum(c) AS y, sum(d) AS z FROM (
                 SELECT log_bucket, log_key, records AS a, 0 AS b, rejects AS c, 0 AS d, first_time FROM log_objects
                 UNION ALL
                 SELECT log_bucket, log_key, 0 AS a, count(*) AS b, 0 AS c, 0 AS d, NULL AS first_time
                 FROM access_logs GROUP BY log_bucket, log_key
                 UNION ALL
                 SELECT log_bucket, log_key, 0 AS a, 0 AS b, 0 AS c, count(*) AS d, NULL AS first_time
                 FROM rejects GROUP BY log_bucket, log_key
             ) AS counted
             GROUP BY log_bucket, log_key
             HAVING sum(c) <> sum(d) OR sum(a) < sum(b)
                 OR sum(a) > sum(b) AND coalesce(min(first_time) >= {expired}, true)
             ORDER BY log_bucket, log_key {limit}"
        ))
    }

    pub(super) async fn sql(&self, query: &str) -> Result<Vec<RecordBatch>> {
        let failed = |e| store_error("read the tables", self.location(), e);
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

pub(super) fn text(column: &ArrayRef) -> Result<ArrayRef> {
    cast(column, &DataType::Utf8)
        .map_err(|e| Error::new(ErrorKind::Internal, "a text column holds no text").with_source(e))
}

/// What is wrong with a file, in a sentence.
#[derive(Debug)]
pub(super) enum Flaw {
    /// It is gone, or is not what was written.
    Lost(String),
    /// It could not be read this time, which says nothing of what is in it.
    Unread(String),
}

impl Flaw {
    pub(super) fn into_problem(self) -> String {
        match self {
            Flaw::Lost(problem) | Flaw::Unread(problem) => problem,
        }
    }
}

fn check_file(name: &str, path: &Path, file: &Described) -> Result<u64, Flaw> {
    let lost = |what: String| Err(Flaw::Lost(format!("{name} {what}.")));
    let refused = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => Flaw::Lost(format!("{name} is missing.")),
        _ => Flaw::Unread(format!("{name} cannot be read: {e}.")),
    };
    let bytes = std::fs::metadata(path).map_err(refused)?.len();
    if bytes != file.bytes {
        return lost(format!("has {bytes} bytes and should have {}", file.bytes));
    }
    // All of it is read before anything is made of it: what fails after that is no failure to read.
    let hash = hash_of(path).map_err(refused)?;
    // A flipped bit in text or in a number is still text and a number: only the hash tells.
    if file.hash.as_ref().is_some_and(|written| *written != hash) {
        return lost("is damaged: its bytes are not those that were written".to_owned());
    }
    // Damaged pages have made decoders panic before; that too is an answer.
    let rows = catch_unwind(AssertUnwindSafe(|| read_rows(path).map_err(|e| escape_line(&e.to_string()))));
    let rows = match rows.unwrap_or_else(|_| Err("its pages cannot be decoded".to_owned())) {
        Ok(rows) => rows,
        // What has the bytes that were written is not damaged, whatever failed.
        Err(e) if file.hash.is_some() => return Err(Flaw::Unread(format!("{name} cannot be read: {e}."))),
        Err(e) => return lost(format!("is damaged: {e}")),
    };
    match file.rows {
        Some(stated) if stated != rows => lost(format!("has {rows} rows and should have {stated}")),
        _ => Ok(rows),
    }
}

fn hash_of(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = XxHash3_128::new();
    let mut bytes = vec![0; 1 << 20];
    loop {
        match file.read(&mut bytes) {
            Ok(0) => return Ok(content_hash(hash.finish_128())),
            Ok(read) => hash.write(&bytes[..read]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
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
