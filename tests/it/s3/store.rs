//! What the server holds: buckets, their objects in key order, unfinished uploads, and who is to be refused what.
//!
//! Knows neither HTTP nor XML; [`super::backend`] says it in S3's words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{Checksum, ChecksumType, LoggingEnabled};
use s3s::{S3Result, s3_error};

use super::server::Request;

/// Keys in a page of a listing, at most.
pub const PAGE_LIMIT: usize = 1_000;

/// What is wrong with an object when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// AccessDenied, as for an object that belongs to another account.
    Denied,
    /// Deleted the moment it is read: listed, then NoSuchKey.
    Vanishing,
    /// Content-Length promises all of it, half of it comes, and the connection closes.
    Truncated,
    /// One byte differs; ETag and checksum are those of the right bytes.
    Corrupted,
}

/// An object and what a listing says about it.
#[derive(Debug, Clone)]
pub struct Object {
    pub body: Bytes,
    /// Without quotes.
    pub etag: String,
    /// Whole seconds, as S3 gives it.
    pub last_modified: SystemTime,
    pub checksum: Checksum,
    pub content_type: Option<String>,
    pub metadata: Option<s3s::dto::Metadata>,
}

impl Object {
    /// An object of one PUT, with the checksum that S3 adds of its own accord.
    pub fn new(body: Bytes, last_modified: SystemTime) -> Self {
        let etag = hex(&Md5::checksum(&body));
        let hasher = ChecksumHasher { crc64nvme: Some(Default::default()), ..Default::default() };
        let checksum = checksum(hasher, &body);
        let last_modified = whole_seconds(last_modified);
        Self { body, etag, last_modified, checksum, content_type: None, metadata: None }
    }
}

/// What `hasher` computes, of the whole of `body`.
pub fn checksum(mut hasher: ChecksumHasher, body: &[u8]) -> Checksum {
    hasher.update(body);
    let mut checksum = hasher.finalize();
    checksum.checksum_type = Some(ChecksumType::from_static(ChecksumType::FULL_OBJECT));
    checksum
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// A bucket: its objects in the binary order of their keys, and its configuration.
#[derive(Debug)]
pub struct Bucket {
    pub region: String,
    pub created: SystemTime,
    pub objects: BTreeMap<String, Object>,
    pub damage: BTreeMap<String, Damage>,
    /// What is put over an object the moment before it is read, or after.
    pub before_get: BTreeMap<String, Object>,
    pub after_get: BTreeMap<String, Object>,
    pub logging: Option<LoggingEnabled>,
    pub policy: Option<String>,
    pub versioning: Option<s3s::dto::BucketVersioningStatus>,
    pub requester_pays: bool,
    /// Answers carry no checksum, as for objects older than S3's default checksums.
    pub no_checksums: bool,
}

impl Bucket {
    pub fn new(region: &str) -> Self {
        Self {
            region: region.to_owned(),
            created: whole_seconds(SystemTime::now()),
            objects: BTreeMap::new(),
            damage: BTreeMap::new(),
            before_get: BTreeMap::new(),
            after_get: BTreeMap::new(),
            logging: None,
            policy: None,
            versioning: None,
            requester_pays: false,
            no_checksums: false,
        }
    }

    pub fn object(&self, key: &str) -> S3Result<&Object> {
        self.objects.get(key).ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))
    }

    /// The object as a reader meets it: refused or gone, if that is its damage.
    pub fn read(&mut self, key: &str) -> S3Result<&Object> {
        match self.damage.get(key) {
            Some(Damage::Denied) => return Err(s3_error!(AccessDenied, "Access Denied")),
            Some(Damage::Vanishing) => {
                self.objects.remove(key);
            }
            Some(Damage::Truncated | Damage::Corrupted) | None => {}
        }
        self.object(key)
    }

    /// The next page of the keys below `prefix` behind `from`, with at most `limit` entries.
    pub fn page(&self, prefix: &str, delimiter: Option<&str>, from: &str, limit: usize) -> Page<'_> {
        let mut page = Page::default();
        let mut behind = from.to_owned();
        loop {
            let lower = if behind.as_str() < prefix {
                Bound::Included(prefix)
            } else {
                Bound::Excluded(behind.as_str())
            };
            let Some((key, object)) = self.objects.range::<str, _>((lower, Bound::Unbounded)).next() else {
                return page;
            };
            let Some(rest) = key.strip_prefix(prefix) else { return page };
            if page.objects.len() + page.prefixes.len() == limit {
                page.next = Some(behind);
                return page;
            }
            let cut = delimiter.and_then(|delimiter| rest.find(delimiter).map(|at| at + delimiter.len()));
            if let Some(cut) = cut {
                let common = &key[..prefix.len() + cut];
                page.prefixes.push(common.to_owned());
                // Behind every key that begins so.
                behind = format!("{common}\u{10FFFF}");
            } else {
                page.objects.push((key, object));
                behind.clone_from(key);
            }
        }
    }
}

/// One page of a listing; `next` is the place behind it when there is more.
#[derive(Debug, Default)]
pub struct Page<'a> {
    pub objects: Vec<(&'a String, &'a Object)>,
    pub prefixes: Vec<String>,
    pub next: Option<String>,
}

/// A multipart upload that was neither completed nor aborted.
#[derive(Debug)]
pub struct Upload {
    pub bucket: String,
    pub key: String,
    pub parts: BTreeMap<i32, Object>,
}

/// Everything the server knows.
#[derive(Debug, Default)]
pub struct State {
    pub buckets: BTreeMap<String, Bucket>,
    pub uploads: BTreeMap<String, Upload>,
    /// Keys in a page where fewer than [`PAGE_LIMIT`] were set.
    pub page_limit: Option<usize>,
    pub short_pages: bool,
    /// Bucket and name of the API.
    pub denied_actions: BTreeSet<(String, String)>,
    /// Bucket and name of the API, for requests that are never answered.
    pub hanging_actions: BTreeSet<(String, String)>,
    /// How long every request waits for its answer.
    pub latency: Duration,
    /// Requests still to be answered with SlowDown.
    pub slow_down: u64,
    /// The same for one API of a bucket.
    pub busy_actions: BTreeMap<(String, String), u64>,
    /// Requests until the credentials have expired.
    pub expires_after: Option<u64>,
    pub log: Vec<Request>,
    /// Keys and common prefixes in all listings so far.
    pub listed: usize,
    serial: u64,
    pages: u64,
}

impl State {
    pub fn bucket(&self, name: &str) -> S3Result<&Bucket> {
        self.buckets.get(name).ok_or_else(no_such_bucket)
    }

    pub fn bucket_mut(&mut self, name: &str) -> S3Result<&mut Bucket> {
        self.buckets.get_mut(name).ok_or_else(no_such_bucket)
    }

    /// A number given once only.
    pub fn serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// How many of `asked` keys the next page may hold: always fewer in the mode of short pages, and now and then
    /// none.
    pub fn page_size(&mut self, asked: usize) -> usize {
        let limit = asked.min(self.page_limit.unwrap_or(PAGE_LIMIT));
        if !self.short_pages {
            return limit;
        }
        self.pages += 1;
        match self.pages % 4 {
            1 => limit.saturating_sub(3),
            2 => limit / 2,
            3 => 0,
            _ => limit.min(1),
        }
    }

    /// A continuation token for the place `behind`. It says nothing to clients and is never the same twice, since
    /// some of them take a repeated token for the end.
    pub fn token(&mut self, behind: &str) -> String {
        format!("{}.{}", self.serial(), hex(behind.as_bytes()))
    }
}

/// The place that a continuation token stands for.
pub fn token_place(token: &str) -> Option<String> {
    let (_, hex) = token.split_once('.')?;
    let digits: Option<Vec<u8>> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect();
    String::from_utf8(digits?).ok()
}

fn no_such_bucket() -> s3s::S3Error {
    s3_error!(NoSuchBucket, "The specified bucket does not exist")
}

/// The state, shared between the test and the threads that serve it.
#[derive(Debug, Clone, Default)]
pub struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, State> {
        // A test that failed while it held the lock is reported by its own panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
