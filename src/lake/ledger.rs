//! What was taken in: the index that decides whether a log object is new, and what a listing can be narrowed by.
//!
//! [`Ledger`] is memory only; it is filled from the table `log_objects` here, and from nowhere else. Which keys there
//! are and what they mean is known to those who ask.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::{SessionContext, col, lit};
use futures::TryStreamExt;
use hashbrown::HashTable;

use super::{Known, Lake, Table, store_error};
use crate::error::Result;

/// Entries inserted since the last merge, at least.
const FRESH: usize = 1 << 12;

/// One in so many entries may wait for a merge.
const FRESH_SHARE: usize = 16;

/// What an entry that waits costs at most: nodes of a B-tree are at least half full.
const FRESH_BYTES: usize = 72;

/// The log objects known to the lake.
///
/// An object is known by destination bucket, key and etag. A local tree may be read from another root than
/// before, so a key also counts as known when the etag is the same, one key is a suffix of the other at a `/`,
/// and the buckets agree or one of them is unknown. Where both buckets are known and the etag is no content hash of
/// ours, both are objects of S3, whose keys are whole: then only the very key counts.
///
/// # How it fits in memory
/// Two such keys end in the same file name. So an entry is the keyed hashes of file name and etag, 64 bits each, and
/// a place: a folder and a bucket, both interned, since a folder holds thousands of log objects. Whether one folder
/// is a suffix of the other is then decided on the folders themselves, exactly. An object is mistaken for another
/// only if 128 bits collide, and nobody outside knows the keys of the hashes.
///
/// That is 24 bytes in a sorted list without room to spare, plus each folder once (some 100 bytes). What is inserted
/// waits in a tree and is merged when it is a sixteenth of the list: 4.5 bytes for each object. Moving the list to a
/// larger place takes another 25 for a moment. So an object never costs more than 56 bytes, and 24 at rest.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    hashers: [RandomState; 2],
    buckets: Interner,
    folders: Interner,
    /// Sorted, each once.
    settled: Vec<Entry>,
    /// None of those that are settled.
    fresh: BTreeSet<Entry>,
}

/// In this order, so that the entries of one file name are neighbors, and of these those of one etag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    name: u64,
    etag: u64,
    folder: NonZeroU32,
    bucket: Option<NonZeroU32>,
}

impl Ledger {
    /// Whether this object was taken in before; for a local file, also under a shorter or longer path.
    pub fn contains(&self, log_bucket: Option<&str>, log_key: &str, etag: &str) -> bool {
        let (folder, name) = split_key(log_key);
        let [name, hash] = self.hashes(name, etag);
        let of_trees = is_content_hash(etag);
        self.between((name, hash), (name, hash)).any(|entry| {
            let seen = self.folders.name(entry.folder);
            match (log_bucket, entry.bucket) {
                (Some(asked), Some(bucket)) if self.buckets.name(bucket) != asked => false,
                (Some(_), Some(_)) if !of_trees => folder == seen,
                _ => same_tree(folder, seen),
            }
        })
    }

    /// Whether an object of this very bucket and key was taken in with another etag. It costs a look at every object
    /// with the same file name; log objects hardly share theirs.
    pub fn is_other_version(&self, log_bucket: &str, log_key: &str, etag: &str) -> bool {
        let (folder, name) = split_key(log_key);
        let [name, hash] = self.hashes(name, etag);
        let (Some(folder), Some(bucket)) = (self.folders.find(folder), self.buckets.find(log_bucket)) else {
            return false;
        };
        self.between((name, 0), (name, u64::MAX))
            .any(|entry| entry.folder == folder && entry.bucket == Some(bucket) && entry.etag != hash)
    }

    /// Notes an object as taken in.
    pub fn insert(&mut self, log_bucket: Option<&str>, log_key: &str, etag: &str) {
        let entry = self.entry(log_bucket, log_key, etag);
        if self.settled.binary_search(&entry).is_ok() {
            return;
        }
        self.fresh.insert(entry);
        if self.fresh.len() >= FRESH.max(self.settled.len() / FRESH_SHARE) {
            self.settle();
        }
    }

    /// Number of objects known.
    pub fn len(&self) -> usize {
        self.settled.len() + self.fresh.len()
    }

    /// Whether no object is known.
    pub fn is_empty(&self) -> bool {
        self.settled.is_empty() && self.fresh.is_empty()
    }

    /// Bytes of memory that the ledger holds, rounded up where the allocator does not tell.
    pub fn memory_bytes(&self) -> usize {
        self.settled.capacity() * size_of::<Entry>()
            + self.fresh.len() * FRESH_BYTES
            + self.buckets.memory_bytes()
            + self.folders.memory_bytes()
    }

    fn entry(&mut self, log_bucket: Option<&str>, log_key: &str, etag: &str) -> Entry {
        let (folder, name) = split_key(log_key);
        let [name, etag] = self.hashes(name, etag);
        let bucket = log_bucket.map(|bucket| self.buckets.intern(bucket));
        Entry { name, etag, folder: self.folders.intern(folder), bucket }
    }

    fn hashes(&self, name: &str, etag: &str) -> [u64; 2] {
        let [names, etags] = &self.hashers;
        [names.hash_one(name), etags.hash_one(etag)]
    }

    /// The entries from one (name, etag) to another, in two runs.
    fn between(&self, from: (u64, u64), to: (u64, u64)) -> impl Iterator<Item = &Entry> {
        let first = Entry { name: from.0, etag: from.1, folder: NonZeroU32::MIN, bucket: None };
        let last = Entry { name: to.0, etag: to.1, folder: NonZeroU32::MAX, bucket: Some(NonZeroU32::MAX) };
        let start = self.settled.partition_point(|entry| *entry < first);
        let settled = self.settled[start..].iter().take_while(move |entry| **entry <= last);
        settled.chain(self.fresh.range(first..=last))
    }

    /// Merges what waits into the list, from behind, in place.
    fn settle(&mut self) {
        let fresh = std::mem::take(&mut self.fresh);
        let Some(filler) = fresh.first().copied() else { return };
        let mut old = self.settled.len();
        let mut to = old + fresh.len();
        self.settled.reserve_exact(fresh.len());
        self.settled.resize(to, filler);
        for entry in fresh.into_iter().rev() {
            while old > 0 && self.settled[old - 1] > entry {
                old -= 1;
                to -= 1;
                self.settled[to] = self.settled[old];
            }
            to -= 1;
            self.settled[to] = entry;
        }
    }

    /// A ledger of many objects at once: they come in no order, and may repeat.
    fn load(&mut self, log_bucket: Option<&str>, log_key: &str, etag: &str) {
        let entry = self.entry(log_bucket, log_key, etag);
        if self.settled.len() == self.settled.capacity() {
            // Not the double: the list is large, and nobody gives its room back.
            self.settled.reserve_exact((self.settled.len() / FRESH_SHARE).max(FRESH));
        }
        self.settled.push(entry);
    }

    /// To be called after the last [`Ledger::load`], and before anything else.
    fn loaded(mut self) -> Ledger {
        self.settled.sort_unstable();
        self.settled.dedup();
        self
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

/// Whether the etag is that of a local file: `x` and 128 bits in hexadecimal, which no etag of S3 begins with.
fn is_content_hash(etag: &str) -> bool {
    etag.len() == 33 && etag.starts_with('x')
}

/// Names by number, each kept once.
#[derive(Debug, Clone, Default)]
struct Interner {
    hasher: RandomState,
    numbers: HashTable<NonZeroU32>,
    names: Vec<Box<str>>,
    /// Bytes of the names, with what an allocation costs.
    text: usize,
}

impl Interner {
    fn find(&self, name: &str) -> Option<NonZeroU32> {
        let hash = self.hasher.hash_one(name);
        self.numbers.find(hash, |number| self.name(*number) == name).copied()
    }

    fn intern(&mut self, name: &str) -> NonZeroU32 {
        if let Some(number) = self.find(name) {
            return number;
        }
        self.names.push(Box::from(name));
        self.text += name.len() + 16;
        let number = u32::try_from(self.names.len()).ok().and_then(NonZeroU32::new);
        let number = number.expect("2^32 names do not fit in memory");
        let Interner { hasher, numbers, names, .. } = self;
        let hash = |number: &NonZeroU32| hasher.hash_one(&*names[number.get() as usize - 1]);
        numbers.insert_unique(hash(&number), number, hash);
        number
    }

    fn name(&self, number: NonZeroU32) -> &str {
        &self.names[number.get() as usize - 1]
    }

    fn memory_bytes(&self) -> usize {
        self.text + self.names.capacity() * size_of::<Box<str>>() + self.numbers.allocation_size()
    }
}

impl Lake {
    /// The ledger, as of the state in memory. From here on [`Lake::commit`] refuses to commit for a source that
    /// another process committed for since, because this ledger does not cover it.
    ///
    /// # Errors
    /// [`ErrorKind::Lake`](crate::error::ErrorKind::Lake) or [`ErrorKind::Io`](crate::error::ErrorKind::Io) when
    /// the table cannot be read.
    pub async fn ledger(&self) -> Result<Ledger> {
        self.ledger_of(None).await
    }

    /// The same, of the objects of one destination bucket only (with `None`: of all). It covers the sources that
    /// read this bucket; nothing else may be committed under it.
    ///
    /// # Errors
    /// As [`Lake::ledger`].
    pub async fn ledger_of(&self, log_bucket: Option<&str>) -> Result<Ledger> {
        let name = self.name_of(Table::LogObjects);
        let failed = |e| store_error("read the ledger", &name, e);
        let state = self.state(Table::LogObjects)?.clone();
        let mut batches = self.log_objects(&["log_bucket", "log_key", "etag"], log_bucket).await?;
        let mut ledger = Ledger::default();
        while let Some(batch) = batches.try_next().await.map_err(failed)? {
            let (buckets, keys) = (self.text(&batch, 0)?, self.text(&batch, 1)?);
            let etags = self.text(&batch, 2)?;
            let (buckets, keys, etags) =
                (buckets.as_string_view(), keys.as_string_view(), etags.as_string_view());
            for row in 0..batch.num_rows() {
                let bucket = buckets.is_valid(row).then(|| buckets.value(row));
                ledger.load(bucket, keys.value(row), etags.value(row));
            }
        }
        *self.known() = Known { ledger: state, own: HashMap::new() };
        Ok(ledger.loaded())
    }

    /// Columns of `log_objects`, of one destination bucket or of all.
    async fn log_objects(
        &self,
        columns: &[&str],
        log_bucket: Option<&str>,
    ) -> Result<SendableRecordBatchStream> {
        let name = self.name_of(Table::LogObjects);
        let failed = |e| store_error("read the ledger", &name, e);
        let provider = self.provider(Table::LogObjects).await?;
        let mut frame = SessionContext::new().read_table(provider).map_err(failed)?;
        if let Some(bucket) = log_bucket {
            frame = frame.filter(col("log_bucket").eq(lit(bucket))).map_err(failed)?;
        }
        frame.select_columns(columns).map_err(failed)?.execute_stream().await.map_err(failed)
    }

    fn text(&self, batch: &RecordBatch, column: usize) -> Result<ArrayRef> {
        cast(batch.column(column), &DataType::Utf8View)
            .map_err(|e| store_error("read the ledger", self.name_of(Table::LogObjects), e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for settled in [false, true] {
            if settled {
                ledger.settle();
                assert_eq!((ledger.len(), ledger.fresh.len()), (4, 0));
            }
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
                // Keys of S3 are whole.
                (bucket, "2026/01/01/x.log", "e1", false),
                (bucket, "mirror/logs/2026/01/01/x.log", "e1", false),
            ] {
                assert_eq!(ledger.contains(log_bucket, key, etag), known, "{key} {etag}");
            }
        }
    }

    #[test]
    fn a_tree_of_a_named_bucket_may_have_any_root() {
        let etag = "x0123456789abcdef0123456789abcdef";
        let bucket = Some("amzn-s3-demo-logs");
        let mut ledger = Ledger::default();
        ledger.insert(bucket, "logs/2026/x.log", etag);
        assert!(ledger.contains(bucket, "2026/x.log", etag));
        assert!(!ledger.contains(bucket, "026/x.log", etag));
        assert!(!ledger.contains(Some("amzn-s3-demo-other"), "2026/x.log", etag));
    }

    #[test]
    fn another_version_is_one_of_the_very_key() {
        let bucket = "amzn-s3-demo-logs";
        let mut ledger = Ledger::default();
        ledger.insert(Some(bucket), "logs/a", "e1");
        ledger.insert(None, "logs/b", "e1");
        assert!(ledger.is_other_version(bucket, "logs/a", "e2"));
        assert!(!ledger.is_other_version(bucket, "logs/a", "e1"));
        assert!(!ledger.is_other_version(bucket, "a", "e2"));
        assert!(!ledger.is_other_version(bucket, "logs/b", "e2"));
        assert!(!ledger.is_other_version("amzn-s3-demo-other", "logs/a", "e2"));
        ledger.insert(Some(bucket), "logs/a", "e2");
        ledger.settle();
        assert!(ledger.is_other_version(bucket, "logs/a", "e1"));
    }

    /// The key of the `n`th log object: 1,000 source buckets, a thousand objects to a day.
    fn key(n: usize) -> String {
        let (bucket, day) = (n % 1_000, n / 1_000 / 28);
        format!(
            "logs/111122223333/us-east-1/amzn-s3-demo-{bucket:03}/2026/01/{:02}/2026-01-01-00-00-00-{n:016X}",
            day % 28 + 1
        )
    }

    #[test]
    fn an_object_costs_no_more_than_64_bytes() {
        const OBJECTS: usize = 1_000_000;
        let etag = |n: usize| format!("{n:032x}");
        let bucket = Some("amzn-s3-demo-logs");
        let mut grown = Ledger::default();
        for n in 0..OBJECTS {
            grown.insert(bucket, &key(n), &etag(n));
            if n % 4_099 == 0 && n > 100_000 {
                // While the list moves to a larger place, both are there.
                let both = grown.memory_bytes() + grown.settled.len() * size_of::<Entry>();
                assert!(both <= 64 * grown.len(), "{both} bytes for {} objects", grown.len());
            }
        }
        assert_eq!(grown.len(), OBJECTS);
        assert!(grown.settled.is_sorted());
        assert!((0..OBJECTS).step_by(97).all(|n| grown.contains(bucket, &key(n), &etag(n))));
        assert!((0..OBJECTS).step_by(97).all(|n| !grown.contains(bucket, &key(n), &etag(n + 1))));

        let mut loaded = Ledger::default();
        (0..OBJECTS / 4).chain(0..10).for_each(|n| loaded.load(bucket, &key(n), &etag(n)));
        assert!(loaded.memory_bytes() <= 40 * loaded.len());
        let loaded = loaded.loaded();
        assert_eq!(loaded.len(), OBJECTS / 4);
        assert!((0..OBJECTS / 4).step_by(97).all(|n| loaded.contains(bucket, &key(n), &etag(n))));
    }
}
