//! Finding a lake, creating one, and reading its present state.
//!
//! Creation is safe to repeat and to race: the marker in `_s3trail` comes first and marks the lake as ours, then the
//! tables, `access_logs` last. A table is created by a put-if-absent of its version 0, so of two processes one
//! writes it and the other finds it. Nothing is committed to a lake before it is whole; so a lake that lacks a
//! table is an unfinished creation only as long as the others are empty, and damage otherwise: an empty ledger
//! put in place of a lost one would take everything in twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::catalog::TableProvider;
use datafusion::execution::object_store::ObjectStoreUrl;
use deltalake::DeltaTable;
use deltalake::kernel::{LogicalFileView, Version};
use deltalake::table::state::DeltaTableState;
use object_store::path::Path as ObjectPath;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode};
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

use super::delta::{create, load, loaded, log_folder};
use super::place::{Content, Place, Site};
use super::scan::Scan;
use super::{Known, Lake, OWN_FOLDER, Table, store_error};
use crate::error::{Error, ErrorKind, Result};

/// What `_s3trail/lake.json` says. Its format changes only when older versions must not touch the lake.
#[derive(Serialize, Deserialize)]
struct Marker {
    format: u32,
}

const FORMAT: u32 = 1;

/// What a table may demand of its readers for [`Scan`] to be one of them: no deletion vectors, no renamed columns.
const PLAIN_READER: i32 = 1;

impl Lake {
    /// Opens an existing lake in a folder, or at a `file://` URL. Nothing is written.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when the location is no folder name; a lake in a bucket is opened with
    /// [`Lake::open_at`]. Otherwise as there.
    pub async fn open(location: &str) -> Result<Lake> {
        Lake::open_at(Place::parse(location)?).await
    }

    /// Opens an existing lake. Nothing is written.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is nothing at that place, [`ErrorKind::Lake`] when what is there is no
    /// lake, misses a table, or a table is damaged or foreign, [`ErrorKind::Io`] when the operating system or the
    /// store refuses.
    pub async fn open_at(place: Place) -> Result<Lake> {
        let site = place.find().await?;
        check_marker(site.as_ref()).await?;
        let mut found = Vec::new();
        let mut missing = Vec::new();
        for table in Table::ALL {
            match load(site.as_ref(), &table.definition()?).await? {
                Some(delta) => found.push(delta),
                None => missing.push(table.name()),
            }
        }
        match <[DeltaTable; 3]>::try_from(found) {
            Ok(tables) => Lake::assemble(site, tables),
            Err(found) if found.is_empty() => Err(Error::new(ErrorKind::Lake, "what is there is no lake")
                .with_context("path", site.location())
                .with_hint("`s3trail ingest SOURCE --lake LAKE` makes one at an empty or missing place")),
            Err(_) => Err(Error::new(ErrorKind::Lake, "the lake lacks a table")
                .with_context("missing", missing.join(", "))
                .with_context("path", site.location())
                .with_hint("if its creation was cut short, the next `s3trail ingest` completes it")),
        }
    }

    /// Opens a lake in a folder, or makes one of a missing or empty folder; finishes a creation that was cut short.
    ///
    /// # Errors
    /// As [`Lake::open`] and [`Lake::open_or_create_at`].
    pub async fn open_or_create(location: &str) -> Result<Lake> {
        Lake::open_or_create_at(Place::parse(location)?).await
    }

    /// Opens a lake, or makes one where there is nothing; finishes a creation that was cut short.
    ///
    /// # Errors
    /// As [`Lake::open_at`]; [`ErrorKind::Lake`] too when something else is there, or when a table is missing
    /// though the others have data.
    pub async fn open_or_create_at(place: Place) -> Result<Lake> {
        match place.look().await? {
            Content::Unmarked => return Lake::open_at(place).await,
            Content::Free | Content::Marked => {}
            Content::Other(name) => {
                return Err(Error::new(ErrorKind::Lake, "what is there is no lake, and it is not empty")
                    .with_context("path", place.to_string())
                    .with_context("holds", name)
                    .with_hint("name an empty or missing place"));
            }
        }
        let site = place.claim().await?;
        check_marker(site.as_ref()).await?;
        write_marker(site.as_ref()).await?;
        let tables = create_missing(site.as_ref()).await?;
        Lake::assemble(site, tables)
    }

    /// Reads the newest version of every table.
    ///
    /// # Errors
    /// [`ErrorKind::Lake`] when a Delta log is damaged or a table's columns were changed, [`ErrorKind::Io`] when
    /// the operating system or the store refuses.
    pub async fn refresh(&mut self) -> Result<()> {
        // access_logs first: whatever it shows as committed, the other two are then at least as far, or an
        // intent is there to bring them so far.
        for table in [Table::AccessLogs, Table::Rejects, Table::LogObjects] {
            self.refresh_table(table).await?;
        }
        Ok(())
    }

    /// A DataFusion table over the state in memory. It prunes files by `event_date` and by statistics, and a session
    /// needs to know nothing else to scan it, wherever the lake is.
    ///
    /// # Errors
    /// [`ErrorKind::Lake`] when the table uses a Delta feature that cannot be read, or names a file outside its folder.
    pub async fn provider(&self, table: Table) -> Result<Arc<dyn TableProvider>> {
        let state = self.state(table)?;
        check_paths(table.name(), state)?;
        let name = self.name_of(table);
        let provider = self.tables[table as usize].table_provider().await;
        let provider = provider.map_err(|e| store_error("read the table", &name, e))?;
        let has_deleted_rows = |file: LogicalFileView| file.deletion_vector_descriptor().is_some();
        if state.protocol().min_reader_version() > PLAIN_READER
            || state.log_data().iter().any(has_deleted_rows)
        {
            return Ok(provider);
        }
        let scan = Scan::new(
            Arc::clone(self.site.store()),
            self.session_url()?,
            &ObjectPath::from(table.name()),
            &provider.schema(),
            table.partition_columns(),
            state,
        );
        Ok(Arc::new(scan.map_err(|e| store_error("read the table", &name, e))?))
    }

    /// The lake in a DataFusion session, so that two of them do not mix.
    fn session_url(&self) -> Result<ObjectStoreUrl> {
        let location = self.site.location();
        let url = ObjectStoreUrl::parse(format!("lake://{:x}", XxHash3_128::oneshot(location.as_bytes())));
        url.map_err(|e| store_error("open the lake", location, e))
    }

    fn assemble(site: Arc<dyn Site>, tables: [DeltaTable; 3]) -> Result<Lake> {
        let ledger = Table::LogObjects;
        let ledger = loaded(site.as_ref(), ledger.name(), &tables[ledger as usize])?.clone();
        let known = Mutex::new(Known { ledger, own: HashMap::new() });
        Ok(Lake { site, tables, known })
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table as people name it.
    pub(super) fn name_of(&self, table: Table) -> String {
        self.site.name(&ObjectPath::from(table.name()))
    }

    pub(super) fn state(&self, table: Table) -> Result<&DeltaTableState> {
        loaded(self.site.as_ref(), table.name(), &self.tables[table as usize])
    }

    /// The version of a table in memory.
    pub(super) fn version(&self, table: Table) -> Result<Version> {
        Ok(self.state(table)?.version())
    }

    pub(super) async fn refresh_table(&mut self, table: Table) -> Result<()> {
        let log = self.site.name(&log_folder(table.name()));
        let delta = &mut self.tables[table as usize];
        let before = delta.version();
        delta.update_state().await.map_err(|e| store_error("read the Delta log", &log, e))?;
        if self.tables[table as usize].version() != before {
            table.definition()?.check(self.state(table)?)?;
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
        found.map_err(|e| store_error("read the Delta log", self.name_of(table), e))
    }
}

/// Makes sure that every file of a table is in its folder, whoever reads the path and however: a lake may come from
/// somebody else, and a question about it must not read what lies beside it.
///
/// # Errors
/// [`ErrorKind::Lake`], naming the first path that is not.
pub(super) fn check_paths(table: &str, state: &DeltaTableState) -> Result<()> {
    for file in state.log_data().iter() {
        let path = file.path();
        if inside(table, &path).is_none() {
            return Err(Error::new(ErrorKind::Lake, "the path of a Parquet file leads out of the lake")
                .with_context("table", table)
                .with_context("path", path.into_owned())
                .with_hint("`s3trail lake verify` lists what does not fit"));
        }
    }
    Ok(())
}

/// Where the file of a table is; `None` when some reader of the path could find that it leads out of the table's folder.
pub(super) fn inside(table: &str, path: &str) -> Option<ObjectPath> {
    // A colon could end the scheme of a URL, in which a backslash is a slash and blanks around it are nothing.
    let is_odd = path.contains([':', '\\']) || path.trim() != path;
    if is_odd { None } else { ObjectPath::parse(format!("{table}/{path}")).ok() }
}

fn marker_path() -> ObjectPath {
    ObjectPath::from_iter([OWN_FOLDER, "lake.json"])
}

/// Makes sure that the lake's format is one we know. A marker that is missing or torn says nothing: the tables speak
/// for themselves.
async fn check_marker(site: &dyn Site) -> Result<()> {
    let failed = |e| store_error("open the lake", site.location(), e);
    let marker = match site.store().get(&marker_path()).await {
        Ok(found) => found.bytes().await.map_err(failed)?,
        Err(StoreError::NotFound { .. }) => return Ok(()),
        Err(e) => return Err(failed(e)),
    };
    match serde_json::from_slice::<Marker>(&marker) {
        Ok(marker) if marker.format > FORMAT => {
            Err(Error::new(ErrorKind::Lake, "the lake was made by a newer s3trail")
                .with_context("path", site.location())
                .with_hint("update s3trail"))
        }
        _ => Ok(()),
    }
}

async fn write_marker(site: &dyn Site) -> Result<()> {
    let path = marker_path();
    let json = serde_json::to_vec(&Marker { format: FORMAT })
        .map_err(|e| store_error("write to the lake", site.name(&path), e))?;
    match site.store().put_opts(&path, json.into(), PutMode::Create.into()).await {
        Ok(_) => {}
        Err(StoreError::AlreadyExists { .. }) => return Ok(()),
        Err(e) => return Err(store_error("write to the lake", site.name(&path), e)),
    }
    site.flush(vec![path]).await?;
    site.flush_folders(ObjectPath::from(OWN_FOLDER)).await
}

/// The three tables, created where they are missing. See the module's documentation.
async fn create_missing(site: &dyn Site) -> Result<[DeltaTable; 3]> {
    let lost = |table: Table| {
        Error::new(ErrorKind::Lake, "a table is missing although the lake was in use")
            .with_context("missing", table.name())
            .with_context("path", site.location())
            .with_hint("restore it from a backup, or name another lake")
    };
    let [logs, objects, rejects] =
        [Table::AccessLogs.definition()?, Table::LogObjects.definition()?, Table::Rejects.definition()?];
    // Last created, so looked for first: where it is, the others were before it.
    let found = load(site, &logs).await?;
    let mut in_use = found.is_some();
    let objects = match load(site, &objects).await? {
        Some(objects) => objects,
        None if in_use => return Err(lost(Table::LogObjects)),
        None => create(site, &objects).await?,
    };
    in_use |= objects.version().is_some_and(|version| version > 0);
    let rejects = match load(site, &rejects).await? {
        Some(rejects) => rejects,
        None if in_use => return Err(lost(Table::Rejects)),
        None => create(site, &rejects).await?,
    };
    in_use |= rejects.version().is_some_and(|version| version > 0);
    let logs = match found {
        Some(found) => found,
        // Another process may have created it, and used it, since we looked.
        None => match load(site, &logs).await? {
            Some(found) => found,
            None if in_use => return Err(lost(Table::AccessLogs)),
            None => create(site, &logs).await?,
        },
    };
    Ok([logs, objects, rejects])
}
