//! The commit protocol: nothing lost, nothing twice, for three tables that cannot be committed at once.
//!
//! One commit decides, the others follow. An attempt `n` of a source runs through
//! 1. its Parquet files, under unique names, at their place in the lake and durable;
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
//! - in 3: Delta's commit is one `link` or one conditional PUT: it is in the log or not. If its answer is lost, the
//!   log is asked. If the log does not have it, a folder never will, so the attempt lost; a bucket may have it
//!   later, so the intent stays, and recovery sees it either way: the PUT can only take the place of the next version,
//!   so once anybody has committed, it is too late for it. A client that asks again after a lost answer is told that
//!   the version exists; so when the table has moved to `n` after our own try, it was our own.
//! - between 3 and 4, in 4: A = n with the intent still there: every run starts by finishing it. Until then readers
//!   see records whose ledger rows are to come, and a second writer gets [`ErrorKind::Conflict`] and recovers.
//! - before the intent's removal: finished again, to no effect.
//! - power failure: each step is flushed before the next begins, also when finishing somebody else's. (What a
//!   bucket has acknowledged is flushed.)
//! - full disk: every write of 2 to 4 is a new file under a temporary name; the error names it and it is gone.
//!   Log housekeeping (checkpoints) may fail without consequence: the commit stands.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use chrono::Utc;
use deltalake::kernel::{Action, Remove, Transaction};

use super::delta::{self, Append, Referenced};
use super::intent::{Change, Intent, StoredIntent, check_source_id, conflict, intents_folder};
use super::parts::add_action;
use super::{Attempt, Lake, PartFile, Recovery, Table};
use crate::error::{Error, ErrorKind, Result};

/// The app id of the attempts that rewrite or remove what is there: one of them at a time.
pub(super) const MAINTENANCE: &str = "maintenance";

/// The `txn` app id of the last day before which records have expired, in days since the epoch.
pub(super) const EXPIRED: &str = "s3trail-expired";

/// How often a commit is tried again from a newer snapshot. deltalake itself retries 15 times in each round.
pub(super) const ROUNDS: usize = 10;

/// The outcome of step 3.
enum Decision {
    Committed,
    /// Certainly not committed, now or ever.
    Lost(Error),
    /// Perhaps committed: the intent must stay.
    Unknown(Error),
}

impl Lake {
    /// Takes up what other runs left behind: finishes attempts that committed, removes those that lost with their
    /// files, and leaves alone what may be running (for a day). To be called before [`Lake::ledger`].
    ///
    /// # Errors
    /// [`ErrorKind::Lake`] when an attempt that committed cannot be finished because its intent or its files are
    /// damaged, [`ErrorKind::Io`] when the operating system or the store refuses, [`ErrorKind::Conflict`] when the
    /// tables stay too busy.
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

    /// Starts an attempt: its number is the time in microseconds, or one more than the source's last. From here on
    /// part files can be written to [`Lake::table_dir`].
    ///
    /// # Errors
    /// [`ErrorKind::Lake`] when the source's last attempt is incomplete and its intent is gone, which no recovery
    /// can mend; [`ErrorKind::Io`] when there is no room for part files; [`ErrorKind::Internal`] when `source_id`
    /// is unfit for a file name.
    pub async fn begin(&mut self, source_id: &str) -> Result<Attempt> {
        check_source_id(source_id)?;
        self.site.prepare()?;
        self.ensure_finished(source_id).await?;
        let last = self.txn(Table::AccessLogs, source_id).await?.max(self.covered(source_id).await?);
        let last = last.max(self.drawn(source_id).await?);
        Ok(Attempt { source_id: source_id.to_owned(), n: next_attempt(last)? })
    }

    /// Makes the files of one commit batch visible, in all three tables or, for now, in none. The files must be in
    /// [`Lake::table_dir`] and, in a folder, durable; those of a lake in a bucket are uploaded first and are then
    /// gone from there. An attempt without files is committed too: it moves the source's number on.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the source committed through another process since the ledger was read: then
    /// nothing of this attempt is visible and its intent is gone; discard the files, recover, read the ledger again
    /// and do the batch again. Any other error leaves the batch either invisible or committed, for the next
    /// [`Lake::recover`] to settle, as does giving up this future half-way; [`Lake::discard`] is safe to call in
    /// every case.
    pub async fn commit(&mut self, attempt: &Attempt, parts: &[PartFile]) -> Result<()> {
        self.replace(attempt, parts, Change::default()).await
    }

    /// [`Lake::commit`] of files that take the place of others. Those must be live in the newest tables.
    pub(super) async fn replace(
        &mut self,
        attempt: &Attempt,
        parts: &[PartFile],
        change: Change,
    ) -> Result<()> {
        let covered = self.covered(&attempt.source_id).await?;
        let intent = self.intent(attempt, parts, change)?;
        if covered >= Some(attempt.n) {
            return Err(conflict(&intent));
        }
        self.site.deliver(parts).await?;
        self.carry_out(&intent, covered).await?;
        self.known().own.insert(attempt.source_id.clone(), attempt.n);
        Ok(())
    }

    /// Removes files that were written for an attempt that did not commit, wherever they are by now. Files that a
    /// table has, or that an intent names, are left: the former are data, the latter the next [`Lake::recover`]
    /// decides about.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the operating system or the store refuses.
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

    /// From here on the caller knows all that the source committed, as of the state in memory.
    pub(super) async fn cover(&self, source_id: &str) -> Result<()> {
        let newest = self.txn(Table::LogObjects, source_id).await?;
        let own = &mut self.known().own;
        match newest {
            Some(n) => own.insert(source_id.to_owned(), n),
            None => own.remove(source_id),
        };
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
        // All is done. Should this fail, recovery finds that out.
        let _ = self.remove_intent(&intent.location()?).await;
        Ok(())
    }

    /// Step 3.
    async fn decide(&mut self, intent: &Intent, covered: Option<i64>) -> Decision {
        let mut tried = false;
        for _ in 0..ROUNDS {
            match self.newest_txn(Table::AccessLogs, &intent.source_id).await {
                Ok(decided) if decided == covered => {}
                Ok(decided) if tried && decided == Some(intent.n) => return self.committed(intent).await,
                Ok(_) => return Decision::Lost(conflict(intent)),
                Err(e) if tried => return Decision::Unknown(e),
                Err(e) => return Decision::Lost(e),
            }
            tried = true;
            match self.commit_table(Table::AccessLogs, intent).await {
                Ok(Append::Done(version)) => {
                    return match self.flush_log(Table::AccessLogs, version).await {
                        Ok(()) => Decision::Committed,
                        Err(e) => Decision::Unknown(e),
                    };
                }
                Ok(Append::Again) => {}
                Err(e) => {
                    // A conflict was seen before anything was sent.
                    let is_final = self.site.is_local() || e.kind() == ErrorKind::Conflict;
                    return self.ask(intent, covered, e, is_final).await;
                }
            }
        }
        self.ask(intent, covered, busy(Table::AccessLogs, intent), true).await
    }

    /// What the log says of a commit that seems to have failed, and whether that is the last word.
    async fn ask(&mut self, intent: &Intent, covered: Option<i64>, error: Error, is_final: bool) -> Decision {
        match self.newest_txn(Table::AccessLogs, &intent.source_id).await {
            Ok(decided) if decided == Some(intent.n) => self.committed(intent).await,
            Ok(decided) if decided == covered && is_final => Decision::Lost(error),
            Ok(decided) if decided == covered => Decision::Unknown(error),
            // Its place in the log is taken.
            Ok(_) => Decision::Lost(conflict(intent)),
            Err(_) => Decision::Unknown(error),
        }
    }

    /// The commit of step 3 was found in the log.
    async fn committed(&self, intent: &Intent) -> Decision {
        match self.flush_since(Table::AccessLogs, intent).await {
            Ok(()) => Decision::Committed,
            Err(e) => Decision::Unknown(e),
        }
    }

    /// The commits of step 4, as far as they are missing.
    async fn roll_forward(&mut self, intent: &Intent) -> Result<()> {
        for table in [Table::Rejects, Table::LogObjects] {
            let mut rounds = ROUNDS;
            while self.newest_txn(table, &intent.source_id).await? < Some(intent.n) {
                match self.commit_table(table, intent).await {
                    Ok(Append::Done(version)) => {
                        self.flush_log(table, version).await?;
                        break;
                    }
                    Ok(Append::Again) if rounds == 0 => return Err(busy(table, intent)),
                    Ok(Append::Again) => rounds -= 1,
                    // It may have taken place all the same.
                    Err(e) => match self.newest_txn(table, &intent.source_id).await {
                        Ok(there) if there >= Some(intent.n) => self.flush_since(table, intent).await?,
                        _ => return Err(e),
                    },
                }
            }
        }
        Ok(())
    }

    /// Step 4 for an attempt of another run. What that run committed is flushed first: it may not have come to it.
    async fn finish(&mut self, intent: &StoredIntent) -> Result<()> {
        match &intent.body {
            Some(body) => {
                self.flush_since(Table::AccessLogs, body).await?;
                self.roll_forward(body).await?;
                self.flush_since(Table::Rejects, body).await?;
                self.flush_since(Table::LogObjects, body).await?;
            }
            None => {
                for table in [Table::Rejects, Table::LogObjects] {
                    if self.txn(table, &intent.source_id).await? < Some(intent.n) {
                        return Err(Error::new(
                            ErrorKind::Lake,
                            "a commit is unfinished and its intent is not readable",
                        )
                        .with_context("path", self.site.name(&intent.location))
                        .with_hint("it may be of a newer s3trail: update, and ingest again"));
                    }
                }
            }
        }
        self.remove_intent(&intent.location).await
    }

    /// The highest number that an intent of the source has. Numbers are drawn from the clock, and a clock that is behind
    /// the last commit would draw that of a killed run again and again.
    async fn drawn(&self, source_id: &str) -> Result<Option<i64>> {
        let intents = self.intents().await?;
        Ok(intents.iter().filter(|intent| intent.source_id == source_id).map(|intent| intent.n).max())
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
        let last = dead.iter().map(|intent| intent.n).max().max(decided).max(self.drawn(source_id).await?);
        let attempt = Attempt { source_id: source_id.to_owned(), n: next_attempt(last)? };
        let covered = self.covered(source_id).await?;
        let intent = self.intent(&attempt, &[], Change::default())?;
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
            .with_context("path", self.site.name(&intents_folder()))
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
    async fn commit_table(&mut self, table: Table, intent: &Intent) -> Result<Append> {
        // What is missing for the other two has to be known before the commit point: behind it there is no way back.
        let checked = if table == Table::AccessLogs { &Table::ALL[..] } else { &[table] };
        for table in checked {
            self.check_parts(*table, &intent.parts).await?;
        }
        let mut actions = Vec::new();
        for part in intent.parts.iter().filter(|part| part.table == table) {
            let mut add = add_action(part, intent.written_ms)?;
            // Rows that only moved are none that a reader of changes has to see again.
            add.data_change = intent.change.removed.is_empty() || table != Table::AccessLogs;
            actions.push(Action::Add(add));
        }
        actions.extend(self.removals(table, intent)?.into_iter().map(Action::Remove));
        let mut txns = vec![Transaction::new(&intent.source_id, intent.n)];
        if let (Table::AccessLogs, Some(day)) = (table, intent.change.expired_before) {
            txns.push(Transaction::new(EXPIRED, i64::from(day)));
        }
        let site = Arc::clone(&self.site);
        let delta = &mut self.tables[table as usize];
        delta::commit(site.as_ref(), delta, &table.definition()?, actions, txns).await
    }

    /// What the intent takes out of the table. Each file must still be there: one that is gone was replaced by
    /// somebody else, and its rows would be added twice.
    fn removals(&self, table: Table, intent: &Intent) -> Result<Vec<Remove>> {
        let wanted: HashSet<&str> = intent
            .change
            .removed
            .iter()
            .filter(|(of, _)| *of == table)
            .map(|(_, path)| path.as_str())
            .collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let live = self.state(table)?.log_data();
        let found: Vec<Remove> = live
            .iter()
            .filter(|file| wanted.contains(file.path().as_ref()))
            .map(|file| file.remove_action(intent.change.is_loss || table != Table::AccessLogs))
            .collect();
        if found.len() < wanted.len() {
            return Err(Error::new(ErrorKind::Conflict, "files to be replaced are no longer in the table")
                .with_context("table", table.name())
                .with_hint("another program looks after this lake too; run again when it is done"));
        }
        Ok(found)
    }

    /// Makes one commit durable.
    async fn flush_log(&self, table: Table, version: u64) -> Result<()> {
        delta::flush(self.site.as_ref(), table.name(), version..=version).await
    }

    /// Makes every commit to the table durable since the attempt began.
    async fn flush_since(&self, table: Table, intent: &Intent) -> Result<()> {
        let first = intent.versions[table as usize].saturating_add(1);
        delta::flush(self.site.as_ref(), table.name(), first..=self.version(table)?).await
    }

    /// The files that each of the three tables has or had.
    pub(super) async fn all_referenced(&self) -> Result<[Referenced; 3]> {
        let [logs, objects, rejects] = Table::ALL;
        Ok([self.referenced(logs).await?, self.referenced(objects).await?, self.referenced(rejects).await?])
    }

    async fn referenced(&self, table: Table) -> Result<Referenced> {
        delta::referenced(self.site.as_ref(), table.name(), &self.tables[table as usize]).await
    }
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
fn busy(table: Table, intent: &Intent) -> Error {
    Error::new(ErrorKind::Conflict, "other processes kept committing to the table")
        .with_context("table", table.name())
        .with_context("source", intent.source_id.as_str())
        .with_hint("run again when fewer are writing")
}

#[cfg(test)]
mod tests;
