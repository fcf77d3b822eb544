//! Finding a lake, creating one, and reading its present state.
//!
//! Creation is safe to repeat and to race: the folder `_s3trail` comes first and marks the lake as ours, then the
//! tables, `access_logs` last. A table is created by a put-if-absent of its version 0, so of two processes one
//! writes it and the other finds it. Nothing is committed to a lake before it is whole; so a lake that lacks a
//! table is an unfinished creation only as long as the others are empty, and damage otherwise: an empty ledger
//! put in place of a lost one would take everything in twice.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::prelude::SessionContext;
use deltalake::kernel::Version;
use deltalake::kernel::transaction::CommitProperties;
use deltalake::logstore::{commit_uri_from_version, store_for};
use deltalake::operations::create::CreateBuilder;
use deltalake::table::state::DeltaTableState;
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError, TableProperty};
use futures::TryStreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Known, Lake, Ledger, OWN_FOLDER, Table, store_error, task_error};
use crate::error::{Error, ErrorKind, Result};

/// A Delta checkpoint is written every so many commits, so that opening a table reads few files.
pub(super) const CHECKPOINT_EVERY: u64 = 50;

/// What `_s3trail/lake.json` says. Its format changes only when older versions must not touch the lake.
#[derive(Serialize, Deserialize)]
struct Marker {
    format: u32,
}

const FORMAT: u32 = 1;

/// Names that file systems and file managers put into folders that people call empty.
const NOT_OURS: [&str; 2] = ["lost+found", ".DS_Store"];

impl Lake {
    /// Opens an existing lake. Nothing is written.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when the location is no folder name, [`ErrorKind::NotFound`] when there is no such
    /// folder, [`ErrorKind::Lake`] when the folder is no lake, misses a table, or a table is damaged or foreign,
    /// [`ErrorKind::Io`] when the operating system refuses.
    pub async fn open(location: &str) -> Result<Lake> {
        let root = parse_location(location)?;
        match tokio::fs::metadata(&root).await {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(no_folder(&root)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::new(ErrorKind::NotFound, "there is no lake")
                    .with_context("path", root.display().to_string())
                    .with_hint("`s3trail ingest SOURCE --lake LAKE` creates one"));
            }
            Err(e) => return Err(Error::io("open the lake", &root, e)),
        }
        let root = canonical(&root).await?;
        let store = check_marker(&root).await?;
        let mut found = Vec::new();
        let mut missing = Vec::new();
        for table in Table::ALL {
            match load_table(&root, table).await? {
                Some(delta) => found.push(delta),
                None => missing.push(table),
            }
        }
        match <[DeltaTable; 3]>::try_from(found) {
            Ok(tables) => Lake::assemble(root, store, tables),
            Err(found) if found.is_empty() => Err(Error::new(ErrorKind::Lake, "the folder is no lake")
                .with_context("path", root.display().to_string())
                .with_hint("`s3trail ingest SOURCE --lake LAKE` makes an empty or missing folder one")),
            Err(_) => {
                let missing: Vec<&str> = missing.into_iter().map(Table::name).collect();
                Err(Error::new(ErrorKind::Lake, "the lake lacks a table")
                    .with_context("missing", missing.join(", "))
                    .with_context("path", root.display().to_string())
                    .with_hint("if its creation was cut short, the next `s3trail ingest` completes it"))
            }
        }
    }

    /// Opens a lake, or makes one of a missing or empty folder; finishes a creation that was cut short.
    ///
    /// # Errors
    /// As [`Lake::open`]; [`ErrorKind::Lake`] too when the folder holds something else, or when a table is
    /// missing though the others have data.
    pub async fn open_or_create(location: &str) -> Result<Lake> {
        let root = parse_location(location)?;
        match look(&root).await? {
            Folder::Unmarked => return Lake::open(location).await,
            Folder::Free | Folder::Marked => {}
            Folder::Other(name) => {
                return Err(Error::new(ErrorKind::Lake, "the folder is no lake and not empty")
                    .with_context("path", root.display().to_string())
                    .with_context("holds", name)
                    .with_hint("name an empty or missing folder"));
            }
        }
        tokio::fs::create_dir_all(&root).await.map_err(|e| Error::io("create the lake", &root, e))?;
        let root = canonical(&root).await?;
        let store = check_marker(&root).await?;
        write_marker(&root, store.as_ref()).await?;
        let tables = create_missing(&root).await?;
        Lake::assemble(root, store, tables)
    }

    /// Reads the newest version of every table.
    ///
    /// # Errors
    /// [`ErrorKind::Lake`] when a Delta log is damaged or a table's columns were changed, [`ErrorKind::Io`] when
    /// the operating system refuses.
    pub async fn refresh(&mut self) -> Result<()> {
        // access_logs first: whatever it shows as committed, the other two are then at least as far, or an
        // intent is there to bring them so far.
        for table in [Table::AccessLogs, Table::Rejects, Table::LogObjects] {
            self.refresh_table(table).await?;
        }
        Ok(())
    }

    /// The ledger, as of the state in memory. From here on [`Lake::commit`] refuses to commit for a source that
    /// another process committed for since, because this ledger does not cover it.
    ///
    /// # Errors
    /// [`ErrorKind::Lake`] or [`ErrorKind::Io`] when the table cannot be read.
    pub async fn ledger(&self) -> Result<Ledger> {
        let dir = self.table_dir(Table::LogObjects);
        let failed = |e| store_error("read the ledger", &dir, e);
        let state = self.state(Table::LogObjects)?.clone();
        let provider = self.provider(Table::LogObjects).await?;
        let frame = SessionContext::new().read_table(provider).map_err(failed)?;
        let frame = frame.select_columns(&["log_bucket", "log_key", "etag"]).map_err(failed)?;
        let mut batches = frame.execute_stream().await.map_err(failed)?;
        let mut ledger = Ledger::default();
        while let Some(batch) = batches.try_next().await.map_err(failed)? {
            let text = |column| cast(batch.column(column), &DataType::Utf8View);
            let read = |column| text(column).map_err(|e| store_error("read the ledger", &dir, e));
            let (buckets, keys, etags) = (read(0)?, read(1)?, read(2)?);
            let (buckets, keys, etags) =
                (buckets.as_string_view(), keys.as_string_view(), etags.as_string_view());
            for row in 0..batch.num_rows() {
                let bucket = buckets.is_valid(row).then(|| buckets.value(row));
                ledger.insert(bucket, keys.value(row), etags.value(row));
            }
        }
        *self.known() = Known { ledger: state, own: HashMap::new() };
        Ok(ledger)
    }

    /// A DataFusion table over the state in memory. It prunes files by `event_date` and by statistics.
    ///
    /// # Errors
    /// [`ErrorKind::Lake`] when the table uses a Delta feature that cannot be read.
    pub async fn provider(&self, table: Table) -> Result<Arc<dyn TableProvider>> {
        let dir = self.table_dir(table);
        self.tables[table as usize].table_provider().await.map_err(|e| store_error("read the table", &dir, e))
    }

    fn assemble(root: PathBuf, store: Arc<dyn ObjectStore>, tables: [DeltaTable; 3]) -> Result<Lake> {
        let ledger = loaded(&tables[Table::LogObjects as usize], &root)?.clone();
        let known = Mutex::new(Known { ledger, own: HashMap::new() });
        Ok(Lake { root, store, tables, known })
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self, table: Table) -> Result<&DeltaTableState> {
        loaded(&self.tables[table as usize], &self.root)
    }

    /// The version of a table in memory.
    pub(super) fn version(&self, table: Table) -> Result<Version> {
        Ok(self.state(table)?.version())
    }

    pub(super) async fn refresh_table(&mut self, table: Table) -> Result<()> {
        let dir = self.table_dir(table);
        let delta = &mut self.tables[table as usize];
        let before = delta.version();
        delta.update_state().await.map_err(|e| store_error("read the Delta log", &dir, e))?;
        if delta.version() != before {
            table.check(loaded(delta, &self.root)?)?;
        }
        Ok(())
    }

    /// The number of the last attempt of the source that the table has, as of the state in memory.
    pub(super) async fn txn(&self, table: Table, source_id: &str) -> Result<Option<i64>> {
        self.txn_at(table, self.state(table)?, source_id).await
    }

    /// The same in another state of the table.
    pub(super) async fn txn_at(
        &self,
        table: Table,
        state: &DeltaTableState,
        source_id: &str,
    ) -> Result<Option<i64>> {
        let log_store = self.tables[table as usize].log_store();
        let found = state.transaction_version(log_store.as_ref(), source_id).await;
        found.map_err(|e| store_error("read the Delta log", self.table_dir(table), e))
    }

    /// Paths of the files that the table has, and of those it had: removed files serve older readers until they
    /// are vacuumed. The latter with the time of removal, in milliseconds since the epoch, where recorded.
    pub(super) async fn referenced(&self, table: Table) -> Result<Referenced> {
        let dir = self.table_dir(table);
        let state = self.state(table)?;
        let log_store = self.tables[table as usize].log_store();
        let live: HashSet<String> = state.log_data().iter().map(|file| file.path().into_owned()).collect();
        let mut removed = HashMap::new();
        let mut tombstones = state.all_tombstones(log_store.as_ref());
        while let Some(gone) =
            tombstones.try_next().await.map_err(|e| store_error("read the Delta log", &dir, e))?
        {
            let path = gone.path().into_owned();
            if !live.contains(&path) {
                removed.insert(path, gone.deletion_timestamp().filter(|ms| *ms > 0));
            }
        }
        Ok(Referenced { live, removed })
    }

    /// Makes commits durable: deltalake leaves them to the page cache, which survives a killed process but not a
    /// power failure, and what we write next must not outlive what it builds on.
    pub(super) async fn sync_log(&self, table: Table, versions: RangeInclusive<Version>) -> Result<()> {
        let dir = self.table_dir(table);
        sync(versions.map(|v| local(&dir, &commit_uri_from_version(Some(v)))).collect()).await
    }
}

/// Where an object of the store is on the disk.
pub(super) fn local(folder: &Path, object: &ObjectPath) -> PathBuf {
    let relative: &str = object.as_ref();
    folder.join(relative)
}

/// See [`Lake::referenced`].
pub(super) struct Referenced {
    pub(super) live: HashSet<String>,
    pub(super) removed: HashMap<String, Option<i64>>,
}

impl Referenced {
    pub(super) fn contains(&self, path: &str) -> bool {
        self.live.contains(path) || self.removed.contains_key(path)
    }
}

/// Flushes files and the folders that name them; files that are gone need none of it.
pub(super) async fn sync(paths: Vec<PathBuf>) -> Result<()> {
    tokio::task::spawn_blocking(move || {
        let mut folders: HashSet<&Path> = HashSet::new();
        for path in &paths {
            // Windows flushes only what is open for writing.
            match std::fs::OpenOptions::new().read(true).write(cfg!(windows)).open(path) {
                Ok(file) => file.sync_all().map_err(|e| Error::io("flush", path, e))?,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => return Err(Error::io("flush", path, e)),
            }
            if let Some(folder) = path.parent() {
                folders.insert(folder);
            }
        }
        for folder in folders {
            sync_folder(folder)?;
        }
        Ok(())
    })
    .await
    .map_err(task_error)?
}

/// Flushes the folder and those above it, down from the lake: for a file whose folder is new.
pub(super) async fn sync_folders(root: PathBuf, folder: PathBuf) -> Result<()> {
    tokio::task::spawn_blocking(move || {
        folder.ancestors().take_while(|above| above.starts_with(&root)).try_for_each(sync_folder)
    })
    .await
    .map_err(task_error)?
}

fn sync_folder(folder: &Path) -> Result<()> {
    // Elsewhere a folder cannot be opened, and renames are durable by themselves.
    if cfg!(unix) {
        let flushed = std::fs::File::open(folder).and_then(|handle| handle.sync_all());
        flushed.map_err(|e| Error::io("flush", folder, e))?;
    }
    Ok(())
}

/// The folder a location names.
fn parse_location(location: &str) -> Result<PathBuf> {
    let folder = match location.split_once("://") {
        None => PathBuf::from(location),
        Some(("file", _)) => {
            Url::parse(location).ok().and_then(|url| url.to_file_path().ok()).ok_or_else(|| {
                Error::usage("the lake's URL is no path of this machine").with_context("lake", location)
            })?
        }
        Some(("s3" | "s3a", _)) => {
            return Err(Error::usage("this build reads and writes lakes in directories")
                .with_context("lake", location)
                .with_hint("name a directory; only SOURCE may be in S3"));
        }
        Some(_) => {
            return Err(Error::usage("a lake is a directory").with_context("lake", location));
        }
    };
    match folder.as_os_str().is_empty() {
        true => Err(Error::usage("the name of the lake is empty")),
        false => Ok(folder),
    }
}

fn no_folder(root: &Path) -> Error {
    Error::new(ErrorKind::Lake, "a lake is a directory, and this is none")
        .with_context("path", root.display().to_string())
}

async fn canonical(root: &Path) -> Result<PathBuf> {
    tokio::fs::canonicalize(root).await.map_err(|e| Error::io("open the lake", root, e))
}

/// What is at a location.
enum Folder {
    /// Nothing.
    Free,
    /// A lake, or the beginning of one.
    Marked,
    /// Folders named like the three tables: a lake that was copied without its own folder, perhaps.
    Unmarked,
    /// Something else, by the name of an entry.
    Other(String),
}

async fn look(root: &Path) -> Result<Folder> {
    let failed = |e| Error::io("look into the lake", root, e);
    let mut entries = match tokio::fs::read_dir(root).await {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Folder::Free),
        Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => return Err(no_folder(root)),
        Err(e) => return Err(failed(e)),
    };
    let (mut tables, mut other) = (0, None);
    while let Some(entry) = entries.next_entry().await.map_err(failed)? {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == OWN_FOLDER {
            return Ok(Folder::Marked);
        }
        tables += usize::from(Table::ALL.iter().any(|table| table.name() == name));
        if !NOT_OURS.contains(&name.as_str()) {
            other = Some(name);
        }
    }
    Ok(match other {
        None => Folder::Free,
        Some(_) if tables == Table::ALL.len() => Folder::Unmarked,
        Some(name) => Folder::Other(name),
    })
}

fn marker_path() -> ObjectPath {
    ObjectPath::from_iter([OWN_FOLDER, "lake.json"])
}

/// The store of the lake, after making sure that its format is one we know. A marker that is missing or torn says
/// nothing: the tables speak for themselves.
async fn check_marker(root: &Path) -> Result<Arc<dyn ObjectStore>> {
    let failed = |e| store_error("open the lake", root, e);
    let url = folder_url(root)?;
    let options: [(&str, &str); 0] = [];
    let store =
        store_for(&url, options).map_err(|e: DeltaTableError| store_error("open the lake", root, e))?;
    let marker = match store.get(&marker_path()).await {
        Ok(found) => found.bytes().await.map_err(failed)?,
        Err(StoreError::NotFound { .. }) => return Ok(store),
        Err(e) => return Err(failed(e)),
    };
    match serde_json::from_slice::<Marker>(&marker) {
        Ok(marker) if marker.format > FORMAT => {
            Err(Error::new(ErrorKind::Lake, "the lake was made by a newer s3trail")
                .with_context("path", root.display().to_string())
                .with_hint("update s3trail"))
        }
        _ => Ok(store),
    }
}

async fn write_marker(root: &Path, store: &dyn ObjectStore) -> Result<()> {
    let path = marker_path();
    let file = local(root, &path);
    let failed = |e| store_error("write to the lake", &file, e);
    let json = serde_json::to_vec(&Marker { format: FORMAT })
        .map_err(|e| store_error("write to the lake", &file, e))?;
    match store.put_opts(&path, json.into(), PutMode::Create.into()).await {
        Ok(_) => {}
        Err(StoreError::AlreadyExists { .. }) => return Ok(()),
        Err(e) => return Err(failed(e)),
    }
    sync(vec![file]).await?;
    sync_folders(root.to_owned(), root.join(OWN_FOLDER)).await
}

fn folder_url(folder: &Path) -> Result<Url> {
    Url::from_directory_path(folder).map_err(|()| {
        Error::usage("the lake's path cannot be written as a URL")
            .with_context("path", folder.display().to_string())
    })
}

fn loaded<'a>(delta: &'a DeltaTable, root: &Path) -> Result<&'a DeltaTableState> {
    delta.snapshot().map_err(|e| store_error("read the Delta log", root, e))
}

/// The table of that folder, not yet read.
fn delta_table(dir: &Path) -> Result<DeltaTable> {
    DeltaTableBuilder::from_url(folder_url(dir)?)
        .and_then(DeltaTableBuilder::build)
        .map_err(|e| store_error("open the table", dir, e))
}

/// The newest state of a table, or `None` when it has no Delta log.
async fn load_table(root: &Path, table: Table) -> Result<Option<DeltaTable>> {
    let dir = root.join(table.name());
    let damaged = |e| {
        store_error("read the Delta log", &dir, e)
            .with_hint("the table is damaged; restore its _delta_log from a backup")
    };
    let mut delta = delta_table(&dir)?;
    if !delta.verify_deltatable_existence().await.map_err(damaged)? {
        return Ok(None);
    }
    delta.load().await.map_err(damaged)?;
    table.check(loaded(&delta, &dir)?)?;
    Ok(Some(delta))
}

/// The three tables, created where they are missing. See the module's documentation.
async fn create_missing(root: &Path) -> Result<[DeltaTable; 3]> {
    let lost = |table: Table| {
        Error::new(ErrorKind::Lake, "a table is missing although the lake was in use")
            .with_context("missing", table.name())
            .with_context("path", root.display().to_string())
            .with_hint("restore its folder from a backup, or name another lake")
    };
    // Last created, so looked for first: where it is, the others were before it.
    let logs = load_table(root, Table::AccessLogs).await?;
    let mut in_use = logs.is_some();
    let objects = match load_table(root, Table::LogObjects).await? {
        Some(objects) => objects,
        None if in_use => return Err(lost(Table::LogObjects)),
        None => create_table(root, Table::LogObjects).await?,
    };
    in_use |= objects.version().is_some_and(|version| version > 0);
    let rejects = match load_table(root, Table::Rejects).await? {
        Some(rejects) => rejects,
        None if in_use => return Err(lost(Table::Rejects)),
        None => create_table(root, Table::Rejects).await?,
    };
    in_use |= rejects.version().is_some_and(|version| version > 0);
    let logs = match logs {
        Some(logs) => logs,
        // Another process may have created it, and used it, since we looked.
        None => match load_table(root, Table::AccessLogs).await? {
            Some(logs) => logs,
            None if in_use => return Err(lost(Table::AccessLogs)),
            None => create_table(root, Table::AccessLogs).await?,
        },
    };
    Ok([logs, objects, rejects])
}

async fn create_table(root: &Path, table: Table) -> Result<DeltaTable> {
    let dir = root.join(table.name());
    let created = CreateBuilder::new()
        .with_log_store(delta_table(&dir)?.log_store())
        .with_table_name(table.name())
        .with_comment(table.comment())
        .with_columns(table.delta_columns()?)
        .with_partition_columns(table.partition_columns().iter().copied())
        .with_configuration_property(TableProperty::CheckpointInterval, Some(CHECKPOINT_EVERY.to_string()))
        // Statistics of every column that has them: by default those behind the 32nd are forgotten, log_key's too.
        .with_configuration_property(TableProperty::DataSkippingNumIndexedCols, Some("-1"))
        // Without this the loser of a race would commit its own metadata as version 1.
        .with_commit_properties(CommitProperties::default().with_max_retries(0))
        .await;
    let delta = match created {
        Ok(delta) => delta,
        // Somebody else was faster, or it failed: what is there now tells.
        Err(e) => match load_table(root, table).await {
            Ok(Some(delta)) => delta,
            _ => return Err(store_error("create the table", &dir, e)),
        },
    };
    sync(vec![local(&dir, &commit_uri_from_version(Some(0)))]).await?;
    sync_folders(root.to_owned(), dir.join("_delta_log")).await?;
    Ok(delta)
}
