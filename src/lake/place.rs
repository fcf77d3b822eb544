//! Where a lake lies: a folder or a prefix of a bucket, behind one face.
//!
//! [`Place`] is what a caller names. [`Site`] is what the rest of the lake works with: two implementations,
//! [`Folder`] and [`Remote`], and no other module asks which of them it has. Both hold an object store whose root
//! is the lake, so everything but flushing, staging and walking is the same for both.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use deltalake::DeltaTable;
use object_store::ObjectStore;
use object_store::path::Path as ObjectPath;
use tempfile::NamedTempFile;
use url::Url;

use super::folder::Folder;
use super::remote::Remote;
use super::{Files, PartFile, Table};
use crate::error::{Error, Result};

/// Where a lake is, or is going to be.
#[derive(Debug, Clone)]
pub enum Place {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A prefix of a bucket.
    Store {
        /// The prefix as people name it, for messages: `s3://bucket/prefix/`. A missing `/` at its end is added.
        url: Url,
        /// The store, its root at that prefix. It must list and read what was just written, list in the order of
        /// keys, and write [`object_store::PutMode::Create`] in one step or not at all (S3: `If-None-Match: *`).
        store: Arc<dyn ObjectStore>,
    },
}

impl Place {
    /// The place that a location without a store names: a folder, or a `file://` URL.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`](crate::error::ErrorKind::Usage) for anything else, an `s3://` URL too: that needs a
    /// client, which the lake knows nothing of.
    pub fn parse(location: &str) -> Result<Place> {
        let folder = match location.split_once("://") {
            None => PathBuf::from(location),
            Some(("file", _)) => {
                Url::parse(location).ok().and_then(|url| url.to_file_path().ok()).ok_or_else(|| {
                    Error::usage("the lake's URL is no path of this machine").with_context("lake", location)
                })?
            }
            Some(("s3" | "s3a", _)) => {
                return Err(Error::usage("a lake in a bucket needs a client that reaches it")
                    .with_context("lake", location)
                    .with_hint("give its store with Lake::open_at(Place::Store { url, store })"));
            }
            Some(_) => {
                return Err(Error::usage("a lake is a directory or in a bucket (s3://)")
                    .with_context("lake", location));
            }
        };
        match folder.as_os_str().is_empty() {
            true => Err(Error::usage("the name of the lake is empty")),
            false => Ok(Place::Folder(folder)),
        }
    }

    /// What is there.
    pub(super) async fn look(&self) -> Result<Content> {
        match self {
            Place::Folder(root) => Folder::look(root).await,
            Place::Store { url, store } => Remote::new(url.clone(), Arc::clone(store))?.look().await,
        }
    }

    /// The site, which must exist. Nothing is written.
    pub(super) async fn find(&self) -> Result<Arc<dyn Site>> {
        match self {
            Place::Folder(root) => Ok(Arc::new(Folder::find(root).await?)),
            Place::Store { url, store } => {
                let remote = Remote::new(url.clone(), Arc::clone(store))?;
                remote.must_exist().await?;
                Ok(Arc::new(remote))
            }
        }
    }

    /// The site, made where it is missing.
    pub(super) async fn claim(&self) -> Result<Arc<dyn Site>> {
        match self {
            Place::Folder(root) => Ok(Arc::new(Folder::claim(root).await?)),
            Place::Store { url, store } => Ok(Arc::new(Remote::new(url.clone(), Arc::clone(store))?)),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Folder(root) => write!(f, "{}", root.display()),
            Place::Store { url, .. } => write!(f, "{url}"),
        }
    }
}

/// What is at a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing.
    Free,
    /// A lake, or the beginning of one.
    Marked,
    /// Folders named like the three tables: a lake that was copied without its own folder, perhaps.
    Unmarked,
    /// Something else, by the name of an entry.
    Other(String),
}

/// A place with a lake: what differs between a folder and a bucket. Paths of objects are relative to the lake.
#[async_trait]
pub(super) trait Site: Send + Sync {
    /// The lake as people name it.
    fn location(&self) -> String;

    /// An object of the lake as people name it.
    fn name(&self, object: &ObjectPath) -> String;

    /// The store whose root is the lake.
    fn store(&self) -> &Arc<dyn ObjectStore>;

    /// The Delta table of that name, not yet read.
    fn delta_table(&self, name: &str) -> Result<DeltaTable>;

    /// Where part files of the table are written: the table's own folder, or one from which they are delivered.
    fn table_dir(&self, table: Table) -> PathBuf;

    /// Makes sure that part files can be written.
    fn prepare(&self) -> Result<()>;

    /// Brings files that were written to [`Site::table_dir`] to their place in the lake, durably.
    async fn deliver(&self, parts: &[PartFile]) -> Result<()>;

    /// Removes a file that was written to [`Site::table_dir`] and not delivered.
    async fn unstage(&self, part: &PartFile) -> Result<()>;

    /// Makes objects durable, and the folders that name them; objects that are gone need none of it.
    async fn flush(&self, objects: Vec<ObjectPath>) -> Result<()>;

    /// Makes a folder durable and those above it, up to the lake: for an object whose folder is new.
    async fn flush_folders(&self, folder: ObjectPath) -> Result<()>;

    /// Every Parquet file of these tables, and every temporary file of the lake.
    async fn walk(&self, tables: Vec<String>) -> Result<Vec<Found>>;

    /// Removes objects of the given sizes. Those that are gone already are not counted.
    async fn remove(&self, objects: Vec<(ObjectPath, u64)>) -> Result<Files>;

    /// A file with the content of an object. [`ErrorKind::NotFound`](crate::error::ErrorKind::NotFound) when there
    /// is none, now or when the file is opened.
    async fn fetch(&self, object: &ObjectPath) -> Result<LocalFile>;

    /// How many files to fetch and read at a time.
    fn reads_at_once(&self) -> usize;

    /// How long another process may be between two commits of one attempt.
    fn patience(&self) -> Duration;

    /// Whether writing happens on this machine: then what is written needs flushing, and what was answered with a
    /// failure has not happened and will not. A request may reach a bucket after its sender gave it up.
    fn is_local(&self) -> bool;
}

/// A file of this machine.
#[derive(Debug)]
pub(super) enum LocalFile {
    /// The object itself.
    There(PathBuf),
    /// A copy, removed when dropped.
    Copy(NamedTempFile),
}

impl LocalFile {
    pub(super) fn path(&self) -> &Path {
        match self {
            LocalFile::There(path) => path,
            LocalFile::Copy(file) => file.path(),
        }
    }
}

/// A file in the lake that may be ours.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) object: ObjectPath,
    /// The table and the path in it, for Parquet files; `None` for temporary files.
    pub(super) part: Option<(String, String)>,
    pub(super) bytes: u64,
    pub(super) modified: SystemTime,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Part,
    Temporary,
}

/// What a file is, by its path in a table's or our own folder: a Parquet file, a Parquet file being written
/// (`.parquet.tmp`), an object that the store was writing (`#` and a number), or, `None`, nothing we may touch.
pub(super) fn kind_of(path: &str) -> Option<Kind> {
    let name = path.rsplit('/').next().unwrap_or(path);
    if let Some((_, number)) = name.rsplit_once('#')
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
    {
        return Some(Kind::Temporary);
    }
    // Folders and files that Delta keeps for itself: _delta_log and the like.
    if path.split('/').any(|part| part.starts_with(['_', '.'])) {
        None
    } else if name.ends_with(".parquet") {
        Some(Kind::Part)
    } else {
        name.ends_with(".parquet.tmp").then_some(Kind::Temporary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_files_are_touched() {
        let part = Some(Kind::Part);
        let temporary = Some(Kind::Temporary);
        for (path, kind) in [
            ("part-1.parquet", &part),
            ("event_date=2026-01-01/part-1.parquet", &part),
            ("event_date=__HIVE_DEFAULT_PARTITION__/part-1.parquet", &part),
            ("event_date=2026-01-01/part-1.parquet.tmp", &temporary),
            ("_delta_log/00000000000000000007.json#1", &temporary),
            ("intents/local/17.json#2", &temporary),
            ("_delta_log/00000000000000000050.checkpoint.parquet", &None),
            ("_delta_log/00000000000000000007.json", &None),
            ("_change_data/cdc-1.parquet", &None),
            ("notes.txt", &None),
            ("intents/local/17.json", &None),
            ("a#b.txt", &None),
        ] {
            assert_eq!(kind_of(path), *kind, "{path}");
        }
    }
}
