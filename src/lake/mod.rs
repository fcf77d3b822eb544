//! The lake: three Delta tables under one folder, and the protocol that keeps them true.
//!
//! ```text
//! LAKE/access_logs/   event_date=2026-01-01/part-….parquet   _delta_log/
//!      log_objects/   part-….parquet                         _delta_log/
//!      rejects/       part-….parquet                         _delta_log/
//!      _s3trail/      lake.json   intents/<source_id>/<n>.json
//! ```
//!
//! [`schema`] says what the tables hold, [`encode`] turns batches into Parquet files, [`commit`] makes files
//! visible (nothing lost, nothing twice), [`open`] finds or creates a lake, [`maintain`] looks after it. The lake
//! knows nothing of log lines, of sources or of queries: it is given [`PartFile`]s and gives table providers.
//!
//! Everything but the walk over folders (creation, unreferenced files) and `fsync` goes through deltalake's log
//! store and `object_store`, so that a bucket can take the folder's place.

mod bits;
mod column;
pub mod commit;
pub mod encode;
pub mod maintain;
pub mod open;
pub mod schema;

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::error::Error as StdError;
use std::hash::BuildHasher;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use deltalake::DeltaTable;
use deltalake::table::state::DeltaTableState;
use object_store::ObjectStore;
use serde::{Deserialize, Serialize};

pub use self::schema::Table;
use crate::error::{Error, ErrorKind, io_hint, io_kind};

/// The folder of the lake that is no table: the marker and the intents.
const OWN_FOLDER: &str = "_s3trail";

/// An open lake: the three tables as of the last [`Lake::refresh`], [`Lake::recover`] or commit.
///
/// A writer calls, in this order: [`Lake::recover`], [`Lake::ledger`], and then for each commit batch
/// [`Lake::begin`] and [`Lake::commit`]. A reader calls [`Lake::provider`].
pub struct Lake {
    root: PathBuf,
    store: Arc<dyn ObjectStore>,
    tables: [DeltaTable; 3],
    known: Mutex<Known>,
}

/// Which attempts the caller's [`Ledger`] covers: those in `log_objects` when it was read, and our own since.
struct Known {
    ledger: DeltaTableState,
    own: HashMap<String, i64>,
}

impl Lake {
    /// The lake's folder, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a table: [`PartFile::path`] is relative to it.
    pub fn table_dir(&self, table: Table) -> PathBuf {
        self.root.join(table.name())
    }
}

impl std::fmt::Debug for Lake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lake").field("root", &self.root).finish_non_exhaustive()
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

/// What is in a lake.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The lake's folder.
    pub location: String,
    /// One entry per table.
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
    pub table: Table,
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

/// The log objects known to the lake.
///
/// An object is known by destination bucket, key and etag. A local tree may be read from another root than
/// before, so a key also counts as known when the etag is the same, one key is a suffix of the other at a `/`,
/// and the buckets agree or one of them is unknown.
///
/// # How it fits in memory
/// Two such keys end in the same file name. So the index maps a 128-bit keyed hash of (etag, file name) to the
/// places where that object was seen: a bucket and a folder, both interned, since a folder holds thousands of log
/// objects. Whether one folder is a suffix of the other is then decided on the folders themselves, exactly. That
/// is 24 bytes an entry, 28 to 57 with the room a hash table leaves, plus each folder once; an object is mistaken
/// for another only if 128 bits collide, and nobody outside knows the keys of the hash.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    hashers: [RandomState; 2],
    buckets: Interner,
    folders: Interner,
    first: HashMap<(u64, u64), Place>,
    /// Further places of one (etag, file name): rare, so not worth a list in every entry.
    more: HashMap<(u64, u64), Vec<Place>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    bucket: Option<NonZeroU32>,
    folder: NonZeroU32,
}

impl Ledger {
    /// Whether this object, or the same object under a shorter or longer path, was taken in before.
    pub fn contains(&self, log_bucket: Option<&str>, log_key: &str, etag: &str) -> bool {
        let (folder, name) = split_key(log_key);
        let id = self.id(etag, name);
        let Some(first) = self.first.get(&id) else { return false };
        let more = self.more.get(&id).into_iter().flatten();
        std::iter::once(first).chain(more).any(|place| {
            let bucket = match (log_bucket, place.bucket) {
                (Some(asked), Some(seen)) => self.buckets.name(seen) == asked,
                _ => true,
            };
            bucket && same_tree(folder, self.folders.name(place.folder))
        })
    }

    /// Notes an object as taken in.
    pub fn insert(&mut self, log_bucket: Option<&str>, log_key: &str, etag: &str) {
        let (folder, name) = split_key(log_key);
        let id = self.id(etag, name);
        let bucket = log_bucket.map(|bucket| self.buckets.intern(bucket));
        let place = Place { bucket, folder: self.folders.intern(folder) };
        match self.first.entry(id) {
            Entry::Vacant(entry) => {
                entry.insert(place);
            }
            Entry::Occupied(entry) if *entry.get() == place => {}
            Entry::Occupied(_) => {
                let more = self.more.entry(id).or_default();
                if !more.contains(&place) {
                    more.push(place);
                }
            }
        }
    }

    /// Number of objects known.
    pub fn len(&self) -> usize {
        self.first.len() + self.more.values().map(Vec::len).sum::<usize>()
    }

    /// Whether no object is known.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    fn id(&self, etag: &str, name: &str) -> (u64, u64) {
        let [a, b] = &self.hashers;
        (a.hash_one((etag, name)), b.hash_one((etag, name)))
    }
}

/// The folder with its closing `/` (empty when there is none) and the file name.
fn split_key(key: &str) -> (&str, &str) {
    key.split_at(key.rfind('/').map_or(0, |slash| slash + 1))
}

/// Whether one folder is the other, or its tail at a `/`.
fn same_tree(a: &str, b: &str) -> bool {
    let (long, short) = if a.len() < b.len() { (b, a) } else { (a, b) };
    match long.strip_suffix(short) {
        Some(head) => head.is_empty() || head.ends_with('/'),
        None => false,
    }
}

/// Names by number, each kept once.
#[derive(Debug, Clone, Default)]
struct Interner {
    numbers: HashMap<Arc<str>, NonZeroU32>,
    names: Vec<Arc<str>>,
}

impl Interner {
    fn intern(&mut self, name: &str) -> NonZeroU32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let name: Arc<str> = Arc::from(name);
        self.names.push(Arc::clone(&name));
        let number = u32::try_from(self.names.len()).ok().and_then(NonZeroU32::new);
        let number = number.expect("2^32 names do not fit in memory");
        self.numbers.insert(name, number);
        number
    }

    fn name(&self, number: NonZeroU32) -> &str {
        &self.names[number.get() as usize - 1]
    }
}

/// A failure of the store or of deltalake while doing `what` to `path`: [`ErrorKind::Io`] when the operating
/// system refused, [`ErrorKind::Lake`] otherwise (a missing file of a lake is damage).
#[cold]
fn store_error(what: &str, path: impl AsRef<Path>, source: impl StdError + Send + Sync + 'static) -> Error {
    let io = io_kind(&source).filter(|kind| *kind != std::io::ErrorKind::NotFound);
    let error =
        Error::new(if io.is_some() { ErrorKind::Io } else { ErrorKind::Lake }, format!("cannot {what}"))
            .with_context("path", path.as_ref().display().to_string())
            .with_source(source);
    io.and_then(io_hint).into_iter().fold(error, Error::with_hint)
}

/// A blocking task that ended without an answer.
#[cold]
fn task_error(source: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Internal, "a background task of the lake was cut short").with_source(source)
}
