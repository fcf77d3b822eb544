//! A lake in a bucket: part files are written to a folder of this machine and uploaded before they are committed.
//!
//! An object is there as soon as its PUT was answered, and durable; so nothing is flushed here, and no reader sees
//! half a file. What is left to care for is memory (files are sent a few blocks at a time) and the answers that get
//! lost: a request may have been served although its sender heard of a failure, or be served later. Which store
//! answers, over which protocol and with whose credentials, is unknown here.
//!
//! # The tables' URLs
//! deltalake and its kernel take a table's URL apart and put it together again, not always with the same escapes.
//! So they are not told the URL of the bucket: to them the lake is the root of a store of its own,
//! `lake://<hash of the URL>.<bucket>/access_logs/`, and the prefix, whatever characters it has, stays inside the
//! store. The hash keeps two lakes of one bucket apart where a query reads both; the bucket's name stays because
//! the kernel knows by it which buckets do not list in order. Nothing in the tables depends on that URL.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use deltalake::DeltaTable;
use deltalake::logstore::{StorageConfig, default_logstore};
use futures::stream::{self, FuturesUnordered};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use object_store::{Error as StoreError, MultipartUpload, ObjectStore, ObjectStoreExt};
use tempfile::{NamedTempFile, TempDir};
use twox_hash::XxHash3_128;
use url::Url;

use super::parts::{check_size, part_location};
use super::place::{Content, Found, Kind, LocalFile, Site, kind_of};
use super::{Files, OWN_FOLDER, PartFile, Table, store_error, task_error};
use crate::error::{Error, ErrorKind, Result};

/// Files up to this size are sent in one request, larger ones in parts.
const SINGLE_PUT: u64 = 16 << 20;

/// Bytes sent or fetched at a time of a large file.
const BLOCK: u64 = 8 << 20;

/// Files sent or fetched at a time, and parts of a large one in flight: never more than 96 MB in memory.
const FILES_AT_ONCE: usize = 4;
const PARTS_AT_ONCE: usize = 2;

/// A prefix of a bucket that is, or becomes, a lake.
pub(super) struct Remote {
    /// With a `/` at its end.
    url: Url,
    store: Arc<dyn ObjectStore>,
    /// The lake as deltalake names it.
    tables: Url,
    /// Where part files wait for their upload; made by the first who asks, so that readers never have it.
    staging: OnceLock<std::io::Result<TempDir>>,
}

impl Remote {
    pub(super) fn new(mut url: Url, store: Arc<dyn ObjectStore>) -> Result<Remote> {
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let hash = XxHash3_128::oneshot(url.as_str().as_bytes()) as u64;
        let tables = format!("lake://{hash:016x}.{}/", url.host_str().unwrap_or("store"));
        let tables = Url::parse(&tables).map_err(|e| {
            Error::usage("the lake's URL names no bucket").with_context("lake", url.as_str()).with_source(e)
        })?;
        Ok(Remote { url, store, tables, staging: OnceLock::new() })
    }

    pub(super) async fn look(&self) -> Result<Content> {
        // The prefix may be anything, a log bucket of millions of objects too: ask, do not list.
        if self.first(Some(&ObjectPath::from(OWN_FOLDER))).await?.is_some() {
            return Ok(Content::Marked);
        }
        let Some(other) = self.first(None).await? else { return Ok(Content::Free) };
        // Another process has begun one since we looked: its mark comes first.
        if other.parts().next().is_some_and(|part| part.as_ref() == OWN_FOLDER) {
            return Ok(Content::Marked);
        }
        for table in Table::ALL {
            if self.first(Some(&ObjectPath::from(table.name()))).await?.is_none() {
                return Ok(Content::Other(other.to_string()));
            }
        }
        Ok(Content::Unmarked)
    }

    pub(super) async fn must_exist(&self) -> Result<()> {
        match self.first(None).await? {
            Some(_) => Ok(()),
            None => Err(Error::new(ErrorKind::NotFound, "there is no lake")
                .with_context("path", self.location())
                .with_hint("`s3trail ingest SOURCE --lake LAKE` creates one")),
        }
    }

    /// Some object below the prefix.
    async fn first(&self, prefix: Option<&ObjectPath>) -> Result<Option<ObjectPath>> {
        let mut objects = self.store.list(prefix);
        let failed = |e| store_error("look into the lake", self.location(), e);
        while let Some(object) = objects.try_next().await.map_err(failed)? {
            // Consoles make empty objects that stand for folders: `prefix/` in itself is nothing.
            if prefix.map_or(!object.location.is_root(), |prefix| object.location != *prefix) {
                return Ok(Some(object.location));
            }
        }
        Ok(None)
    }

    fn staging(&self) -> &std::io::Result<TempDir> {
        self.staging.get_or_init(|| tempfile::Builder::new().prefix("s3trail-").tempdir())
    }

    fn staged(&self, part: &PartFile) -> PathBuf {
        self.table_dir(part.table).join(&part.path)
    }
}

#[async_trait]
impl Site for Remote {
    fn location(&self) -> String {
        self.url.as_str().trim_end_matches('/').to_owned()
    }

    fn name(&self, object: &ObjectPath) -> String {
        format!("{}{object}", self.url)
    }

    fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    fn delta_table(&self, name: &str) -> Result<DeltaTable> {
        let url = self
            .tables
            .join(&format!("{name}/"))
            .map_err(|e| store_error("open the table", self.name(&ObjectPath::from(name)), e))?;
        let table = Arc::new(PrefixStore::new(Arc::clone(&self.store), name));
        let log_store = default_logstore(table, Arc::clone(&self.store), &url, &StorageConfig::default());
        Ok(DeltaTable::new(log_store))
    }

    fn table_dir(&self, table: Table) -> PathBuf {
        match self.staging() {
            Ok(staging) => staging.path().join(table.name()),
            // `prepare` refuses before anything is written there.
            Err(_) => std::env::temp_dir().join("s3trail-unavailable").join(table.name()),
        }
    }

    fn prepare(&self) -> Result<()> {
        match self.staging() {
            Ok(_) => Ok(()),
            Err(e) => {
                let cause = std::io::Error::new(e.kind(), e.to_string());
                Err(Error::io("create a folder for files to upload", std::env::temp_dir(), cause))
            }
        }
    }

    async fn deliver(&self, parts: &[PartFile]) -> Result<()> {
        let given_up = Arc::new(AtomicBool::new(false));
        let mut uploads = Vec::with_capacity(parts.len());
        for part in parts {
            let object = part_location(part)?;
            let upload = Upload {
                store: Arc::clone(&self.store),
                name: self.name(&object),
                object,
                from: self.staged(part),
                bytes: part.size_bytes,
                given_up: Arc::clone(&given_up),
            };
            uploads.push(upload.run());
        }
        let mut uploads = stream::iter(uploads).buffer_unordered(FILES_AT_ONCE);
        let mut outcome = Ok(());
        // To the end also after a failure: those under way abort or finish, the others do not begin.
        while let Some(done) = uploads.next().await {
            outcome = outcome.and(done);
        }
        outcome
    }

    async fn unstage(&self, part: &PartFile) -> Result<()> {
        match self.staging.get() {
            Some(_) => remove_staged(&self.staged(part)).await,
            None => Ok(()),
        }
    }

    async fn flush(&self, _: Vec<ObjectPath>) -> Result<()> {
        Ok(())
    }

    async fn flush_folders(&self, _: ObjectPath) -> Result<()> {
        Ok(())
    }

    async fn walk(&self, tables: Vec<String>) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        for table in tables {
            let mut objects = self.store.list(Some(&ObjectPath::from(table.as_str())));
            let failed = |e| store_error("look into the lake", self.location(), e);
            while let Some(object) = objects.try_next().await.map_err(failed)? {
                let path: &str = object.location.as_ref();
                let path = path.strip_prefix(table.as_str()).and_then(|path| path.strip_prefix('/'));
                let Some(path) = path else { continue };
                if kind_of(path) != Some(Kind::Part) {
                    continue;
                }
                found.push(Found {
                    part: Some((table.clone(), path.to_owned())),
                    bytes: object.size,
                    modified: SystemTime::from(object.last_modified),
                    object: object.location,
                });
            }
        }
        Ok(found)
    }

    async fn remove(&self, objects: Vec<(ObjectPath, u64)>) -> Result<Files> {
        let sizes: HashMap<ObjectPath, u64> = objects.iter().cloned().collect();
        let paths: Vec<Result<ObjectPath, StoreError>> =
            objects.into_iter().map(|(object, _)| Ok(object)).collect();
        let mut gone = self.store.delete_stream(stream::iter(paths).boxed());
        let mut removed = Files::default();
        while let Some(object) = gone.next().await {
            match object {
                Ok(object) => removed.add(sizes.get(&object).copied().unwrap_or_default()),
                Err(StoreError::NotFound { .. }) => {}
                Err(e) => return Err(store_error("remove a file", self.location(), e)),
            }
        }
        Ok(removed)
    }

    async fn fetch(&self, object: &ObjectPath) -> Result<LocalFile> {
        let name = self.name(object);
        let failed = |e: StoreError| match e {
            StoreError::NotFound { .. } => {
                Error::new(ErrorKind::NotFound, "there is no such object").with_context("path", name.as_str())
            }
            e => store_error("read a file", &name, e),
        };
        let size = self.store.head(object).await.map_err(failed)?.size;
        let no_copy = |e| Error::io("write a copy to read", std::env::temp_dir(), e);
        let copy = NamedTempFile::new().map_err(no_copy)?;
        let mut out = copy.reopen().map_err(no_copy)?;
        let mut at = 0;
        while at < size {
            let to = size.min(at + BLOCK);
            let bytes = self.store.get_range(object, at..to).await.map_err(failed)?;
            let written = tokio::task::spawn_blocking(move || {
                let mut file = out;
                file.write_all(&bytes).map(|()| file)
            });
            out = written.await.map_err(task_error)?.map_err(no_copy)?;
            at = to;
        }
        Ok(LocalFile::Copy(copy))
    }

    fn reads_at_once(&self) -> usize {
        FILES_AT_ONCE
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn is_local(&self) -> bool {
        false
    }
}

/// The way of one part file from the staging folder into the bucket.
struct Upload {
    store: Arc<dyn ObjectStore>,
    object: ObjectPath,
    name: String,
    from: PathBuf,
    bytes: u64,
    /// Another upload of the same batch failed.
    given_up: Arc<AtomicBool>,
}

impl Upload {
    async fn run(self) -> Result<()> {
        if self.given_up.load(Ordering::Relaxed) {
            return Ok(());
        }
        let outcome = self.send().await;
        if outcome.is_err() {
            self.given_up.store(true, Ordering::Relaxed);
        }
        outcome
    }

    async fn send(&self) -> Result<()> {
        let Some((file, bytes)) = open(self.from.clone()).await? else {
            // Sent by a try before this one, or else there is nothing to commit.
            let failed = |e| store_error("find a file to commit", &self.name, e);
            let found = self.store.head(&self.object).await.map_err(failed)?;
            return check_size(&self.name, found.size, self.bytes);
        };
        check_size(&self.from.display().to_string(), bytes, self.bytes)?;
        if bytes <= SINGLE_PUT {
            let (_, content) = self.read(file, bytes).await?;
            self.store.put(&self.object, content.into()).await.map_err(|e| self.failed(e))?;
        } else {
            let mut upload = self.store.put_multipart(&self.object).await.map_err(|e| self.failed(e))?;
            let sent = match self.send_parts(upload.as_mut(), file).await {
                Ok(()) => upload.complete().await.map(drop).map_err(|e| self.failed(e)),
                Err(e) => Err(e),
            };
            if let Err(e) = sent {
                // Parts of an upload that nobody completes cost storage and are listed nowhere.
                let _ = upload.abort().await;
                return Err(e);
            }
        }
        remove_staged(&self.from).await
    }

    async fn send_parts(&self, upload: &mut dyn MultipartUpload, mut file: File) -> Result<()> {
        let mut in_flight = FuturesUnordered::new();
        let mut left = self.bytes;
        while left > 0 {
            // All but the last of one size: some stores insist.
            let (rest, content) = self.read(file, left.min(BLOCK)).await?;
            file = rest;
            left -= content.len() as u64;
            in_flight.push(upload.put_part(content.into()));
            if in_flight.len() >= PARTS_AT_ONCE
                && let Some(sent) = in_flight.next().await
            {
                sent.map_err(|e| self.failed(e))?;
            }
        }
        while let Some(sent) = in_flight.next().await {
            sent.map_err(|e| self.failed(e))?;
        }
        Ok(())
    }

    /// The next `len` bytes of the staged file.
    async fn read(&self, file: File, len: u64) -> Result<(File, Vec<u8>)> {
        let read = tokio::task::spawn_blocking(move || {
            let mut file = file;
            let mut content = vec![0u8; len as usize];
            file.read_exact(&mut content).map(|()| (file, content))
        });
        read.await.map_err(task_error)?.map_err(|e| Error::io("read a file to upload", &self.from, e))
    }

    fn failed(&self, e: StoreError) -> Error {
        store_error("upload a file", &self.name, e)
    }
}

/// A file and its size; `None` when it is not there.
async fn open(path: PathBuf) -> Result<Option<(File, u64)>> {
    tokio::task::spawn_blocking(move || {
        let opened = File::open(&path).and_then(|file| file.metadata().map(|about| (file, about.len())));
        match opened {
            Ok(opened) => Ok(Some(opened)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("read a file to upload", &path, e)),
        }
    })
    .await
    .map_err(task_error)?
}

async fn remove_staged(path: &std::path::Path) -> Result<()> {
    match tokio::fs::remove_file(path).await {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove a file", path, e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    fn remote() -> Remote {
        let url = Url::parse("s3://amzn-s3-demo-lake/lake").unwrap();
        Remote::new(url, Arc::new(InMemory::new())).unwrap()
    }

    /// A staged file that is no Parquet, which nobody here asks.
    fn staged(remote: &Remote, name: &str, content: &[u8]) -> PartFile {
        let table = Table::Rejects;
        let part = PartFile {
            table,
            path: format!("{name}.parquet"),
            event_date: None,
            size_bytes: content.len() as u64,
            rows: 0,
            stats: String::new(),
            hash: None,
        };
        std::fs::create_dir_all(remote.table_dir(table)).unwrap();
        std::fs::write(remote.staged(&part), content).unwrap();
        part
    }

    #[tokio::test]
    async fn files_of_any_size_arrive_whole() {
        let remote = remote();
        let long: Vec<u8> = (0..2 * SINGLE_PUT + 12_345).map(|at| (at / 251) as u8).collect();
        let parts = [
            staged(&remote, "empty", &[]),
            staged(&remote, "short", b"short"),
            staged(&remote, "single", &long[..SINGLE_PUT as usize]),
            staged(&remote, "multiple", &long[..3 * BLOCK as usize]),
            staged(&remote, "long", &long),
        ];
        remote.deliver(&parts).await.unwrap();
        for part in &parts {
            assert!(!remote.staged(part).exists());
            let object = part_location(part).unwrap();
            let copy = remote.fetch(&object).await.unwrap();
            let content = std::fs::read(copy.path()).unwrap();
            assert!(content == long[..content.len()] || content == b"short", "{}", part.path);
            assert_eq!(content.len() as u64, part.size_bytes);
        }
        let found = remote.walk(vec!["rejects".to_owned(), "access_logs".to_owned()]).await.unwrap();
        assert_eq!(found.len(), parts.len());
        // Once more, as after a failure.
        remote.deliver(&parts).await.unwrap();
        remote.store.delete(&part_location(&parts[1]).unwrap()).await.unwrap();
        assert_eq!(remote.deliver(&parts).await.unwrap_err().kind(), ErrorKind::Lake);
    }

    #[tokio::test]
    async fn a_file_that_changed_is_not_uploaded() {
        let remote = remote();
        let part = staged(&remote, "part", b"as written");
        std::fs::write(remote.staged(&part), b"as found").unwrap();
        let parts = std::slice::from_ref(&part);
        assert_eq!(remote.deliver(parts).await.unwrap_err().kind(), ErrorKind::Lake);
        assert_eq!(remote.look().await.unwrap(), Content::Free);
        remote.unstage(&part).await.unwrap();
        assert!(!remote.staged(&part).exists());
    }

    #[tokio::test]
    async fn a_reader_has_no_staging_folder_and_a_writer_leaves_none() {
        let remote = remote();
        let object = ObjectPath::from("rejects/part.parquet");
        remote.store.put(&object, "x".into()).await.unwrap();
        remote.must_exist().await.unwrap();
        remote.delta_table("rejects").unwrap();
        remote.walk(vec!["rejects".to_owned()]).await.unwrap();
        remote.fetch(&object).await.unwrap();
        let missing = remote.fetch(&ObjectPath::from("rejects/other.parquet")).await;
        assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
        assert!(remote.staging.get().is_none());

        remote.prepare().unwrap();
        let folder = remote.table_dir(Table::Rejects).parent().unwrap().to_owned();
        assert!(folder.exists());
        drop(remote);
        assert!(!folder.exists());
    }

    #[tokio::test]
    async fn what_is_there_is_seen_without_a_listing() {
        let remote = remote();
        assert_eq!(remote.look().await.unwrap(), Content::Free);
        assert_eq!(remote.must_exist().await.unwrap_err().kind(), ErrorKind::NotFound);
        for table in Table::ALL {
            let object = ObjectPath::from_iter([table.name(), "_delta_log", "0.json"]);
            remote.store.put(&object, "x".into()).await.unwrap();
            let seen = remote.look().await.unwrap();
            assert_eq!(seen == Content::Unmarked, table == Table::Rejects, "{seen:?}");
        }
        remote.store.put(&ObjectPath::from("_s3trail/lake.json"), "x".into()).await.unwrap();
        assert_eq!(remote.look().await.unwrap(), Content::Marked);
        assert_eq!(remote.location(), "s3://amzn-s3-demo-lake/lake");
        assert_eq!(remote.name(&ObjectPath::from("rejects")), "s3://amzn-s3-demo-lake/lake/rejects");
    }
}
