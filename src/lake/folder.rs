//! A lake in a folder: creation, flushing to disk, the walk over its files.
//!
//! deltalake and `object_store` leave what they write to the page cache, which survives a killed process but not a
//! power failure; what we write next must not outlive what it builds on. So here is the only `fsync` of the lake,
//! besides that of the encoder.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deltalake::logstore::store_for;
use deltalake::{DeltaTable, DeltaTableBuilder};
use object_store::ObjectStore;
use object_store::path::Path as ObjectPath;
use url::Url;
use walkdir::WalkDir;

use super::place::{Content, Found, Kind, LocalFile, Site, kind_of};
use super::{Files, OWN_FOLDER, PartFile, Table, store_error, task_error};
use crate::error::{Error, ErrorKind, Result};

/// Names that file systems and file managers put into folders that people call empty.
const NOT_OURS: [&str; 2] = ["lost+found", ".DS_Store"];

/// A folder that is, or becomes, a lake.
pub(super) struct Folder {
    /// Absolute.
    root: PathBuf,
    store: Arc<dyn ObjectStore>,
}

impl Folder {
    pub(super) async fn look(root: &Path) -> Result<Content> {
        let failed = |e| Error::io("look into the lake", root, e);
        let mut entries = match tokio::fs::read_dir(root).await {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Content::Free),
            Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => return Err(no_folder(root)),
            Err(e) => return Err(failed(e)),
        };
        let (mut tables, mut other) = (0, None);
        while let Some(entry) = entries.next_entry().await.map_err(failed)? {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == OWN_FOLDER {
                return Ok(Content::Marked);
            }
            tables += usize::from(Table::ALL.iter().any(|table| table.name() == name));
            if !NOT_OURS.contains(&name.as_str()) {
                other = Some(name);
            }
        }
        Ok(match other {
            None => Content::Free,
            Some(_) if tables == Table::ALL.len() => Content::Unmarked,
            // Another process has begun one while we looked.
            Some(_) if tokio::fs::try_exists(root.join(OWN_FOLDER)).await.unwrap_or(false) => Content::Marked,
            Some(name) => Content::Other(name),
        })
    }

    /// The folder, which must exist.
    pub(super) async fn find(root: &Path) -> Result<Folder> {
        match tokio::fs::metadata(root).await {
            Ok(found) if found.is_dir() => Folder::at(root).await,
            Ok(_) => Err(no_folder(root)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::new(ErrorKind::NotFound, "there is no lake")
                    .with_context("path", root.display().to_string())
                    .with_hint("`s3trail ingest SOURCE --lake LAKE` creates one"))
            }
            Err(e) => Err(Error::io("open the lake", root, e)),
        }
    }

    /// The folder, made where it is missing.
    pub(super) async fn claim(root: &Path) -> Result<Folder> {
        if let Err(refused) = tokio::fs::create_dir_all(root).await {
            // "File exists" says nothing of why it is not seen to be a folder.
            let unseen = tokio::fs::metadata(root).await.err();
            let unseen = unseen.filter(|e| e.kind() != std::io::ErrorKind::NotFound);
            return Err(Error::io("create the lake", root, unseen.unwrap_or(refused)));
        }
        Folder::at(root).await
    }

    async fn at(root: &Path) -> Result<Folder> {
        let root = tokio::fs::canonicalize(root).await.map_err(|e| Error::io("open the lake", root, e))?;
        let options: [(&str, &str); 0] = [];
        let store =
            store_for(&folder_url(&root)?, options).map_err(|e| store_error("open the lake", &root, e))?;
        Ok(Folder { root, store })
    }

    /// Where an object of the store is on the disk.
    fn path(&self, object: &ObjectPath) -> PathBuf {
        let relative: &str = object.as_ref();
        self.root.join(relative)
    }
}

#[async_trait]
impl Site for Folder {
    fn location(&self) -> String {
        self.root.display().to_string()
    }

    fn name(&self, object: &ObjectPath) -> String {
        self.path(object).display().to_string()
    }

    fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    fn delta_table(&self, name: &str) -> Result<DeltaTable> {
        let dir = self.root.join(name);
        DeltaTableBuilder::from_url(folder_url(&dir)?)
            .and_then(DeltaTableBuilder::build)
            .map_err(|e| store_error("open the table", &dir, e))
    }

    fn table_dir(&self, table: Table) -> PathBuf {
        self.root.join(table.name())
    }

    fn prepare(&self) -> Result<()> {
        Ok(())
    }

    async fn deliver(&self, _: &[PartFile]) -> Result<()> {
        Ok(())
    }

    async fn unstage(&self, _: &PartFile) -> Result<()> {
        Ok(())
    }

    async fn flush(&self, objects: Vec<ObjectPath>) -> Result<()> {
        let paths: Vec<PathBuf> = objects.iter().map(|object| self.path(object)).collect();
        tokio::task::spawn_blocking(move || sync(&paths)).await.map_err(task_error)?
    }

    async fn flush_folders(&self, folder: ObjectPath) -> Result<()> {
        let (root, folder) = (self.root.clone(), self.path(&folder));
        tokio::task::spawn_blocking(move || {
            folder.ancestors().take_while(|above| above.starts_with(&root)).try_for_each(sync_folder)
        })
        .await
        .map_err(task_error)?
    }

    async fn walk(&self, tables: Vec<String>) -> Result<Vec<Found>> {
        let root = self.root.clone();
        tokio::task::spawn_blocking(move || {
            let mut found = Vec::new();
            for table in &tables {
                walk_folder(&root, table, true, &mut found)?;
            }
            walk_folder(&root, OWN_FOLDER, false, &mut found)?;
            Ok(found)
        })
        .await
        .map_err(task_error)?
    }

    async fn remove(&self, objects: Vec<(ObjectPath, u64)>) -> Result<Files> {
        // Not through the store, which does not see temporary files.
        let files: Vec<(PathBuf, u64)> =
            objects.iter().map(|(object, bytes)| (self.path(object), *bytes)).collect();
        tokio::task::spawn_blocking(move || {
            let mut removed = Files::default();
            for (path, bytes) in files {
                match std::fs::remove_file(&path) {
                    Ok(()) => removed.add(bytes),
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                    Err(e) => return Err(Error::io("remove a file", &path, e)),
                }
            }
            Ok(removed)
        })
        .await
        .map_err(task_error)?
    }

    async fn fetch(&self, object: &ObjectPath) -> Result<LocalFile> {
        Ok(LocalFile::There(self.path(object)))
    }

    fn reads_at_once(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(300)
    }

    fn is_local(&self) -> bool {
        true
    }
}

fn no_folder(root: &Path) -> Error {
    Error::new(ErrorKind::Lake, "a lake is a directory, and this is none")
        .with_context("path", root.display().to_string())
}

fn folder_url(folder: &Path) -> Result<Url> {
    Url::from_directory_path(folder).map_err(|()| {
        Error::usage("the lake's path cannot be written as a URL")
            .with_context("path", folder.display().to_string())
    })
}

fn sync(paths: &[PathBuf]) -> Result<()> {
    let mut folders: HashSet<&Path> = HashSet::new();
    for path in paths {
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
    folders.into_iter().try_for_each(sync_folder)
}

fn sync_folder(folder: &Path) -> Result<()> {
    // Elsewhere a folder cannot be opened, and renames are durable by themselves.
    if cfg!(unix) {
        let flushed = std::fs::File::open(folder).and_then(|handle| handle.sync_all());
        flushed.map_err(|e| Error::io("flush", folder, e))?;
    }
    Ok(())
}

/// Every file below `root/name` that may be ours. Links are not followed.
fn walk_folder(root: &Path, name: &str, is_table: bool, found: &mut Vec<Found>) -> Result<()> {
    let folder = root.join(name);
    for entry in WalkDir::new(&folder).follow_links(false) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) => match e.io_error().map(std::io::Error::kind) {
                // Removed while we walk.
                Some(std::io::ErrorKind::NotFound) => continue,
                _ => return Err(store_error("look into the lake", &folder, e)),
            },
        };
        if !entry.file_type().is_file() {
            continue;
        }
        let Some(relative) = entry.path().strip_prefix(&folder).ok().and_then(slashed) else { continue };
        let Ok(object) = ObjectPath::parse(format!("{name}/{relative}")) else { continue };
        let part = match kind_of(&relative) {
            Some(Kind::Part) if is_table => Some((name.to_owned(), relative)),
            Some(Kind::Temporary) => None,
            _ => continue,
        };
        let (bytes, modified) = match entry.metadata().map_err(std::io::Error::from) {
            Ok(about) => {
                let modified = about.modified();
                (about.len(), modified.map_err(|e| Error::io("look into the lake", entry.path(), e))?)
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(Error::io("look into the lake", entry.path(), e)),
        };
        found.push(Found { object, part, bytes, modified });
    }
    Ok(())
}

/// A relative path with `/` between its parts; `None` when it is not UTF-8, and so none of ours.
fn slashed(path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
    parts.map(|parts| parts.join("/"))
}
