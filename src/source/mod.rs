//! Where bytes come from: which log objects a SOURCE names, and how their text is reached.
//!
//! A [`LogObject`] is a place, a key and a size; nothing is read before it is asked for, and a folder or a bucket of
//! millions of objects is walked as it is consumed. Local files are read by whoever needs their bytes; objects in a
//! bucket through [`Remote`], which is all that the rest of the program knows of S3. Nothing here knows records or the
//! lake.

pub mod decode;
pub mod layout;
pub mod local;
mod options;
#[cfg(feature = "s3")]
pub mod s3;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use futures::future::BoxFuture;

pub use decode::Body;
pub use layout::{KeyInfo, Layout};
pub use local::Files;
pub use options::{AfterCommit, SourceOptions};

use crate::error::Error;

/// Objects that are left over by name for the next run, at most. Where more could not be read, everything is listed
/// again.
pub const LEFT_OVER: usize = 10_000;

/// One log object to take in.
#[derive(Debug, Clone)]
pub struct LogObject {
    /// Where it is.
    pub place: Place,
    /// Its key in the bucket, or its path below the source's root, `/`-separated.
    pub key: String,
    /// Its size in bytes, as stored.
    pub size: u64,
    /// When it was last changed.
    pub modified: Option<SystemTime>,
    /// Its etag without quotes, empty where the server gives none; `None` for local files, whose content is hashed
    /// instead, and for what is left over and had other content than the listing said.
    pub etag: Option<String>,
}

/// Where a log object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In this file.
    File(PathBuf),
    /// In the bucket of the run's [`Remote`].
    Remote,
}

impl LogObject {
    /// When it was delivered, in microseconds since the epoch: what the key says, or else when it was last changed.
    pub fn delivered_us(&self) -> Option<i64> {
        let changed = || {
            let since = self.modified?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            i64::try_from(since.as_micros()).ok()
        };
        layout::read_key(&self.key).delivered_at.map(|s| s * 1_000_000).or_else(changed)
    }
}

/// Something beside log objects that was not taken for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The file, or the key.
    pub place: String,
    /// Why.
    pub reason: &'static str,
}

/// What a walk over a source yields.
#[derive(Debug)]
pub enum Found {
    /// A log object.
    Object(LogObject),
    /// A file or an object that is none.
    Skipped(Skipped),
    /// Something that cannot be read; the rest goes on.
    Unreadable(Failure),
}

/// Why a log object could not be read, as far as it matters to whoever has to do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureClass {
    /// It was listed and is gone: deleted, or expired by a lifecycle rule. There is nothing to try again.
    Vanished,
    /// It has other content than when it was listed.
    Changed,
    /// We may not read it. Objects of old deliveries can belong to the log service.
    AccessDenied,
    /// It is in an archive storage class and must be restored first.
    Archived,
    /// Fewer bytes came than it has.
    Truncated,
    /// The bytes that came do not have its checksum.
    Checksum,
    /// The server asked for fewer requests, again and again.
    Throttled,
    /// The credentials are not, or no longer, good.
    Credentials,
    /// The server could not be reached.
    Unreachable,
    /// It is larger than what is read from a bucket.
    TooLarge,
    /// It could be read but is no text: damaged, or something else.
    Damaged,
    /// Any other refusal.
    Refused,
}

impl FailureClass {
    /// The name in summaries and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            FailureClass::Vanished => "vanished",
            FailureClass::Changed => "changed",
            FailureClass::AccessDenied => "access-denied",
            FailureClass::Archived => "archived",
            FailureClass::Truncated => "truncated",
            FailureClass::Checksum => "checksum",
            FailureClass::Throttled => "throttled",
            FailureClass::Credentials => "credentials",
            FailureClass::Unreachable => "unreachable",
            FailureClass::TooLarge => "too-large",
            FailureClass::Damaged => "damaged",
            FailureClass::Refused => "refused",
        }
    }

    /// Whether it concerns every object alike, so that it is no use to ask for the next.
    pub const fn ends_the_run(self) -> bool {
        matches!(self, FailureClass::Credentials | FailureClass::Unreachable)
    }

    /// Whether the next run has to ask for the object again: not for what is gone. The next listing need not show it.
    pub const fn is_left_over(self) -> bool {
        !matches!(self, FailureClass::Vanished)
    }
}

/// A log object that could not be read; nothing of it is in the lake.
#[derive(Debug)]
pub struct Failure {
    /// The file, or the object's URL.
    pub place: String,
    /// What kind of failure it is.
    pub class: FailureClass,
    /// Why.
    pub error: Box<Error>,
}

impl Failure {
    pub(crate) fn new(place: impl Into<String>, class: FailureClass, error: Error) -> Self {
        Self { place: place.into(), class, error: Box::new(error) }
    }
}

/// What became of objects that were to be deleted or moved.
#[derive(Debug, Default)]
pub struct Disposed {
    /// How many are gone from where they were.
    pub done: u64,
    /// How many are still there.
    pub failed: u64,
    /// Why; one reason may be that of many.
    pub failures: Vec<Failure>,
}

/// Log objects in a bucket.
pub trait Remote: std::fmt::Debug + Send + Sync {
    /// The URL of the object with that key, for people.
    fn place(&self, key: &str) -> String;

    /// The whole object as stored, checked against its size and checksum. Tries again by itself what is worth it, and
    /// waits while the server is overloaded.
    fn get<'a>(&'a self, object: &'a LogObject) -> BoxFuture<'a, Result<Vec<u8>, Failure>>;

    /// How many objects to ask for at a time.
    fn concurrency(&self) -> usize;

    /// Requests that were sent again so far.
    fn retries(&self) -> u64;

    /// Whether [`Remote::dispose`] does anything.
    fn disposes(&self) -> bool;

    /// Deletes or moves objects whose commit is visible, as the options say: each only as long as its etag is the one
    /// that was taken in. A server that does not know If-Match for deletions, as Amazon's did not before September
    /// 2025, may still delete what was written over it in that moment.
    fn dispose<'a>(&'a self, objects: &'a [LogObject]) -> BoxFuture<'a, Disposed>;
}

/// The log objects that the words of a SOURCE name.
#[derive(Debug)]
pub enum Sources {
    /// Files of this machine.
    Files(Files),
    /// Objects of a bucket.
    #[cfg(feature = "s3")]
    Bucket(s3::Listing),
}

impl Sources {
    /// The files that `words` name: see [`Files::open`].
    pub fn files(words: &[String], options: &SourceOptions) -> crate::error::Result<Sources> {
        Files::open(words, options).map(Sources::Files)
    }

    /// The next thing found, in any order; `None` at the end.
    pub async fn next(&mut self) -> Option<Found> {
        match self {
            Sources::Files(files) => files.next(),
            #[cfg(feature = "s3")]
            Sources::Bucket(listing) => listing.next().await,
        }
    }

    /// Where the bytes of [`Place::Remote`] are.
    pub fn remote(&self) -> Option<Arc<dyn Remote>> {
        match self {
            Sources::Files(_) => None,
            #[cfg(feature = "s3")]
            Sources::Bucket(listing) => Some(listing.remote()),
        }
    }

    /// Whether nothing of a bucket was out of sight so far: false once part of its listing has failed.
    pub fn is_whole(&self) -> bool {
        match self {
            Sources::Files(_) => true,
            #[cfg(feature = "s3")]
            Sources::Bucket(listing) => listing.is_whole(),
        }
    }

    /// What to keep for the next run, once all that was found is in the lake but for `left_over`: see [`s3::Cursor`].
    /// `None` when the listing was not complete, or nothing needs keeping.
    #[cfg_attr(not(feature = "s3"), allow(unused_variables, reason = "only buckets leave something"))]
    pub fn cursor(&self, left_over: &[LogObject]) -> Option<Vec<u8>> {
        match self {
            Sources::Files(_) => None,
            #[cfg(feature = "s3")]
            Sources::Bucket(listing) => listing.cursor(left_over),
        }
    }
}
