//! One Delta table of a lake: created, read, committed to. Of the other tables, and of the order in which they are
//! committed to, it knows nothing.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use deltalake::kernel::transaction::{
    CommitBuilder, CommitConflictError, CommitProperties, TableReference, TransactionError,
};
use deltalake::kernel::{Action, Transaction, Version};
use deltalake::logstore::commit_uri_from_version;
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::table::state::DeltaTableState;
use deltalake::{DeltaTable, DeltaTableError, TableProperty};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path as ObjectPath;
use serde_json::json;

use super::place::Site;
use super::schema::Definition;
use super::store_error;
use crate::error::{Error, ErrorKind, Result};

/// A Delta checkpoint is written every so many commits, so that opening a table reads few files.
pub(super) const CHECKPOINT_EVERY: u64 = 50;

/// The outcome of one try to commit.
pub(super) enum Append {
    Done(Version),
    /// Another writer was faster; or, where answers get lost, this very commit was there already.
    Again,
}

/// Paths of the files that a table has, and of those it had: removed files serve older readers until they are
/// vacuumed. The latter with the time of removal, in milliseconds since the epoch, where recorded.
#[derive(Default)]
pub(super) struct Referenced {
    pub(super) live: HashSet<String>,
    pub(super) removed: HashMap<String, Option<i64>>,
}

impl Referenced {
    pub(super) fn contains(&self, path: &str) -> bool {
        self.live.contains(path) || self.removed.contains_key(path)
    }
}

/// The folder of a table's Delta log.
pub(super) fn log_folder(name: &str) -> ObjectPath {
    ObjectPath::from_iter([name, "_delta_log"])
}

/// The log entry of a version.
pub(super) fn log_entry(name: &str, version: Version) -> ObjectPath {
    ObjectPath::from(format!("{name}/{}", commit_uri_from_version(Some(version))))
}

/// The state in memory.
pub(super) fn loaded<'a>(site: &dyn Site, name: &str, delta: &'a DeltaTable) -> Result<&'a DeltaTableState> {
    delta.snapshot().map_err(|e| store_error("read the Delta log", site.name(&log_folder(name)), e))
}

/// The newest state of a table, whatever its columns, or `None` when it has no Delta log.
pub(super) async fn load_any(site: &dyn Site, name: &str) -> Result<Option<DeltaTable>> {
    let mut delta = site.delta_table(name)?;
    let loaded = match delta.verify_deltatable_existence().await {
        Ok(false) => return Ok(None),
        Ok(true) => delta.load().await,
        Err(e) => Err(e),
    };
    match loaded {
        Ok(()) => Ok(Some(delta)),
        Err(e) => Err(damaged(site, name, e).await),
    }
}

/// Why a table cannot be read, with the entry of its log that is damaged, if there is one.
async fn damaged(site: &dyn Site, name: &str, e: DeltaTableError) -> Error {
    let error = store_error("read the Delta log", site.name(&log_folder(name)), e);
    if error.kind() != ErrorKind::Lake {
        return error;
    }
    let error = match torn_entry(site, name).await {
        Some(entry) => error.with_context("damaged entry", site.name(&entry)),
        None => error,
    };
    error.with_hint("the table is damaged; restore its _delta_log from a backup")
}

/// The first entry of a table's log that is not lines of JSON.
async fn torn_entry(site: &dyn Site, name: &str) -> Option<ObjectPath> {
    let mut entries: Vec<ObjectPath> = Vec::new();
    let mut listing = site.store().list(Some(&log_folder(name)));
    while let Some(Ok(entry)) = listing.next().await {
        if entry.location.as_ref().ends_with(".json") {
            entries.push(entry.location);
        }
    }
    entries.sort();
    for entry in entries {
        let Ok(content) = site.store().get(&entry).await else { continue };
        let Ok(bytes) = content.bytes().await else { continue };
        let mut lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        let is_json = |line: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
        if bytes.is_empty() || !lines.all(is_json) {
            return Some(entry);
        }
    }
    None
}

/// The newest state of a table, or `None` when it has no Delta log.
///
/// # Errors
/// [`ErrorKind::Lake`] when it is not as defined or damaged.
pub(super) async fn load(site: &dyn Site, definition: &Definition) -> Result<Option<DeltaTable>> {
    let found = load_any(site, definition.name).await?;
    if let Some(delta) = &found {
        definition.check(loaded(site, definition.name, delta)?)?;
    }
    Ok(found)
}

/// The table as defined: the one that was created here, or the one that somebody else was faster to create.
pub(super) async fn create(site: &dyn Site, definition: &Definition) -> Result<DeltaTable> {
    let name = definition.name;
    let created = CreateBuilder::new()
        .with_log_store(site.delta_table(name)?.log_store())
        .with_table_name(name)
        .with_comment(definition.comment)
        .with_columns(definition.columns.clone())
        .with_partition_columns(definition.partitions.iter().copied())
        .with_configuration_property(TableProperty::CheckpointInterval, Some(CHECKPOINT_EVERY.to_string()))
        // Statistics of every column that has them: by default those behind the 32nd are forgotten, log_key's too.
        .with_configuration_property(TableProperty::DataSkippingNumIndexedCols, Some("-1"))
        // Without this the loser of a race would commit its own metadata as version 1.
        .with_commit_properties(CommitProperties::default().with_max_retries(0))
        .await;
    let delta = match created {
        Ok(delta) => delta,
        // Somebody else was faster, or it failed: what is there now tells.
        Err(e) => match load(site, definition).await {
            Ok(Some(delta)) => delta,
            _ => return Err(store_error("create the table", site.name(&ObjectPath::from(name)), e)),
        },
    };
    site.flush(vec![log_entry(name, 0)]).await?;
    site.flush_folders(log_folder(name)).await?;
    Ok(delta)
}

/// One commit of new files (possibly none), and of files that they replace, from the state in memory, which is moved
/// on.
///
/// # Errors
/// Any error leaves open whether the commit took place; [`Append::Again`] is no error.
pub(super) async fn commit(
    site: &dyn Site,
    delta: &mut DeltaTable,
    definition: &Definition,
    actions: Vec<Action>,
    txns: Vec<Transaction>,
) -> Result<Append> {
    let name = definition.name;
    let next = loaded(site, name, delta)?.version() + 1;
    // Looking for expired log entries means listing the log: once a checkpoint is enough.
    let tidy = (next + 1).is_multiple_of(CHECKPOINT_EVERY);
    let is_append = !actions.iter().any(|action| matches!(action, Action::Remove(_)));
    let properties = CommitProperties::default()
        .with_application_transactions(txns)
        .with_metadata([("isBlindAppend".to_owned(), json!(is_append))])
        .with_cleanup_expired_logs(Some(tidy));
    let operation = match is_append {
        true => DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: Some(definition.partitions.iter().map(|name| (*name).to_owned()).collect()),
            predicate: None,
        },
        // Without a predicate: what others add meanwhile is not read by it, and no reason to begin again.
        false => DeltaOperation::Delete { predicate: None },
    };
    let log_store = delta.log_store();
    let state = loaded(site, name, delta)?;
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
        Err(e) => return Err(store_error("commit", site.name(&log_folder(name)), e)),
    };
    // Committed. The rest is housekeeping: a checkpoint now and then, and the new state for our own use, which
    // is read again before anything is decided on it.
    let version = posted.version;
    if let Ok(done) = posted.await {
        if done.metrics.new_checkpoint_created {
            let log = log_folder(name);
            let checkpoint = log.clone().join(format!("{version:020}.checkpoint.parquet"));
            let _ = site.flush(vec![checkpoint, log.join("_last_checkpoint")]).await;
        }
        delta.state = Some(done.snapshot);
    }
    Ok(Append::Done(version))
}

/// Makes commits durable.
pub(super) async fn flush(site: &dyn Site, name: &str, versions: RangeInclusive<Version>) -> Result<()> {
    site.flush(versions.map(|version| log_entry(name, version)).collect()).await
}

/// See [`Referenced`].
pub(super) async fn referenced(site: &dyn Site, name: &str, delta: &DeltaTable) -> Result<Referenced> {
    let state = loaded(site, name, delta)?;
    let log_store = delta.log_store();
    let live: HashSet<String> = state.log_data().iter().map(|file| file.path().into_owned()).collect();
    let mut removed = HashMap::new();
    let mut tombstones = state.all_tombstones(log_store.as_ref());
    let failed = |e| store_error("read the Delta log", site.name(&log_folder(name)), e);
    while let Some(gone) = tombstones.try_next().await.map_err(failed)? {
        let path = gone.path().into_owned();
        if !live.contains(&path) {
            removed.insert(path, gone.deletion_timestamp().filter(|ms| *ms > 0));
        }
    }
    Ok(Referenced { live, removed })
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
