//! The pipeline: log objects in, commit batches out. The only place where tokio meets rayon.
//!
//! Log objects are gathered into commit batches; `work` turns a batch into part files on all cores; the lake makes
//! them visible in one commit. What the ledger knows is not read again, so running twice adds nothing, and a run
//! that was cut short is finished by running again.

mod duplicates;
mod pool;
mod rows;
mod work;

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::lake::{Lake, Ledger, PartFile, Table};
use crate::record::Quirk;
use crate::source::{Found, LogObject, Skipped, Sources};
use rows::Common;
use work::{Target, Trouble};

/// Objects of a commit batch at most: each needs a row of the ledger in memory.
const COMMIT_OBJECTS: usize = 200_000;
/// How often a commit batch is done again because another writer was faster.
const MAX_CONFLICTS: usize = 20;

/// Settings of a run.
#[derive(Debug, Clone)]
pub struct IngestOptions {
    /// The destination bucket the objects came from; null columns when unknown.
    pub log_bucket: Option<String>,
    /// Bytes of log objects that become visible in one commit.
    pub commit_bytes: u64,
    /// Bytes of text that make one part file.
    pub part_bytes: u64,
    /// Whether files are synced to disk; false only for lakes that are thrown away.
    pub durable: bool,
}

impl Default for IngestOptions {
    fn default() -> Self {
        Self { log_bucket: None, commit_bytes: 1 << 30, part_bytes: 512 << 20, durable: true }
    }
}

/// Told how the work goes on; called from many threads.
pub trait Progress: Sync {
    /// So many more bytes of text were read, so many records and rejects found in them.
    fn add(&self, bytes: u64, records: u64, rejects: u64);
    /// A line was refused.
    fn reject(&self, log_key: &str, offset: u64, reason: &str);
    /// A file below a folder was not taken for a log object.
    fn skipped(&self, skipped: &Skipped);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn add(&self, _: u64, _: u64, _: u64) {}
    fn reject(&self, _: &str, _: u64, _: &str) {}
    fn skipped(&self, _: &Skipped) {}
}

/// A log object that could not be read; nothing of it is in the lake.
#[derive(Debug)]
pub struct Failure {
    /// The file.
    pub place: String,
    /// Why.
    pub error: Error,
}

/// What a run did. The first ten fields are the stable shape of `ingest --json`.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// Log objects taken in.
    pub objects: u64,
    /// Lines of those objects; always records + rejects + duplicates.
    pub lines: u64,
    /// Records now in `access_logs`.
    pub records: u64,
    /// Lines now in `rejects`.
    pub rejects: u64,
    /// Lines removed because the same line came before in the same commit batch.
    pub duplicates: u64,
    /// Bytes of log objects, as stored.
    pub bytes_in: u64,
    /// Bytes of the Parquet files written.
    pub bytes_out: u64,
    /// Seconds it took.
    pub seconds: f64,
    /// Deviations accepted, by name.
    pub quirks: BTreeMap<&'static str, u64>,
    /// Commits that became visible.
    pub commit_batches: u64,
    /// Log objects the ledger knew already.
    pub known_objects: u64,
    /// Files that were not taken for log objects.
    pub skipped_files: u64,
    /// Log objects that could not be read.
    pub failed_objects: u64,
    /// Commits of an earlier run that this run finished.
    pub recovered_commits: u64,
    /// Why they could not be read.
    #[serde(skip)]
    pub failures: Vec<Failure>,
}

impl Summary {
    /// Rejects for each line, 0 to 1.
    pub fn reject_ratio(&self) -> f64 {
        if self.lines == 0 { 0.0 } else { self.rejects as f64 / self.lines as f64 }
    }
}

/// Takes the log objects of `sources` into `lake`; with no lake only reads and counts (a dry run).
///
/// Needs a multi-threaded tokio runtime and uses rayon's pool. Errors when the lake cannot be written; objects
/// that cannot be read are in [`Summary::failures`], and everything else is taken in.
pub async fn ingest(
    lake: Option<&mut Lake>,
    sources: Sources,
    options: &IngestOptions,
    progress: &dyn Progress,
) -> Result<Summary> {
    let started = Instant::now();
    let mut run = Run { summary: Summary::default(), options, progress, ledger: Ledger::default(), lake };
    run.prepare().await?;
    let mut batch = Vec::new();
    let mut bytes = 0;
    for found in sources {
        match found {
            Found::Object(object) => {
                bytes += object.size;
                batch.push(object);
                if bytes >= options.commit_bytes || batch.len() >= COMMIT_OBJECTS {
                    run.commit_batch(std::mem::take(&mut batch)).await?;
                    bytes = 0;
                }
            }
            Found::Skipped(skipped) => {
                progress.skipped(&skipped);
                run.summary.skipped_files += 1;
            }
            Found::Unreadable(error) => {
                run.summary.failures.push(Failure { place: String::new(), error });
            }
        }
    }
    if !batch.is_empty() {
        run.commit_batch(batch).await?;
    }
    let mut summary = run.summary;
    summary.failed_objects = summary.failures.len() as u64;
    summary.seconds = started.elapsed().as_secs_f64();
    Ok(summary)
}

/// The source id of the commit protocol: a stable hash of the bucket read, or `local`.
pub fn source_id(log_bucket: Option<&str>) -> String {
    match log_bucket {
        Some(bucket) => format!("b{:016x}", twox_hash::XxHash3_128::oneshot(bucket.as_bytes()) as u64),
        None => "local".to_owned(),
    }
}

struct Run<'a> {
    summary: Summary,
    options: &'a IngestOptions,
    progress: &'a dyn Progress,
    ledger: Ledger,
    lake: Option<&'a mut Lake>,
}

impl Run<'_> {
    async fn prepare(&mut self) -> Result<()> {
        if let Some(lake) = &mut self.lake {
            let recovery = lake.recover().await?;
            self.summary.recovered_commits += recovery.rolled_forward as u64;
            self.ledger = lake.ledger().await?;
        }
        Ok(())
    }

    /// Takes a commit batch in, however often that has to be tried.
    async fn commit_batch(&mut self, mut objects: Vec<LogObject>) -> Result<()> {
        let id = source_id(self.options.log_bucket.as_deref());
        let mut conflicts = 0;
        loop {
            let attempt = match &mut self.lake {
                Some(lake) => Some(lake.begin(&id).await?),
                None => None,
            };
            let target = self.lake.as_ref().map(|lake| Target {
                access_logs: lake.table_dir(Table::AccessLogs),
                log_objects: lake.table_dir(Table::LogObjects),
                rejects: lake.table_dir(Table::Rejects),
            });
            let commit_batch = attempt.as_ref().map_or(String::new(), |a| format!("{}/{}", a.source_id, a.n));
            let common = Common {
                log_bucket: self.options.log_bucket.as_deref(),
                source_id: &id,
                commit_batch: &commit_batch,
                ingested_at_us: now_us(),
            };
            let (parts, result) = tokio::task::block_in_place(|| {
                work::run(&objects, self.options, common, target.as_ref(), &self.ledger, self.progress)
            });
            let done = match result {
                Ok(done) => done,
                Err(Trouble::Object(at, error)) => {
                    self.discard(&parts).await?;
                    let object = objects.remove(at);
                    self.summary.failures.push(Failure { place: object.path.display().to_string(), error });
                    continue;
                }
                Err(Trouble::Fatal(error)) => {
                    // The first error is the one to tell; what is left behind is invisible and vacuumed.
                    let _ = self.discard(&parts).await;
                    return Err(error);
                }
            };
            if let (Some(lake), Some(attempt)) = (&mut self.lake, &attempt)
                && !done.objects.is_empty()
            {
                match lake.commit(attempt, &parts).await {
                    Ok(()) => self.summary.commit_batches += 1,
                    Err(e) if e.kind() == ErrorKind::Conflict => {
                        self.discard(&parts).await?;
                        conflicts += 1;
                        if conflicts == MAX_CONFLICTS {
                            return Err(e.with_hint(
                                "other runs keep committing to this lake: run again when they are done",
                            ));
                        }
                        self.prepare().await?;
                        continue;
                    }
                    Err(e) => {
                        // Files of an attempt that may have committed are left by this.
                        let _ = self.discard(&parts).await;
                        return Err(e);
                    }
                }
            }
            self.account(done);
            return Ok(());
        }
    }

    async fn discard(&self, parts: &[PartFile]) -> Result<()> {
        match &self.lake {
            Some(lake) => lake.discard(parts).await,
            None => Ok(()),
        }
    }

    fn account(&mut self, done: work::Done) {
        let summary = &mut self.summary;
        for row in &done.objects {
            summary.objects += 1;
            summary.lines += row.lines;
            summary.records += row.records;
            summary.rejects += row.rejects;
            summary.duplicates += row.duplicates;
            summary.bytes_in += row.size_bytes;
            self.ledger.insert(self.options.log_bucket.as_deref(), &row.key, &row.etag);
        }
        summary.bytes_out += done.parts.iter().map(|p| p.size_bytes).sum::<u64>();
        summary.known_objects += done.known;
        summary.failures.extend(done.failures);
        for (quirk, count) in Quirk::ALL.into_iter().zip(done.quirks) {
            if count > 0 {
                *summary.quirks.entry(quirk.name()).or_default() += count;
            }
        }
    }
}

fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64)
}
