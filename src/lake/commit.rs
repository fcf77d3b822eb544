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
                for part in &parts {
                    let known = references[part.table as usize].contains(&part.path);
                    if !known && self.delete_part(part).await? {
                        outcome.files_removed += 1;
                        outcome.bytes_removed += part.size_bytes;
                    }
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
    /// [`Lake::recover`] to settle, as does giving up this future half-way; [`Lake::discard`] is safe to call in
    /// every case.
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
        // Before anything is written: once `access_logs` has committed, every file must go in.
        parts.iter().try_for_each(|part| part_location(part).map(drop))?;
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::time::SystemTime;

    use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringViewArray, new_null_array};
    use arrow::datatypes::Int64Type;
    use parquet::arrow::ArrowWriter;
    use tempfile::TempDir;

    use super::super::Ledger;
    use super::*;

    const SOURCE: &str = "local";
    /// 2026-01-01.
    const DAY: i32 = 20_454;

    async fn lake() -> (TempDir, Lake) {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open_or_create(&place(&dir)).await.unwrap();
        (dir, lake)
    }

    fn place(dir: &TempDir) -> String {
        dir.path().join("lake").to_str().unwrap().to_owned()
    }

    /// A tiny Parquet file: the log object's key and etag, its two records and one reject, all else null.
    fn part(lake: &Lake, table: Table, key: &str, event_date: Option<i32>, rows: usize) -> PartFile {
        let text = |value: &str| Arc::new(StringViewArray::from(vec![value; rows])) as ArrayRef;
        let number = |value: i64| Arc::new(Int64Array::from(vec![value; rows])) as ArrayRef;
        let schema = table.file_schema();
        let columns = schema.fields().iter().map(|field| match field.name().as_str() {
            "log_key" => text(key),
            "etag" => text("0f"),
            "source_id" => text(SOURCE),
            "records" => number(2),
            "rejects" => number(1),
            "duplicates" => number(0),
            "lines" => number(3),
            _ => new_null_array(field.data_type(), rows),
        });
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap();
        let name = format!("part-{}.parquet", uuid::Uuid::new_v4());
        let path = match table {
            Table::AccessLogs => format!("event_date={}/{name}", partition_value(event_date)),
            Table::LogObjects | Table::Rejects => name,
        };
        let file = lake.table_dir(table).join(&path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let mut writer = ArrowWriter::try_new(File::create(&file).unwrap(), schema, None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        PartFile {
            table,
            path,
            event_date,
            size_bytes: file.metadata().unwrap().len(),
            rows: rows as u64,
            stats: json!({"numRecords": rows, "nullCount": {"time": rows}}).to_string(),
        }
    }

    /// The files of a commit batch of one log object.
    fn batch(lake: &Lake, key: &str) -> Vec<PartFile> {
        vec![
            part(lake, Table::AccessLogs, key, Some(DAY), 1),
            part(lake, Table::AccessLogs, key, None, 1),
            part(lake, Table::Rejects, key, None, 1),
            part(lake, Table::LogObjects, key, None, 1),
        ]
    }

    fn files(lake: &Lake, parts: &[PartFile]) -> Vec<PathBuf> {
        parts.iter().map(|part| lake.table_dir(part.table).join(&part.path)).collect()
    }

    /// Rows of access_logs, rejects and log_objects, as a reader who opens the lake now sees them.
    async fn rows(lake: &Lake) -> [i64; 3] {
        let fresh = Lake::open(lake.root().to_str().unwrap()).await.unwrap();
        let mut counts = [0; 3];
        for (count, table) in counts.iter_mut().zip([Table::AccessLogs, Table::Rejects, Table::LogObjects]) {
            let batches = fresh.sql(&format!("SELECT count(*) AS n FROM {table}")).await.unwrap();
            *count = batches[0].column(0).as_primitive::<Int64Type>().value(0);
        }
        counts
    }

    async fn ingest(lake: &mut Lake, key: &str) -> Vec<PartFile> {
        let parts = batch(lake, key);
        let attempt = lake.begin(SOURCE).await.unwrap();
        lake.commit(&attempt, &parts).await.unwrap();
        parts
    }

    /// An attempt that stops after step 2.
    async fn stop_after_intent(lake: &mut Lake, key: &str) -> (Intent, Vec<PartFile>) {
        let parts = batch(lake, key);
        let attempt = lake.begin(SOURCE).await.unwrap();
        let intent = lake.intent(&attempt, &parts).unwrap();
        lake.write_intent(&intent).await.unwrap();
        (intent, parts)
    }

    fn make_old(path: &std::path::Path) {
        let before = SystemTime::now() - 2 * DEAD_AFTER;
        File::options().write(true).open(path).unwrap().set_modified(before).unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_no_lake_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let kind = |outcome: Result<Lake>| outcome.unwrap_err().kind();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        assert_eq!(kind(Lake::open(&path("missing")).await), ErrorKind::NotFound);
        assert_eq!(kind(Lake::open("").await), ErrorKind::Usage);
        for location in ["s3://amzn-s3-demo-bucket/lake", "gs://amzn-s3-demo-bucket/lake"] {
            assert_eq!(kind(Lake::open(location).await), ErrorKind::Usage);
            assert_eq!(kind(Lake::open_or_create(location).await), ErrorKind::Usage);
        }
        std::fs::write(path("file"), "x").unwrap();
        assert_eq!(kind(Lake::open(&path("file")).await), ErrorKind::Lake);
        assert_eq!(kind(Lake::open_or_create(&path("file")).await), ErrorKind::Lake);
        std::fs::create_dir_all(path("full/access_logs")).unwrap();
        assert_eq!(kind(Lake::open(&path("full")).await), ErrorKind::Lake);
        assert_eq!(kind(Lake::open_or_create(&path("full")).await), ErrorKind::Lake);
        assert!(!dir.path().join("full/_s3trail").exists());
        std::fs::create_dir_all(path("mount/lost+found")).unwrap();
        assert_eq!(kind(Lake::open(&path("mount")).await), ErrorKind::Lake);
        Lake::open_or_create(&path("mount")).await.unwrap();
        let lake = Lake::open(&path("mount")).await.unwrap();
        std::fs::write(lake.root().join("_s3trail/lake.json"), "{\"format\": 2}").unwrap();
        assert_eq!(kind(Lake::open(&path("mount")).await), ErrorKind::Lake);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn two_create_one_lake() {
        let dir = tempfile::tempdir().unwrap();
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let place = place(&dir);
                tokio::spawn(async move { Lake::open_or_create(&place).await })
            })
            .collect();
        for task in tasks {
            let lake = task.await.unwrap().unwrap();
            for table in Table::ALL {
                assert_eq!(lake.version(table).unwrap(), 0);
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_unfinished_creation_is_completed_but_a_lost_table_is_not_replaced() {
        let (dir, mut lake) = lake().await;
        for table in [Table::AccessLogs, Table::Rejects] {
            std::fs::remove_dir_all(lake.table_dir(table)).unwrap();
        }
        assert_eq!(Lake::open(&place(&dir)).await.unwrap_err().kind(), ErrorKind::Lake);
        lake = Lake::open_or_create(&place(&dir)).await.unwrap();
        ingest(&mut lake, "a").await;
        for table in Table::ALL {
            let (here, away) = (lake.table_dir(table), dir.path().join("away"));
            std::fs::rename(&here, &away).unwrap();
            assert_eq!(Lake::open_or_create(&place(&dir)).await.unwrap_err().kind(), ErrorKind::Lake);
            assert!(!here.exists());
            std::fs::rename(&away, &here).unwrap();
        }
        assert_eq!(rows(&lake).await, [2, 1, 1]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_commit_is_visible_in_all_tables() {
        let (_dir, mut lake) = lake().await;
        assert_eq!(lake.recover().await.unwrap(), Recovery::default());
        assert!(lake.ledger().await.unwrap().is_empty());
        ingest(&mut lake, "logs/a").await;
        ingest(&mut lake, "logs/b").await;
        assert_eq!(rows(&lake).await, [4, 2, 2]);
        let ledger = lake.ledger().await.unwrap();
        assert_eq!(ledger.len(), 2);
        assert!(ledger.contains(None, "logs/a", "0f"));
        assert!(!ledger.contains(None, "logs/a", "1f"));
        let dated = "SELECT count(*) AS n FROM access_logs WHERE event_date = DATE '2026-01-01'";
        assert_eq!(lake.sql(dated).await.unwrap()[0].column(0).as_primitive::<Int64Type>().value(0), 2);
        assert!(lake.intents().await.unwrap().is_empty());

        let attempt = lake.begin(SOURCE).await.unwrap();
        lake.commit(&attempt, &[]).await.unwrap();
        assert_eq!(lake.txn(Table::LogObjects, SOURCE).await.unwrap(), Some(attempt.n));
        assert_eq!(lake.commit(&attempt, &[]).await.unwrap_err().kind(), ErrorKind::Conflict);
        assert!(lake.begin(SOURCE).await.unwrap().n > attempt.n);
        assert_eq!(lake.begin("../up").await.unwrap_err().kind(), ErrorKind::Internal);

        let report = lake.verify().await.unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
        assert_eq!((report.log_objects, report.read.files, report.rows), (2, 8, 8));
        let status = lake.status().await.unwrap();
        assert_eq!(status.tables.iter().map(|table| table.rows).collect::<Vec<_>>(), [4, 2, 2]);
        assert_eq!((status.first_time, status.pending_intents, status.remains.files), (None, 0, 0));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_second_of_two_writers_gets_a_conflict() {
        let (dir, mut first) = lake().await;
        let mut second = Lake::open(&place(&dir)).await.unwrap();
        second.recover().await.unwrap();
        second.ledger().await.unwrap();
        ingest(&mut first, "a").await;

        // Neither a later attempt nor a refresh helps: the ledger does not know `a`.
        second.refresh().await.unwrap();
        let attempt = second.begin(SOURCE).await.unwrap();
        let parts = batch(&second, "a");
        let error = second.commit(&attempt, &parts).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(second.intents().await.unwrap().is_empty());
        assert_eq!(rows(&first).await, [2, 1, 1]);
        second.discard(&parts).await.unwrap();
        assert!(files(&second, &parts).iter().all(|file| !file.exists()));

        second.recover().await.unwrap();
        assert!(second.ledger().await.unwrap().contains(None, "a", "0f"));
        ingest(&mut second, "b").await;
        assert_eq!(rows(&first).await, [4, 2, 2]);

        // Another source does not mind.
        let other = first.begin("other").await.unwrap();
        let parts = batch(&first, "c");
        first.commit(&other, &parts).await.unwrap();
        assert_eq!(rows(&first).await, [6, 3, 3]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_commit_that_slips_in_between_is_seen_by_delta() {
        let (dir, mut lake) = lake().await;
        let (intent, _) = stop_after_intent(&mut lake, "a").await;
        let mut other = Lake::open(&place(&dir)).await.unwrap();
        ingest(&mut other, "b").await;
        // As if the check of step 3 had been made before.
        assert!(matches!(lake.append(Table::AccessLogs, &intent).await.unwrap(), Append::Again));
        assert!(
            matches!(lake.decide(&intent, None).await, Decision::Lost(e) if e.kind() == ErrorKind::Conflict)
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_crash_before_the_commit_point_leaves_nothing() {
        let (dir, mut lake) = lake().await;
        let (_, parts) = stop_after_intent(&mut lake, "a").await;
        let mut next = Lake::open(&place(&dir)).await.unwrap();
        assert_eq!(next.recover().await.unwrap().left_alone, 1);
        next.discard(&parts).await.unwrap();
        assert!(files(&next, &parts).iter().all(|file| file.exists()));
        assert_eq!(rows(&next).await, [0, 0, 0]);

        ingest(&mut next, "b").await;
        let recovery = next.recover().await.unwrap();
        assert_eq!((recovery.discarded, recovery.files_removed), (1, 4));
        assert!(files(&next, &parts).iter().all(|file| !file.exists()));
        assert_eq!(next.recover().await.unwrap(), Recovery::default());
        assert_eq!(rows(&next).await, [2, 1, 1]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_dead_attempt_is_fenced_before_its_files_go() {
        let (dir, mut sleeper) = lake().await;
        let (intent, parts) = stop_after_intent(&mut sleeper, "a").await;
        make_old(&local(sleeper.root(), &intent.location().unwrap()));
        let mut next = Lake::open(&place(&dir)).await.unwrap();
        next.ledger().await.unwrap();
        let recovery = next.recover().await.unwrap();
        assert_eq!((recovery.discarded, recovery.left_alone), (1, 0));
        assert!(files(&next, &parts).iter().all(|file| !file.exists()));
        // The sleeper wakes up where it was.
        let decision = sleeper.decide(&intent, None).await;
        assert!(matches!(decision, Decision::Lost(e) if e.kind() == ErrorKind::Conflict));
        // And whoever fenced it goes on.
        ingest(&mut next, "b").await;
        assert_eq!(rows(&next).await, [2, 1, 1]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_crash_after_the_commit_point_loses_nothing() {
        let (dir, mut lake) = lake().await;
        ingest(&mut lake, "a").await;
        for steps in 0..=2 {
            let done = &[Table::Rejects, Table::LogObjects][..steps];
            let key = format!("b{steps}");
            let before = rows(&lake).await;
            let covered = lake.covered(SOURCE).await.unwrap();
            let (intent, parts) = stop_after_intent(&mut lake, &key).await;
            assert!(matches!(lake.decide(&intent, covered).await, Decision::Committed));
            for table in done {
                assert!(matches!(lake.append(*table, &intent).await.unwrap(), Append::Done(_)));
            }
            let mut next = Lake::open(&place(&dir)).await.unwrap();
            let at_risk = next.verify().await.unwrap().problems.len();
            assert_eq!(at_risk > 0, steps < 2);
            next.discard(&parts).await.unwrap();

            // Without recovery nobody may go on for this source.
            if steps < 2 {
                let attempt = next.begin(SOURCE).await.unwrap();
                assert_eq!(next.commit(&attempt, &[]).await.unwrap_err().kind(), ErrorKind::Conflict);
            }
            assert_eq!(next.recover().await.unwrap().rolled_forward, 1);
            assert_eq!(next.recover().await.unwrap(), Recovery::default());
            assert_eq!(lake.recover().await.unwrap(), Recovery::default());
            assert_eq!(rows(&next).await, [before[0] + 2, before[1] + 1, before[2] + 1]);
            assert!(next.ledger().await.unwrap().contains(None, &key, "0f"));
            assert_eq!(next.verify().await.unwrap().problems, Vec::<String>::new());
            lake = next;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_missing_intent_is_noticed() {
        let (dir, mut lake) = lake().await;
        let (intent, _) = stop_after_intent(&mut lake, "a").await;
        assert!(matches!(lake.decide(&intent, None).await, Decision::Committed));
        lake.remove_intent(&intent.location().unwrap()).await.unwrap();
        let mut next = Lake::open(&place(&dir)).await.unwrap();
        next.recover().await.unwrap();
        assert_eq!(next.begin(SOURCE).await.unwrap_err().kind(), ErrorKind::Lake);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_intent_that_outlives_its_commit_does_no_harm() {
        let (_dir, mut lake) = lake().await;
        let parts = batch(&lake, "a");
        let attempt = lake.begin(SOURCE).await.unwrap();
        let intent = lake.intent(&attempt, &parts).unwrap();
        lake.commit(&attempt, &parts).await.unwrap();
        ingest(&mut lake, "b").await;
        // Its removal failed, and another attempt followed.
        lake.write_intent(&intent).await.unwrap();
        let recovery = lake.recover().await.unwrap();
        assert_eq!((recovery.discarded, recovery.files_removed), (1, 0));
        lake.discard(&parts).await.unwrap();
        assert_eq!(rows(&lake).await, [4, 2, 2]);
        assert_eq!(lake.verify().await.unwrap().problems, Vec::<String>::new());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_vacuum_takes_what_nobody_names() {
        let (_dir, mut lake) = lake().await;
        let live = ingest(&mut lake, "a").await;
        let loose = batch(&lake, "b");
        let temporary = lake.table_dir(Table::Rejects).join("part-1.parquet.tmp");
        std::fs::write(&temporary, "half").unwrap();
        let notes = lake.table_dir(Table::Rejects).join("notes.txt");
        std::fs::write(&notes, "mine").unwrap();
        let (intent, pending) = stop_after_intent(&mut lake, "c").await;

        let bytes = loose.iter().map(|part| part.size_bytes).sum::<u64>() + 4;
        let status = lake.status().await.unwrap();
        assert_eq!((status.remains.files, status.remains.bytes), (5, bytes));
        assert_eq!(status.pending_intents, 1);
        let nothing = lake.vacuum(DEAD_AFTER, false).await.unwrap();
        assert_eq!((nothing.removed.files, nothing.removed.bytes, nothing.intents), (0, 0, 0));

        let planned = lake.vacuum(Duration::ZERO, true).await.unwrap();
        assert_eq!((planned.removed.files, planned.removed.bytes, planned.intents), (5, bytes, 0));
        let done = lake.vacuum(Duration::ZERO, false).await.unwrap();
        assert_eq!((done.removed, done.intents), (planned.removed, 0));
        assert!(files(&lake, &loose).iter().all(|file| !file.exists()) && !temporary.exists());
        assert!(files(&lake, &live).iter().chain(&files(&lake, &pending)).all(|file| file.exists()));
        assert!(notes.exists());

        make_old(&local(lake.root(), &intent.location().unwrap()));
        let planned = lake.vacuum(DEAD_AFTER, true).await.unwrap();
        let done = lake.vacuum(DEAD_AFTER, false).await.unwrap();
        assert_eq!((done.removed, done.intents), (planned.removed, planned.intents));
        assert_eq!((done.removed.files, done.intents), (4, 1));
        assert_eq!(rows(&lake).await, [2, 1, 1]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn verify_names_what_is_wrong() {
        let (_dir, mut lake) = lake().await;
        let first = ingest(&mut lake, "a").await;
        let first = files(&lake, &first);
        let extra = vec![part(&lake, Table::AccessLogs, "b\u{1b}", Some(DAY), 1)];
        let attempt = lake.begin(SOURCE).await.unwrap();
        lake.commit(&attempt, &extra).await.unwrap();
        let problems = lake.verify().await.unwrap().problems;
        assert_eq!(
            problems,
            [
                "Log object b\\u{1b}: the ledger has 0 records and 0 rejects, access_logs has 1 rows and rejects \
              has 0."
            ]
        );
        let mut bytes = std::fs::read(&first[0]).unwrap();
        bytes[4..40].fill(0xff);
        std::fs::write(&first[0], bytes).unwrap();
        std::fs::remove_file(&first[2]).unwrap();
        let problems = lake.verify().await.unwrap().problems;
        let names = |file: &PathBuf, word: &str| {
            let name = file.file_name().unwrap().to_str().unwrap();
            problems.iter().any(|problem| problem.contains(name) && problem.contains(word))
        };
        assert!(names(&first[0], "damaged") && names(&first[2], "missing"), "{problems:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_intent_cannot_lead_out_of_the_lake() {
        let (dir, mut lake) = lake().await;
        let victim = dir.path().join("victim.parquet");
        std::fs::write(&victim, "mine").unwrap();
        for path in ["../../victim.parquet", "/victim.parquet", "_delta_log/x.parquet", "notes.txt"] {
            let part = PartFile { path: path.to_owned(), ..part(&lake, Table::Rejects, "a", None, 1) };
            let parts = std::slice::from_ref(&part);
            assert_eq!(lake.discard(parts).await.unwrap_err().kind(), ErrorKind::Lake);
            let attempt = lake.begin(SOURCE).await.unwrap();
            assert_eq!(lake.commit(&attempt, parts).await.unwrap_err().kind(), ErrorKind::Lake);
        }
        assert!(victim.exists());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_long_log_is_checkpointed_and_read_again() {
        let (dir, mut lake) = lake().await;
        let mut parts = vec![part(&lake, Table::AccessLogs, "a", Some(DAY), 1)];
        for n in 1..=2 * CHECKPOINT_EVERY as i64 {
            let attempt = Attempt { source_id: SOURCE.to_owned(), n };
            let intent = lake.intent(&attempt, &std::mem::take(&mut parts)).unwrap();
            assert!(matches!(lake.append(Table::AccessLogs, &intent).await.unwrap(), Append::Done(_)));
        }
        let log = lake.table_dir(Table::AccessLogs).join("_delta_log");
        assert!(log.join("_last_checkpoint").exists());
        assert!(log.join("00000000000000000099.checkpoint.parquet").exists());
        let fresh = Lake::open(&place(&dir)).await.unwrap();
        assert_eq!(fresh.txn(Table::AccessLogs, SOURCE).await.unwrap(), Some(100));
        assert_eq!(rows(&fresh).await, [1, 0, 0]);
    }

    #[test]
    fn the_ledger_knows_an_object_by_any_root() {
        let mut ledger = Ledger::default();
        let bucket = Some("amzn-s3-demo-logs");
        ledger.insert(bucket, "logs/2026/01/01/x.log", "e1");
        ledger.insert(None, "z.log", "e2");
        ledger.insert(bucket, "a/same.log", "e3");
        ledger.insert(bucket, "b/same.log", "e3");
        ledger.insert(bucket, "b/same.log", "e3");
        assert_eq!(ledger.len(), 4);
        for (log_bucket, key, etag, known) in [
            (bucket, "logs/2026/01/01/x.log", "e1", true),
            (None, "logs/2026/01/01/x.log", "e1", true),
            (None, "01/x.log", "e1", true),
            (None, "x.log", "e1", true),
            (None, "mirror/logs/2026/01/01/x.log", "e1", true),
            (bucket, "logs/2026/01/01/x.log", "e2", false),
            (Some("amzn-s3-demo-other"), "logs/2026/01/01/x.log", "e1", false),
            (None, "1/x.log", "e1", false),
            (None, "mirrorlogs/2026/01/01/x.log", "e1", false),
            (None, "logs/2026/01/02/x.log", "e1", false),
            (bucket, "deep/z.log", "e2", true),
            (bucket, "deepz.log", "e2", false),
            (bucket, "b/same.log", "e3", true),
            (bucket, "c/same.log", "e3", false),
        ] {
            assert_eq!(ledger.contains(log_bucket, key, etag), known, "{key} {etag}");
        }
    }
}
