//! The lake: three Delta tables in one place, and the protocol that keeps them true.
//!
//! ```text
//! LAKE/access_logs/   event_date=2026-01-01/part-….parquet   _delta_log/
//!      log_objects/   part-….parquet                         _delta_log/
//!      rejects/       part-….parquet                         _delta_log/
//!      <side table>/  part-….parquet                         _delta_log/
//!      _s3trail/      lake.json   intents/<source_id>/<n>.json   side/<side table>.json   <folder>/<name>.json
//! ```
//!
//! [`schema`] says what the tables hold, [`encode`] turns batches into Parquet files, [`commit`] makes files
//! visible (nothing lost, nothing twice), [`open`] finds or creates a lake, [`ledger`] tells what was taken in,
//! [`side`] keeps the tables of others beside the three, [`state`] their small notes, [`compact`], [`expire`],
//! [`repair`], [`maintain`] and [`verify`] look after everything. The lake knows nothing of log lines, of sources or of queries: it is given [`PartFile`]s and
//! gives table providers.
//!
//! A lake lies in a folder or in a bucket: `place` is the only module that asks which. Everything but flushing,
//! staging and walking goes through deltalake's log store and `object_store` for both.

mod bits;
mod column;
pub mod commit;
pub mod compact;
mod delta;
pub mod encode;
pub mod expire;
mod folder;
mod intent;
pub mod ledger;
pub mod maintain;
pub mod open;
mod parts;
mod place;
mod remote;
pub mod repair;
mod runs;
mod scan;
pub mod schema;
pub mod side;
pub mod state;
#[cfg(test)]
mod testing;
mod values;
pub mod verify;

use std::collections::HashMap;
use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use deltalake::DeltaTable;
use deltalake::table::state::DeltaTableState;
use object_store::Error as StoreError;
use serde::{Deserialize, Serialize};

pub use self::compact::{CompactOptions, Compacted};
pub use self::expire::Expired;
pub use self::ledger::Ledger;
pub use self::place::Place;
use self::place::Site;
pub use self::repair::Incomplete;
pub use self::schema::Table;
pub use self::side::SideTable;
use crate::error::{Error, ErrorKind, io_hint, io_kind};

/// The folder of the lake that is no table: the marker, the intents, the names of the side tables.
const OWN_FOLDER: &str = "_s3trail";

/// An open lake: the three tables as of the last [`Lake::refresh`], [`Lake::recover`] or commit.
///
/// A writer calls, in this order: [`Lake::recover`], [`Lake::ledger`], and then for each commit batch
/// [`Lake::begin`] and [`Lake::commit`]. A reader calls [`Lake::provider`].
pub struct Lake {
    site: Arc<dyn Site>,
    tables: [DeltaTable; 3],
    known: Mutex<Known>,
}

/// Which attempts the caller's [`Ledger`] covers: those in `log_objects` when it was read, and our own since.
struct Known {
    ledger: DeltaTableState,
    own: HashMap<String, i64>,
}

impl Lake {
    /// Where the lake is, as people name it: a folder, absolute, or the URL of a prefix.
    pub fn location(&self) -> String {
        self.site.location()
    }

    /// The folder to write a table's part files to: [`PartFile::path`] is relative to it. For a lake in a folder
    /// this is the table itself. For a lake in a bucket it is a temporary folder, made by [`Lake::begin`] and gone
    /// with the lake, from which [`Lake::commit`] uploads.
    pub fn table_dir(&self, table: Table) -> PathBuf {
        self.site.table_dir(table)
    }

    /// Whether part files written to [`Lake::table_dir`] stay there, so that the writer has to make them durable.
    pub fn is_local(&self) -> bool {
        self.site.is_local()
    }
}

impl std::fmt::Debug for Lake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lake").field("location", &self.location()).finish_non_exhaustive()
    }
}

/// One Parquet file written but not yet visible.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartFile {
    /// The table it belongs to.
    pub table: Table,
    /// Relative to the table's folder, `/`-separated: `event_date=2026-01-01/part-<uuid>.parquet`.
    pub path: String,
    /// Days since the epoch; `None` for the tables without partitions and for records without a time, whose
    /// folder is `event_date=__HIVE_DEFAULT_PARTITION__`.
    pub event_date: Option<i32>,
    /// Size of the file.
    pub size_bytes: u64,
    /// Rows in the file.
    pub rows: u64,
    /// Delta statistics as JSON: `numRecords`, `minValues`, `maxValues`, `nullCount`.
    pub stats: String,
    /// XXH3 of the file's bytes, 128 bits in hexadecimal, for `verify`; `None` in intents of older versions.
    #[serde(default)]
    pub hash: Option<String>,
}

/// One try of one source to commit one commit batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The Delta `txn` app id.
    pub source_id: String,
    /// The Delta `txn` version: greater than that of every commit of the source before.
    pub n: i64,
}

/// What [`Lake::recover`] did about the intents it found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// Attempts that had committed; all three tables have them now.
    pub rolled_forward: usize,
    /// Attempts that had lost; their files are gone.
    pub discarded: usize,
    /// Attempts that may still be running.
    pub left_alone: usize,
    /// Parquet files of the discarded attempts.
    pub files_removed: u64,
    /// Their size.
    pub bytes_removed: u64,
}

/// The name of a table: one of the three, or a side table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct TableName(String);

impl TableName {
    /// The name, of its folder in the lake and in SQL.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl From<Table> for TableName {
    fn from(table: Table) -> Self {
        TableName(table.name().to_owned())
    }
}

impl PartialEq<Table> for TableName {
    fn eq(&self, table: &Table) -> bool {
        self.0 == table.name()
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// What is in a lake.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The lake's folder or URL.
    pub location: String,
    /// One entry per table: the three, as in [`Table::ALL`], and behind them the side tables by name.
    pub tables: Vec<TableStatus>,
    /// Time of the earliest record, RFC 3339; `None` without records that have a time.
    pub first_time: Option<String>,
    /// Time of the latest record.
    pub last_time: Option<String>,
    /// Attempts that are running or were cut short.
    pub pending_intents: usize,
    /// Files that were written but not committed, and that no pending attempt names.
    pub remains: Files,
    /// Files that a table no longer has, kept for older readers until they are vacuumed.
    pub replaced: Files,
}

/// What is in one table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableStatus {
    /// The table.
    pub table: TableName,
    /// Its rows.
    pub rows: u64,
    /// Its Parquet files and their size.
    #[serde(flatten)]
    pub content: Files,
    /// Version of the Delta table.
    pub version: u64,
    /// Time of the last commit, RFC 3339; `None` when the Delta log no longer tells.
    pub last_commit: Option<String>,
}

/// A number of files and their size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Files {
    /// How many.
    pub files: u64,
    /// How large together.
    pub bytes: u64,
}

impl Files {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// The outcome of [`Lake::verify`].
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Verification {
    /// Rows of the ledger looked at.
    pub log_objects: u64,
    /// Parquet files read from end to end, and their size.
    #[serde(flatten)]
    pub read: Files,
    /// Rows in them.
    pub rows: u64,
    /// One sentence for each thing that is wrong, naming the file or the log object; empty for a sound lake.
    pub problems: Vec<String>,
}

/// The outcome of [`Lake::vacuum`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Vacuumed {
    /// Whether nothing was removed, only counted.
    pub dry_run: bool,
    /// Files removed, and their size.
    #[serde(flatten)]
    pub removed: Files,
    /// Intents of dead attempts removed.
    pub intents: usize,
}

/// A failure of the store or of deltalake while doing `what` to `path`: [`ErrorKind::Io`] when the operating
/// system or the store refused, [`ErrorKind::Lake`] otherwise (a missing file of a lake is damage).
#[cold]
fn store_error(what: &str, path: impl AsRef<Path>, source: impl StdError + Send + Sync + 'static) -> Error {
    let said = io_kind(&source).or_else(|| said_in_words(&source.to_string()));
    let io = said.filter(|kind| *kind != std::io::ErrorKind::NotFound);
    let (kind, hint) = match (io, refusal(&source)) {
        (Some(io), _) => (ErrorKind::Io, io_hint(io)),
        // An error of the file system that is no refusal: something is missing.
        (None, _) if said.is_some() => (ErrorKind::Lake, None),
        (None, Some(hint)) => (ErrorKind::Io, Some(hint)),
        (None, None) => (ErrorKind::Lake, None),
    };
    let error = Error::new(kind, format!("cannot {what}"))
        .with_context("path", path.as_ref().display().to_string())
        .with_source(source);
    hint.into_iter().fold(error, Error::with_hint)
}

/// What the operating system said, of an error that has it in its words only, as those of deltalake's kernel do.
fn said_in_words(words: &str) -> Option<std::io::ErrorKind> {
    let (number, _) = words.rsplit_once("(os error ")?.1.split_once(')')?;
    Some(std::io::Error::from_raw_os_error(number.parse().ok()?).kind())
}

/// The way out of a refusal of the store, anywhere in a chain of causes.
fn refusal(error: &(dyn StdError + 'static)) -> Option<&'static str> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref::<StoreError>() {
            return match refused {
                StoreError::PermissionDenied { .. } => {
                    Some("check what the credentials may do there: list, read, write and delete")
                }
                StoreError::Unauthenticated { .. } => Some("check the credentials"),
                StoreError::NotImplemented { .. } | StoreError::NotSupported { .. } => {
                    Some("a lake needs a store that can put an object if it is absent (If-None-Match)")
                }
                StoreError::Generic { .. } => {
                    Some("the store may be out of reach: run the same command again; nothing was lost")
                }
                _ => None,
            };
        }
        cause = error.source();
    }
    None
}

/// A blocking task that ended without an answer.
#[cold]
fn task_error(source: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Internal, "a background task of the lake was cut short").with_source(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_no_damage() {
        let kind_of = |words: &str| {
            let error = deltalake::DeltaTableError::Generic(words.to_owned());
            store_error("read the Delta log", "x", error).kind()
        };
        assert_eq!(kind_of("Unable to open file /l/0.json: Permission denied (os error 13)"), ErrorKind::Io);
        assert_eq!(kind_of("Unable to open file /l/0.json: Input/output error (os error 5)"), ErrorKind::Io);
        assert_eq!(kind_of("Object at /l/0.json not found: No such file (os error 2)"), ErrorKind::Lake);
        assert_eq!(kind_of("EOF while parsing a value (os error x) at line 1"), ErrorKind::Lake);
    }
}
