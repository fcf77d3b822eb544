//! The commit protocol: nothing lost, nothing twice, for three tables that cannot be committed at once.
//!
//! One commit decides, the others follow. An attempt `n` of a source runs through
//! 1. its Parquet files, under unique names, durable;
//! 2. its intent `_s3trail/intents/<source_id>/<n>.json`: what each table is to be given;
//! 3. the commit to `access_logs` with `txn(source_id, n)`: **the commit point**;
//! 4. the commits to `rejects` and then `log_objects` with the same `txn`, and the removal of the intent.
//!
//! # Why it holds
//! Write A, R, L for the source's `txn` in the three tables, and "the ledger covers n" for: the caller's
//! [`Ledger`](super::Ledger) was read from `log_objects` with L = n, or n is the caller's own last attempt.
//! - *Step 3 happens only if the ledger covers A.* Checked on the newest snapshot; a commit that slips in between
//!   has the same app id, and Delta refuses ours (`ConcurrentTransaction`). Delta does **not** refuse a lower `n`
//!   from a fresh snapshot, hence the check. So no attempt takes in what it could not know, and, since L = A then,
//!   an attempt never commits before the one before it is complete in all tables: R and L lag by at most one.
//! - *Step 4 is idempotent.* A table whose `txn` is at `n` or beyond has it; two processes rolling the same intent
//!   forward conflict on the app id, and the loser looks again. `log_objects` comes last, so L = n says all is done.
//! - *Recovery* compares an intent's `n` with A. Equal: it committed, finish step 4. Below: it lost, or it was done
//!   and only its intent survived; so its files go, except those that the tables have or had. Above: it may be
//!   running; after a day it is presumed dead, but a suspended machine may wake. So an empty attempt above it is
//!   committed first (a fence): the sleeper will find that A has moved, and only then do its files go.
//!
//! # Crash points
//! - before or in 1: files that nothing names; `vacuum` finds them, no reader does.
//! - in 2: the intent is put if absent, whole or not at all, and flushed with its folder before step 3. A torn one
//!   (power failure before the flush) therefore never committed.
//! - between 2 and 3: nothing is visible; the intent loses, or dies.
//! - in 3: Delta's commit is one `link`: it is in the log or not. If its answer is lost, the log is asked.
//! - between 3 and 4, in 4: A = n with the intent still there: every run starts by finishing it. Until then readers
//!   see records whose ledger rows are to come, and a second writer gets [`ErrorKind::Conflict`] and recovers.
//! - before the intent's removal: finished again, to no effect.
//! - power failure: each step is flushed before the next begins, also when finishing somebody else's.
//! - full disk: every write of 2 to 4 is a new file under a temporary name; the error names it and it is gone.
//!   Log housekeeping (checkpoints) may fail without consequence: the commit stands.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::Utc;
use deltalake::DeltaTableError;
use deltalake::kernel::transaction::{
    CommitBuilder, CommitConflictError, CommitProperties, TableReference, TransactionError,
};
use deltalake::kernel::{Action, Add, Transaction, Version};
use deltalake::protocol::{DeltaOperation, SaveMode};
use futures::TryStreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::encode::partition_value;
use super::open::{CHECKPOINT_EVERY, Referenced, local, sync, sync_folders};
use super::{Attempt, Lake, OWN_FOLDER, PartFile, Recovery, Table, store_error};
use crate::error::{Error, ErrorKind, Result};

/// An attempt whose intent is older is dead, or will find itself fenced.
const DEAD_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a commit is tried again from a newer snapshot. deltalake itself retries 15 times in each round.
const ROUNDS: usize = 10;

/// The format of intents. Another number is an intent of a newer version, which must finish it.
const INTENT_FORMAT: u32 = 1;

/// What an attempt is going to commit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Intent {
    format: u32,
    source_id: String,
    n: i64,
    /// Milliseconds since the epoch; the `modificationTime` of the files, whoever commits them.
    written_ms: i64,
    /// Versions of the tables when the attempt began, as in [`Table::ALL`]: its commits are later ones.
    versions: [Version; 3],
    pub(super) parts: Vec<PartFile>,
}

impl Intent {
    fn location(&self) -> Result<ObjectPath> {
        check_source_id(&self.source_id)?;
        Ok(intents_folder().join(self.source_id.as_str()).join(format!("{}.json", self.n)))
    }
}

/// An intent as found in the lake.
#[derive(Debug)]
pub(super) struct StoredIntent {
    source_id: String,
    n: i64,
    age: Duration,
    location: ObjectPath,
    /// `None` when it cannot be read: torn, or of a newer format.
    pub(super) body: Option<Intent>,
}

impl StoredIntent {
    /// Whether recovery would remove the intent without committing anything, given its source's `txn`.
    pub(super) fn is_dead(&self, decided: Option<i64>) -> bool {
        match Some(self.n).cmp(&decided) {
            Ordering::Less => true,
            Ordering::Equal => false,
            Ordering::Greater => self.age >= DEAD_AFTER,
        }
    }

    pub(super) fn source_id(&self) -> &str {
        &self.source_id
    }

    pub(super) fn n(&self) -> i64 {
        self.n
    }
}

/// The outcome of step 3.
enum Decision {
    Committed,
    /// Certainly not committed.
    Lost(Error),
    /// Perhaps committed: the intent must stay.
    Unknown(Error),
}

/// The outcome of one try to commit to one table.
enum Append {
    Done(Version),
    /// Not committed, another writer was faster.
    Again,
}

impl Lake {
    /// Takes up what other runs left behind: finishes attempts that committed, removes those that lost with their
    /// files, and leaves alone what may be running (for a day). To be called before [`Lake::ledger`].
    ///
    /// # Errors
    /// [`ErrorKind::Lake`] when an attempt that committed cannot be finished because its intent or its files are
    /// damaged, [`ErrorKind::Io`] when the operating system refuses, [`ErrorKind::Conflict`] when the tables stay
    /// too busy.
    pub async fn recover(&mut self) -> Result<Recovery> {
        let mut outcome = Recovery::default();
        // This order makes sure that whatever access_logs shows as committed is then found complete in the other
        // two, or has its intent in the list.
        self.refresh_table(Table::AccessLogs).await?;
        let mut sources: BTreeMap<String, Vec<StoredIntent>> = BTreeMap::new();
        for intent in self.intents().await? {
            sources.entry(intent.source_id.clone()).or_default().push(intent);
        }
        self.refresh_table(Table::Rejects).await?;
        self.refresh_table(Table::LogObjects).await?;

        let mut gone = Vec::new();
        for (source_id, mut intents) in sources {
            intents.sort_by_key(|intent| intent.n);
            let decided = self.txn(Table::AccessLogs, &source_id).await?;
            let mut dead = Vec::new();
            for intent in intents {
                match Some(intent.n).cmp(&decided) {
                    Ordering::Equal => {
                        self.finish(&intent).await?;
                        outcome.rolled_forward += 1;
                    }
                    Ordering::Less => gone.push(intent),
                    Ordering::Greater if intent.is_dead(decided) => dead.push(intent),
                    Ordering::Greater => outcome.left_alone += 1,
                }
            }
            if dead.is_empty() || self.fence(&source_id, &dead).await? {
                gone.append(&mut dead);
            } else {
                outcome.left_alone += dead.len();
            }
        }
        if !gone.is_empty() {
            let references = self.all_referenced().await?;
            for intent in gone {
                let parts = intent.body.map(|body| body.parts).unwrap_or_default();
                for part in parts.iter().filter(|part| !references[part.table as usize].contains(&part.path))
                {
                    self.delete_part(part).await?;
                }
                self.remove_intent(&intent.location).await?;
                outcome.discarded += 1;
            }
        }
        Ok(outcome)
    }

    /// Starts an attempt: its number is the time in microseconds, or one more than the source's last.
    ///
    /// # Errors
    /// [`ErrorKind::Lake`] when the source's last attempt is incomplete and its intent is gone, which no recovery
    /// can mend; [`ErrorKind::Internal`] when `source_id` is unfit for a file name.
    pub async fn begin(&mut self, source_id: &str) -> Result<Attempt> {
        check_source_id(source_id)?;
        self.ensure_finished(source_id).await?;
        let last = self.txn(Table::AccessLogs, source_id).await?.max(self.covered(source_id).await?);
        Ok(Attempt { source_id: source_id.to_owned(), n: next_attempt(last)? })
    }

    /// Makes the files of one commit batch visible, in all three tables or, for now, in none. The files must be
    /// durable. An attempt without files is committed too: it moves the source's number on.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the source committed through another process since the ledger was read: then
    /// nothing of this attempt is visible and its intent is gone; discard the files, recover, read the ledger again
    /// and do the batch again. Any other error leaves the batch either invisible or committed, for the next
    /// [`Lake::recover`] to settle; [`Lake::discard`] is safe to call in both cases.
    pub async fn commit(&mut self, attempt: &Attempt, parts: &[PartFile]) -> Result<()> {
        let covered = self.covered(&attempt.source_id).await?;
        let intent = self.intent(attempt, parts)?;
        if covered >= Some(attempt.n) {
            return Err(conflict(&intent));
        }
        self.carry_out(&intent, covered).await?;
        self.known().own.insert(attempt.source_id.clone(), attempt.n);
        Ok(())
    }

    /// Removes files that were written for an attempt that did not commit. Files that a table has, or that an
    /// intent names, are left: the former are data, the latter the next [`Lake::recover`] decides about.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the operating system refuses.
    pub async fn discard(&self, parts: &[PartFile]) -> Result<()> {
        if parts.is_empty() {
            return Ok(());
        }
        let intents = self.intents().await?;
        let named: Vec<&PartFile> =
            intents.iter().filter_map(|intent| intent.body.as_ref()).flat_map(|body| &body.parts).collect();
        let references = self.all_referenced().await?;
        for part in parts {
            let pending = named.iter().any(|other| other.table == part.table && other.path == part.path);
            if !pending && !references[part.table as usize].contains(&part.path) {
                self.delete_part(part).await?;
            }
        }
        Ok(())
    }

    /// The last attempt of the source that the caller's ledger covers.
    async fn covered(&self, source_id: &str) -> Result<Option<i64>> {
        let ledger = {
            let known = self.known();
            if let Some(own) = known.own.get(source_id) {
                return Ok(Some(*own));
            }
            known.ledger.clone()
        };
        self.txn_at(Table::LogObjects, &ledger, source_id).await
    }

    fn intent(&self, attempt: &Attempt, parts: &[PartFile]) -> Result<Intent> {
        let mut versions = [0; 3];
        for table in Table::ALL {
            versions[table as usize] = self.version(table)?;
        }
        Ok(Intent {
            format: INTENT_FORMAT,
            source_id: attempt.source_id.clone(),
            n: attempt.n,
            written_ms: Utc::now().timestamp_millis(),
            versions,
            parts: parts.to_vec(),
        })
    }

    /// Steps 2 to 4.
    async fn carry_out(&mut self, intent: &Intent, covered: Option<i64>) -> Result<()> {
        self.write_intent(intent).await?;
        match self.decide(intent, covered).await {
            Decision::Committed => {}
            Decision::Lost(error) => {
                // Should this fail, recovery finds the intent and sees that it lost.
                let _ = self.remove_intent(&intent.location()?).await;
                return Err(error);
            }
            Decision::Unknown(error) => return Err(error),
        }
        self.roll_forward(intent).await?;
        self.remove_intent(&intent.location()?).await
    }

    /// Step 2.
    async fn write_intent(&self, intent: &Intent) -> Result<()> {
        let location = intent.location()?;
        let path = local(&self.root, &location);
        let json =
            serde_json::to_vec(intent).map_err(|e| store_error("write the intent of a commit", &path, e))?;
        match self.store.put_opts(&location, json.into(), PutMode::Create.into()).await {
            Ok(_) => {}
            // Another process drew the same number in the same microsecond.
            Err(StoreError::AlreadyExists { .. }) => return Err(conflict(intent)),
            Err(e) => return Err(store_error("write the intent of a commit", &path, e)),
        }
        let folder = path.parent().unwrap_or(&self.root).to_owned();
        let mut flushed = sync(vec![path]).await;
        if flushed.is_ok() {
            flushed = sync_folders(self.root.clone(), folder).await;
        }
        if flushed.is_err() {
            // Nothing was committed under it; should this fail too, it dies in a day.
            let _ = self.remove_intent(&location).await;
        }
        flushed
    }

    /// Step 3.
    async fn decide(&mut self, intent: &Intent, covered: Option<i64>) -> Decision {
        for _ in 0..ROUNDS {
            match self.newest_txn(Table::AccessLogs, &intent.source_id).await {
                Ok(decided) if decided == covered => {}
                Ok(_) => return Decision::Lost(conflict(intent)),
                Err(e) => return Decision::Lost(e),
            }
            let error = match self.append(Table::AccessLogs, intent).await {
                Ok(Append::Done(version)) => {
                    return match self.sync_log(Table::AccessLogs, version..=version).await {
                        Ok(()) => Decision::Committed,
                        Err(e) => Decision::Unknown(e),
                    };
                }
                Ok(Append::Again) => continue,
                Err(e) => e,
            };
            // The commit may have gone through all the same: the log knows.
            return match self.newest_txn(Table::AccessLogs, &intent.source_id).await {
                Ok(decided) if decided == Some(intent.n) => {
                    match self.sync_since(Table::AccessLogs, intent).await {
                        Ok(()) => Decision::Committed,
                        Err(e) => Decision::Unknown(e),
                    }
                }
                Ok(decided) if decided == covered => Decision::Lost(error),
                Ok(_) => Decision::Lost(conflict(intent)),
                Err(_) => Decision::Unknown(error),
            };
        }
        Decision::Lost(busy(Table::AccessLogs, intent))
    }

    /// The commits of step 4, as far as they are missing.
    async fn roll_forward(&mut self, intent: &Intent) -> Result<()> {
        for table in [Table::Rejects, Table::LogObjects] {
            let mut rounds = ROUNDS;
            while self.newest_txn(table, &intent.source_id).await? < Some(intent.n) {
                match self.append(table, intent).await? {
                    Append::Done(version) => {
                        self.sync_log(table, version..=version).await?;
                        break;
                    }
                    Append::Again if rounds == 0 => return Err(busy(table, intent)),
                    Append::Again => rounds -= 1,
                }
            }
        }
        Ok(())
    }

    /// Step 4 for an attempt of another run. What that run committed is flushed first: it may not have come to it.
    async fn finish(&mut self, intent: &StoredIntent) -> Result<()> {
        match &intent.body {
            Some(body) => {
                self.sync_since(Table::AccessLogs, body).await?;
                self.roll_forward(body).await?;
                self.sync_since(Table::Rejects, body).await?;
                self.sync_since(Table::LogObjects, body).await?;
            }
            None => {
                for table in [Table::Rejects, Table::LogObjects] {
                    if self.txn(table, &intent.source_id).await? < Some(intent.n) {
                        let path = local(&self.root, &intent.location);
                        return Err(Error::new(
                            ErrorKind::Lake,
                            "a commit is unfinished and its intent is not readable",
                        )
                        .with_context("path", path.display().to_string())
                        .with_hint("it may be of a newer s3trail: update, and ingest again"));
                    }
                }
            }
        }
        self.remove_intent(&intent.location).await
    }

    /// Commits an empty attempt above the dead ones, so that none of them can commit any more. False when the
    /// source is not at rest: then they may be alive.
    async fn fence(&mut self, source_id: &str, dead: &[StoredIntent]) -> Result<bool> {
        let decided = self.txn(Table::AccessLogs, source_id).await?;
        for table in [Table::Rejects, Table::LogObjects] {
            if self.txn(table, source_id).await? != decided {
                return Ok(false);
            }
        }
        let last = dead.iter().map(|intent| intent.n).max().max(decided);
        let attempt = Attempt { source_id: source_id.to_owned(), n: next_attempt(last)? };
        let covered = self.covered(source_id).await?;
        let intent = self.intent(&attempt, &[])?;
        match self.carry_out(&intent, decided).await {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::Conflict => return Ok(false),
            Err(e) => return Err(e),
        }
        if covered == decided {
            self.known().own.insert(attempt.source_id, attempt.n);
        }
        Ok(true)
    }

    /// Refuses to go on for a source whose last attempt is in `access_logs` alone, with no intent to finish it.
    async fn ensure_finished(&mut self, source_id: &str) -> Result<()> {
        let Some(decided) = self.txn(Table::AccessLogs, source_id).await? else { return Ok(()) };
        if self.is_finished(source_id, decided).await? {
            return Ok(());
        }
        let intents = self.intents().await?;
        if intents.iter().any(|intent| intent.source_id == source_id && intent.n == decided) {
            return Ok(());
        }
        // Its removal comes after the last commit, which must be there by now.
        self.refresh_table(Table::Rejects).await?;
        self.refresh_table(Table::LogObjects).await?;
        if self.is_finished(source_id, decided).await? {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Lake, "a commit is unfinished and its intent is missing")
            .with_context("source", source_id)
            .with_context("attempt", decided.to_string())
            .with_context("path", local(&self.root, &intents_folder()).display().to_string())
            .with_hint("restore the intent from a backup; `s3trail lake verify` shows what is incomplete"))
    }

    async fn is_finished(&self, source_id: &str, n: i64) -> Result<bool> {
        Ok(self.txn(Table::Rejects, source_id).await? >= Some(n)
            && self.txn(Table::LogObjects, source_id).await? >= Some(n))
    }

    async fn newest_txn(&mut self, table: Table, source_id: &str) -> Result<Option<i64>> {
        self.refresh_table(table).await?;
        self.txn(table, source_id).await
    }

    /// One commit of the intent's files for this table (possibly none) with its `txn`, from the state in memory.
    async fn append(&mut self, table: Table, intent: &Intent) -> Result<Append> {
        let dir = self.table_dir(table);
        let mut actions = Vec::new();
        for part in intent.parts.iter().filter(|part| part.table == table) {
            self.check_part(part).await?;
            actions.push(Action::Add(add_action(part, intent.written_ms)?));
        }
        let next = self.version(table)? + 1;
        // Looking for expired log entries means listing the log: once a checkpoint is enough.
        let tidy = (next + 1).is_multiple_of(CHECKPOINT_EVERY);
        let properties = CommitProperties::default()
            .with_application_transaction(Transaction::new(&intent.source_id, intent.n))
            .with_metadata([("isBlindAppend".to_owned(), json!(true))])
            .with_cleanup_expired_logs(Some(tidy));
        let partition_by = table.partition_columns().iter().map(|name| (*name).to_owned()).collect();
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: Some(partition_by),
            predicate: None,
        };
        let log_store = self.tables[table as usize].log_store();
        let state = self.state(table)?;
        let prepared = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(state as &dyn TableReference), log_store, operation)
            .into_prepared_commit_future()
            .await;
        let posted = match prepared {
            Ok(prepared) => prepared.await,
            Err(e) => Err(e),
        };
        let posted = match posted {
            Ok(posted) => posted,
            Err(e) if is_conflict(&e) => return Ok(Append::Again),
            Err(e) => return Err(store_error("commit", dir.join("_delta_log"), e)),
        };
        // Committed. The rest is housekeeping: a checkpoint now and then, and the new state for our own use, which
        // is read again before anything is decided on it.
        let version = posted.version;
        if let Ok(done) = posted.await {
            if done.metrics.new_checkpoint_created {
                let log = dir.join("_delta_log");
                let checkpoint = log.join(format!("{version:020}.checkpoint.parquet"));
                let _ = sync(vec![checkpoint, log.join("_last_checkpoint")]).await;
            }
            self.tables[table as usize].state = Some(done.snapshot);
        }
        Ok(Append::Done(version))
    }

    /// Flushes every commit to the table since the attempt began.
    async fn sync_since(&self, table: Table, intent: &Intent) -> Result<()> {
        let first = intent.versions[table as usize].saturating_add(1);
        self.sync_log(table, first..=self.version(table)?).await
    }

    /// Every intent in the lake, in no order.
    pub(super) async fn intents(&self) -> Result<Vec<StoredIntent>> {
        let folder = intents_folder();
        let failed = |e| store_error("read the intents", local(&self.root, &folder), e);
        let found: Vec<ObjectMeta> = self.store.list(Some(&folder)).try_collect().await.map_err(failed)?;
        let mut intents = Vec::with_capacity(found.len());
        for object in found {
            let Some((source_id, n)) = intent_name(&folder, &object.location) else { continue };
            let body = match self.store.get(&object.location).await {
                Ok(body) => body.bytes().await.map_err(failed)?,
                // Done in the meantime.
                Err(StoreError::NotFound { .. }) => continue,
                Err(e) => return Err(failed(e)),
            };
            let body = serde_json::from_slice::<Intent>(&body)
                .ok()
                .filter(|body| body.format == INTENT_FORMAT && body.source_id == source_id && body.n == n);
            let age = (Utc::now() - object.last_modified).to_std().unwrap_or_default();
            intents.push(StoredIntent { source_id, n, age, location: object.location, body });
        }
        Ok(intents)
    }

    async fn remove_intent(&self, location: &ObjectPath) -> Result<()> {
        match self.store.delete(location).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(e) => Err(store_error("remove the intent of a commit", local(&self.root, location), e)),
        }
    }

    /// Makes sure that a file about to become visible is there: a vacuum with too small an age removes what is
    /// not.
    async fn check_part(&self, part: &PartFile) -> Result<()> {
        let location = part_location(part)?;
        let path = local(&self.root, &location);
        let found =
            self.store.head(&location).await.map_err(|e| store_error("find a file to commit", &path, e))?;
        if found.size != part.size_bytes {
            return Err(Error::new(ErrorKind::Lake, "a file to commit has another size than was written")
                .with_context("path", path.display().to_string())
                .with_context("bytes", found.size.to_string())
                .with_context("written", part.size_bytes.to_string()));
        }
        Ok(())
    }

    /// Whether the file was there.
    async fn delete_part(&self, part: &PartFile) -> Result<bool> {
        let location = part_location(part)?;
        match self.store.delete(&location).await {
            Ok(()) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(e) => Err(store_error("remove a file", local(&self.root, &location), e)),
        }
    }

    pub(super) async fn all_referenced(&self) -> Result<[Referenced; 3]> {
        let [logs, objects, rejects] = Table::ALL;
        Ok([self.referenced(logs).await?, self.referenced(objects).await?, self.referenced(rejects).await?])
    }
}

fn intents_folder() -> ObjectPath {
    ObjectPath::from_iter([OWN_FOLDER, "intents"])
}

/// The source and the number in the name of an intent.
fn intent_name(folder: &ObjectPath, location: &ObjectPath) -> Option<(String, i64)> {
    let (location, folder): (&str, &str) = (location.as_ref(), folder.as_ref());
    let (source_id, file) = location.strip_prefix(folder)?.strip_prefix('/')?.split_once('/')?;
    let n = file.strip_suffix(".json")?.parse().ok()?;
    check_source_id(source_id).is_ok().then(|| (source_id.to_owned(), n))
}

/// A source id becomes a folder name: a hash in hexadecimal, or a plain word.
fn check_source_id(source_id: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if source_id.is_empty() || source_id.len() > 128 || !source_id.bytes().all(plain) {
        return Err(Error::new(ErrorKind::Internal, "the id of a source is unfit for a file name")
            .with_context("source", source_id));
    }
    Ok(())
}

/// Where the file is in the store. Intents are files that anyone may have written: a path that leads out of its
/// table, or into its log, is refused.
fn part_location(part: &PartFile) -> Result<ObjectPath> {
    let plain = |folder: &str| !folder.starts_with(['_', '.']);
    let inside = part.path.ends_with(".parquet") && part.path.split('/').all(plain);
    match ObjectPath::parse(format!("{}/{}", part.table, part.path)) {
        Ok(location) if inside => Ok(location),
        _ => Err(Error::new(ErrorKind::Lake, "the path of a Parquet file leads out of its table")
            .with_context("table", part.table.name())
            .with_context("path", part.path.as_str())),
    }
}

fn add_action(part: &PartFile, written_ms: i64) -> Result<Add> {
    let size = i64::try_from(part.size_bytes).map_err(|e| {
        Error::new(ErrorKind::Internal, "a Parquet file is too large for Delta").with_source(e)
    })?;
    let date = part.event_date.map(|date| partition_value(Some(date)));
    let partitions = part.table.partition_columns().iter().map(|name| ((*name).to_owned(), date.clone()));
    Ok(Add {
        path: part.path.clone(),
        partition_values: partitions.collect::<HashMap<_, _>>(),
        size,
        modification_time: written_ms,
        data_change: true,
        stats: Some(part.stats.clone()),
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    })
}

/// The time in microseconds, or one more than `last` where the clock is behind it.
fn next_attempt(last: Option<i64>) -> Result<i64> {
    let now = Utc::now().timestamp_micros();
    match last {
        None => Ok(now),
        Some(last) => match last.checked_add(1) {
            Some(next) => Ok(now.max(next)),
            None => Err(Error::new(ErrorKind::Lake, "the number of the last commit leaves no next one")),
        },
    }
}

#[cold]
fn conflict(intent: &Intent) -> Error {
    Error::new(ErrorKind::Conflict, "another process committed for the same source")
        .with_context("source", intent.source_id.as_str())
        .with_context("attempt", intent.n.to_string())
}

#[cold]
fn busy(table: Table, intent: &Intent) -> Error {
    Error::new(ErrorKind::Conflict, "other processes kept committing to the table")
        .with_context("table", table.name())
        .with_context("source", intent.source_id.as_str())
        .with_hint("run again when fewer are writing")
}

/// Whether a commit failed only because the table has changed under it, so that a fresh look may help.
fn is_conflict(error: &DeltaTableError) -> bool {
    match error {
        DeltaTableError::VersionAlreadyExists(_) => true,
        DeltaTableError::Transaction { source: TransactionError::MaxCommitAttempts(_) } => true,
        DeltaTableError::Transaction { source: TransactionError::CommitConflict(conflict) } => matches!(
            conflict,
            CommitConflictError::ConcurrentTransaction
                | CommitConflictError::ConcurrentAppend
                | CommitConflictError::ConcurrentDeleteRead
                | CommitConflictError::ConcurrentDeleteDelete
                | CommitConflictError::MetadataChanged
                | CommitConflictError::ProtocolChanged(_)
        ),
        _ => false,
    }
}
