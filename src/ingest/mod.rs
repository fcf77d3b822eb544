//! The pipeline: log objects in, commit batches out. The only place where tokio meets rayon.
//!
//! Log objects are gathered into commit batches; `work` turns a batch into part files on all cores; the lake makes
//! them visible in one commit. What the ledger knows is not read again, so running twice adds nothing, and a run
//! that was cut short is finished by running again.

mod duplicates;
mod fetch;
pub mod memory;
mod pool;
mod rows;
mod versions;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::lake::{Lake, Ledger, PartFile, Table};
use crate::record::Quirk;
use crate::source::{
    Disposed, Failure, FailureClass, Found, LEFT_OVER, LogObject, Place, Remote, Skipped, Sources,
};
use crate::stop::Stop;
use rows::Common;
use work::{Order, Target, Trouble};

/// Objects of a commit batch at most: each needs a row of the ledger in memory.
const COMMIT_OBJECTS: usize = 200_000;
/// How often a commit batch is done again because another writer was faster.
const MAX_CONFLICTS: usize = 20;
/// Names kept in a summary of things that can be many.
const NAMED: usize = 100;
/// Failures kept in a summary with their reasons; a bucket can hold millions of objects that cannot be read.
const REASONS: usize = 20;
/// Objects deleted or moved at a time.
const DISPOSED: usize = 1_000;

/// Settings of a run.
#[derive(Debug, Clone)]
pub struct IngestOptions {
    /// The destination bucket the objects came from; null columns when unknown.
    pub log_bucket: Option<String>,
    /// Bytes of log objects that become visible in one commit.
    pub commit_bytes: u64,
    /// Bytes of text that make one part file.
    pub part_bytes: u64,
    /// Memory in bytes that the process is to keep to; see [`memory`]. The threads are those of rayon's pool, which has
    /// to be made with no more than [`memory::Plan`] says.
    pub memory_bytes: u64,
    /// Whether files are synced to disk; false only for lakes that are thrown away.
    pub durable: bool,
    /// Which of how many shards of the source this run is: each commits for itself.
    pub shard: Option<(u32, u32)>,
    /// Whether the lake is to take the source in by this number of shards from now on, whatever it was before.
    pub reshard: bool,
    /// Under which name the lake keeps what this run leaves for the next of its kind: see [`cursor_name`].
    pub cursor: Option<String>,
}

impl Default for IngestOptions {
    fn default() -> Self {
        Self {
            log_bucket: None,
            commit_bytes: 1 << 30,
            part_bytes: 512 << 20,
            memory_bytes: memory::DEFAULT_MEMORY,
            durable: true,
            shard: None,
            reshard: false,
            cursor: None,
        }
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
    /// Files and objects that were not taken for log objects.
    pub skipped_files: u64,
    /// How many of them, by the folder or the ending they have in common.
    pub skipped: BTreeMap<String, u64>,
    /// Log objects that could not be read.
    pub failed_objects: u64,
    /// How many of them, by class of failure.
    pub failures: BTreeMap<&'static str, u64>,
    /// Commits of an earlier run that this run finished.
    pub recovered_commits: u64,
    /// Log objects of which the lake has another version; S3 itself never writes one twice.
    pub new_versions: u64,
    /// Their keys, the first hundred.
    pub new_version_keys: Vec<String>,
    /// Log objects deleted or moved because they are in the lake.
    pub disposed_objects: u64,
    /// Log objects that are in the lake and could not be deleted or moved as was asked for.
    pub undisposed_objects: u64,
    /// Requests that were sent again, and commits that were made again because another writer was faster.
    pub retries: u64,
    /// When the newest log object taken in was delivered, in microseconds since the epoch.
    pub newest_delivery_us: Option<i64>,
    /// Whether the run was stopped before its end.
    pub interrupted: bool,
    /// Whether part of the source was out of sight: a listing failed, or the source as a whole. There may be more that
    /// is new than was taken in.
    pub incomplete: bool,
    /// Why objects could not be read, the first twenty.
    #[serde(skip)]
    pub failed: Vec<Failure>,
    /// Why objects could not be deleted or moved, the first twenty.
    #[serde(skip)]
    pub undisposed: Vec<Failure>,
}

impl Summary {
    /// Rejects for each line, 0 to 1.
    pub fn reject_ratio(&self) -> f64 {
        if self.lines == 0 { 0.0 } else { self.rejects as f64 / self.lines as f64 }
    }

    fn fail(&mut self, failure: Failure) {
        self.failed_objects += 1;
        *self.failures.entry(failure.class.name()).or_default() += 1;
        tracing::debug!(place = failure.place, reason = failure.error.report(), "cannot read");
        if self.failed.len() < REASONS {
            self.failed.push(failure);
        }
    }

    fn dispose(&mut self, disposed: Disposed) {
        self.disposed_objects += disposed.done;
        self.undisposed_objects += disposed.failed;
        for failure in disposed.failures {
            tracing::debug!(place = failure.place, reason = failure.error.report(), "cannot delete or move");
            if self.undisposed.len() < REASONS {
                self.undisposed.push(failure);
            }
        }
    }

    fn skip(&mut self, skipped: &Skipped) {
        self.skipped_files += 1;
        let name = in_common(&skipped.place);
        let name = match self.skipped.len() < NAMED || self.skipped.contains_key(name) {
            true => name,
            false => "others",
        };
        *self.skipped.entry(name.to_owned()).or_default() += 1;
    }
}

/// What to call many things of one kind by: the topmost folder of a key, or else its ending.
fn in_common(place: &str) -> &str {
    let below = place.trim_start_matches('/');
    match below.find('/') {
        Some(slash) => &place[..place.len() - below.len() + slash + 1],
        None => below.rfind('.').map_or(place, |dot| &below[dot..]),
    }
}

/// Takes the log objects of `sources` into `lake`; with no lake only reads and counts (a dry run).
///
/// Needs a multi-threaded tokio runtime and uses rayon's pool. Errors when the lake cannot be written, or takes the
/// source in by another number of shards; objects that cannot be read are counted in [`Summary::failures`], and
/// everything else is taken in. When `stop` is requested the commit batch in the making is given up and
/// [`Summary::interrupted`] set.
pub async fn ingest(
    lake: Option<&mut Lake>,
    sources: Sources,
    options: &IngestOptions,
    progress: &dyn Progress,
    stop: &Stop,
) -> Result<Summary> {
    let mut summary = Summary::default();
    ingest_into(&mut summary, lake, sources, options, progress, stop).await?;
    Ok(summary)
}

/// As [`ingest`], with a new `summary` to count in: it says what was taken in also when that ends with an error.
pub async fn ingest_into(
    summary: &mut Summary,
    lake: Option<&mut Lake>,
    mut sources: Sources,
    options: &IngestOptions,
    progress: &dyn Progress,
    stop: &Stop,
) -> Result<()> {
    let started = Instant::now();
    // What is on its way into a bucket need not outlive a crash.
    let durable = options.durable && lake.as_ref().is_some_and(|lake| lake.is_local());
    let options = IngestOptions { durable, ..options.clone() };
    let mut run = Run {
        summary,
        options: &options,
        progress,
        stop,
        remote: sources.remote(),
        ledger: Ledger::default(),
        left_over: Vec::new(),
        known: Vec::new(),
        is_cut_off: false,
        reshard: options.reshard,
        lake,
    };
    let ended = run.take_in(&mut sources).await;
    let Run { summary, remote, is_cut_off, .. } = run;
    summary.interrupted = stop.is_requested();
    summary.incomplete = is_cut_off || !sources.is_whole();
    summary.retries += remote.map_or(0, |remote| remote.retries());
    summary.seconds = started.elapsed().as_secs_f64();
    ended
}

/// The source id of the commit protocol: a stable hash of the bucket read, or `local`, and the shard.
pub fn source_id(log_bucket: Option<&str>, shard: Option<(u32, u32)>) -> String {
    let source = match log_bucket {
        Some(bucket) => format!("b{:016x}", twox_hash::XxHash3_128::oneshot(bucket.as_bytes()) as u64),
        None => "local".to_owned(),
    };
    match shard {
        // The only shard is the whole.
        Some((shard, of)) if of > 1 => format!("{source}-{shard}-{of}"),
        _ => source,
    }
}

/// Where the lake keeps what a run leaves for the next one that lists the same `prefixes` of a source by the same
/// [`SourceOptions::selection`]. Runs that list other things have cursors of their own: side by side, none writes over
/// what another could not read.
pub fn cursor_name(source_id: &str, prefixes: &[String], selection: &str) -> String {
    let mut job: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    job.sort_unstable();
    job.push(selection);
    let job = twox_hash::XxHash3_128::oneshot(job.join("\0").as_bytes()) as u64;
    format!("cursors/{source_id}-{job:016x}.json")
}

/// What the lake notes of a source that several processes may share.
#[derive(Serialize, Deserialize)]
struct Shards {
    /// By how many shards it is taken in: 1 is the whole.
    shards: u32,
}

#[cold]
fn other_shards(known: u32, ours: u32) -> Error {
    let way = match known {
        1 => "without --shard".to_owned(),
        _ => format!("with --shard I/{known}"),
    };
    Error::usage(format!(
        "the lake takes this source in by {known} shards, and not by {ours}: log objects would be taken in twice"
    ))
    .with_hint(format!(
        "run {way}, or once with --reshard when no process with the other number runs any more"
    ))
}

struct Run<'a> {
    summary: &'a mut Summary,
    options: &'a IngestOptions,
    progress: &'a dyn Progress,
    stop: &'a Stop,
    remote: Option<Arc<dyn Remote>>,
    ledger: Ledger,
    /// Objects that the next run has to ask for again; one more than can be kept when they are too many.
    left_over: Vec<LogObject>,
    /// Objects that the lake had before, when they are to be disposed of.
    known: Vec<LogObject>,
    /// The source has failed as a whole.
    is_cut_off: bool,
    /// The number of shards that the lake knows is to be replaced, once.
    reshard: bool,
    lake: Option<&'a mut Lake>,
}

impl Run<'_> {
    /// Takes in what is new until the source ends or fails, or somebody asks to stop.
    async fn take_in(&mut self, sources: &mut Sources) -> Result<()> {
        let stop = self.stop;
        tokio::select! {
            ready = self.begin() => ready?,
            () = stop.requested() => return Ok(()),
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while !stop.is_requested() && !self.is_cut_off {
            let found = tokio::select! {
                found = sources.next() => found,
                () = stop.requested() => break,
            };
            match found {
                Some(Found::Object(object)) => {
                    let Some(object) = self.sift(object) else {
                        if self.known.len() >= DISPOSED {
                            self.dispose_known().await;
                        }
                        continue;
                    };
                    bytes += object.size;
                    batch.push(object);
                    if bytes >= self.options.commit_bytes || batch.len() >= COMMIT_OBJECTS {
                        self.commit_batch(std::mem::take(&mut batch)).await?;
                        bytes = 0;
                    }
                }
                Some(Found::Skipped(skipped)) => {
                    self.progress.skipped(&skipped);
                    self.summary.skip(&skipped);
                }
                Some(Found::Unreadable(failure)) => self.summary.fail(failure),
                None => {
                    self.commit_batch(std::mem::take(&mut batch)).await?;
                    self.dispose_known().await;
                    return self.leave_cursor(sources).await;
                }
            }
        }
        Ok(())
    }

    async fn begin(&mut self) -> Result<()> {
        self.check_shards().await?;
        self.prepare().await
    }

    /// Makes sure that the lake knows the source by as many shards as this run is one of. Each shard commits for itself
    /// and hears nothing of the others: two ways to share the source out would take it in twice.
    async fn check_shards(&mut self) -> Result<()> {
        let Some(lake) = &self.lake else { return Ok(()) };
        let name = format!("shards/{}.json", source_id(self.options.log_bucket.as_deref(), None));
        let shards = self.options.shard.map_or(1, |(_, of)| of);
        let ours = serde_json::to_vec(&Shards { shards }).map_err(|e| {
            Error::new(ErrorKind::Internal, "cannot write the number of shards").with_source(e)
        })?;
        let mut note = lake.read_state(&name).await?;
        if note.is_none() && !lake.create_state(&name, ours.clone()).await? {
            // Another process was faster.
            note = lake.read_state(&name).await?;
        }
        match note.map(|note| serde_json::from_slice::<Shards>(&note)) {
            None => {}
            Some(Ok(known)) if known.shards == shards => {}
            Some(Ok(known)) if !self.reshard => return Err(other_shards(known.shards, shards)),
            // To be replaced, or torn.
            Some(_) => lake.write_state(&name, ours).await?,
        }
        self.reshard = false;
        Ok(())
    }

    async fn prepare(&mut self) -> Result<()> {
        if let Some(lake) = &mut self.lake {
            let recovery = lake.recover().await?;
            self.summary.recovered_commits += recovery.rolled_forward as u64;
            self.ledger = match &self.remote {
                Some(_) => lake.ledger_of(self.options.log_bucket.as_deref()).await?,
                None => lake.ledger().await?,
            };
        }
        Ok(())
    }

    fn id(&self) -> String {
        source_id(self.options.log_bucket.as_deref(), self.options.shard)
    }

    /// Whether it is known can be told of an object of a bucket before it is read: those that are new.
    fn sift(&mut self, object: LogObject) -> Option<LogObject> {
        let Some(etag) = object.etag.as_deref().filter(|etag| !etag.is_empty()) else { return Some(object) };
        let bucket = self.options.log_bucket.as_deref();
        if self.ledger.contains(bucket, &object.key, etag) {
            self.summary.known_objects += 1;
            if self.remote.as_ref().is_some_and(|remote| remote.disposes()) {
                self.known.push(object);
            }
            return None;
        }
        Some(object)
    }

    /// The lines that the lake has of other versions of `objects`.
    async fn earlier_lines(&mut self, objects: &[LogObject]) -> Result<Vec<Vec<u8>>> {
        let (Some(lake), Some(bucket)) = (&self.lake, self.options.log_bucket.as_deref()) else {
            return Ok(Vec::new());
        };
        let ledger = &self.ledger;
        let is_other = |object: &&LogObject| {
            let etag = object.etag.as_deref().filter(|etag| !etag.is_empty());
            etag.is_some_and(|etag| ledger.is_other_version(bucket, &object.key, etag))
        };
        let keys: Vec<&str> = objects.iter().filter(is_other).map(|object| object.key.as_str()).collect();
        versions::lines(lake, bucket, &keys).await
    }

    /// Takes a commit batch in, however often that has to be tried.
    async fn commit_batch(&mut self, mut objects: Vec<LogObject>) -> Result<()> {
        if objects.is_empty() {
            return Ok(());
        }
        let id = self.id();
        let mut conflicts = 0;
        loop {
            let earlier = self.earlier_lines(&objects).await?;
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
            let order = Order {
                objects: &objects,
                remote: self.remote.as_ref(),
                earlier: &earlier,
                options: self.options,
                common,
                target: target.as_ref(),
                ledger: &self.ledger,
                progress: self.progress,
                stop: self.stop,
            };
            let (parts, result) = tokio::task::block_in_place(|| work::run(&order));
            let done = match result {
                Ok(done) => done,
                Err(Trouble::Objects(failures)) => {
                    self.discard(&parts).await?;
                    // The last first: the places of the others stay.
                    for (at, failure) in failures.into_iter().rev() {
                        let object = objects.remove(at);
                        self.give_up(&object, failure);
                    }
                    continue;
                }
                Err(Trouble::Stopped) => return self.discard(&parts).await,
                Err(Trouble::Fatal(error)) => {
                    // The first error is the one to tell; what is left behind is invisible and vacuumed.
                    let _ = self.discard(&parts).await;
                    return Err(error);
                }
            };
            if !done.objects.is_empty()
                && let Err(e) = self.check_shards().await
            {
                let _ = self.discard(&parts).await;
                return Err(e);
            }
            if let (Some(lake), Some(attempt)) = (&mut self.lake, &attempt)
                && !done.objects.is_empty()
            {
                match lake.commit(attempt, &parts).await {
                    Ok(()) => self.summary.commit_batches += 1,
                    Err(e) if e.kind() == ErrorKind::Conflict => {
                        self.discard(&parts).await?;
                        conflicts += 1;
                        self.summary.retries += 1;
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
            self.account(done, &objects);
            self.dispose(&objects).await;
            return Ok(());
        }
    }

    /// Deletes or moves what is in the lake now, where that was asked for.
    async fn dispose(&mut self, objects: &[LogObject]) {
        for objects in objects.chunks(DISPOSED) {
            let is_in = |object: &&LogObject| {
                let etag = object.etag.as_deref().unwrap_or_default();
                self.ledger.contains(self.options.log_bucket.as_deref(), &object.key, etag)
            };
            let disposes = self.remote.as_ref().is_some_and(|remote| remote.disposes());
            let taken: Vec<LogObject> = objects.iter().filter(|_| disposes).filter(is_in).cloned().collect();
            self.dispose_of(&taken).await;
        }
    }

    /// The same for what earlier runs took in and did not come to dispose of.
    async fn dispose_known(&mut self) {
        let known = std::mem::take(&mut self.known);
        for objects in known.chunks(DISPOSED) {
            self.dispose_of(objects).await;
        }
    }

    /// The next run goes on with what is not disposed of, since it is known.
    async fn dispose_of(&mut self, objects: &[LogObject]) {
        let Some(remote) = self.remote.clone() else { return };
        if objects.is_empty() || self.lake.is_none() || self.is_cut_off {
            return;
        }
        let disposed = tokio::select! {
            disposed = remote.dispose(objects) => disposed,
            () = self.stop.requested() => return,
        };
        self.is_cut_off |= disposed.failures.iter().any(|failure| failure.class.ends_the_run());
        self.summary.dispose(disposed);
    }

    /// Leaves for the next run what this one saw, when all of it is in the lake.
    async fn leave_cursor(&mut self, sources: &Sources) -> Result<()> {
        let is_done = !self.is_cut_off && !self.stop.is_requested();
        match (&self.lake, &self.options.cursor, sources.cursor(&self.left_over)) {
            (Some(lake), Some(name), Some(cursor)) if is_done => lake.write_state(name, cursor).await,
            _ => Ok(()),
        }
    }

    async fn discard(&self, parts: &[PartFile]) -> Result<()> {
        match &self.lake {
            Some(lake) => lake.discard(parts).await,
            None => Ok(()),
        }
    }

    fn account(&mut self, done: work::Done, objects: &[LogObject]) {
        let summary = &mut *self.summary;
        for row in &done.objects {
            if let Some(bucket) = self.options.log_bucket.as_deref()
                && self.ledger.is_other_version(bucket, &row.key, &row.etag)
                && self.remote.is_some()
            {
                summary.new_versions += 1;
                if summary.new_version_keys.len() < NAMED {
                    summary.new_version_keys.push(row.key.clone());
                }
            }
            summary.newest_delivery_us =
                summary.newest_delivery_us.max(row.delivered_at_us.or(row.last_modified_us));
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
        self.is_cut_off |= done.is_cut_off;
        for (quirk, count) in Quirk::ALL.into_iter().zip(done.quirks) {
            if count > 0 {
                *summary.quirks.entry(quirk.name()).or_default() += count;
            }
        }
        for (at, failure) in done.failures {
            self.give_up(&objects[at], failure);
        }
    }

    /// Counts an object that could not be read, and leaves it over where the next run has to ask for it.
    fn give_up(&mut self, object: &LogObject, failure: Failure) {
        let is_left_over = failure.class.is_left_over() && object.place == Place::Remote;
        if is_left_over && self.left_over.len() <= LEFT_OVER {
            let mut object = object.clone();
            if failure.class == FailureClass::Changed {
                // What it is now is for the next run to find out.
                object.etag = None;
            }
            self.left_over.push(object);
        }
        self.summary.fail(failure);
    }
}

fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_list_other_things_have_cursors_of_their_own() {
        let prefixes = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let name = cursor_name("b1", &prefixes(&["x/", "y/"]), "+\n-");
        assert_eq!(cursor_name("b1", &prefixes(&["y/", "x/"]), "+\n-"), name);
        for (source, listed, selection) in [
            ("b1-0-2", &["x/", "y/"][..], "+\n-"),
            ("b1", &["x/"], "+\n-"),
            ("b1", &["x/y/"], "+\n-"),
            ("b1", &["x/", "y/"], "+\n-**/AWSLogs/**"),
        ] {
            assert_ne!(cursor_name(source, &prefixes(listed), selection), name, "{listed:?} {selection:?}");
        }
    }
}
