//! Log objects in a bucket: `s3://bucket/prefix`.
//!
//! [`Listing`] finds them, by [`list`], narrowed by what earlier runs saw ([`Cursor`]); [`bucket`] reads them. All
//! requests share one [`throttle`]. What is new is for the ledger to decide, not for anything here.

mod bucket;
mod cursor;
mod list;
mod throttle;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use cursor::Cursor;

use self::bucket::{Bucket, CONCURRENCY};
use self::list::{PAGES_AHEAD, Walk, Walked};
use self::throttle::Throttle;
use super::options::now_us;
use super::{AfterCommit, Found, LogObject, Remote, SourceOptions};
use crate::cloud::Cloud;
use crate::error::{Error, Result};

/// A place in S3, as in `s3://bucket/prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The bucket.
    pub bucket: String,
    /// What keys begin with; empty for all.
    pub prefix: String,
}

impl Location {
    /// Reads `s3://bucket/prefix`; `None` when `word` is something else.
    ///
    /// Errors with [`ErrorKind::Usage`](crate::error::ErrorKind::Usage) when it has no bucket.
    pub fn parse(word: &str) -> Option<Result<Location>> {
        let rest = word.strip_prefix("s3://").or_else(|| word.strip_prefix("s3a://"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        Some(match bucket.is_empty() {
            true => Err(Error::usage("the bucket is missing").with_context("source", word)),
            false => Ok(Location { bucket: bucket.to_owned(), prefix: prefix.to_owned() }),
        })
    }
}

/// The log objects of some prefixes of one bucket, found one after another while they are read.
#[derive(Debug)]
pub struct Listing {
    bucket: Arc<Bucket>,
    options: SourceOptions,
    cursor: Cursor,
    began_us: i64,
    /// Prefixes still to be listed; none of them begins with another.
    pending: Vec<String>,
    current: Option<Current>,
    ready: std::vec::IntoIter<Found>,
    /// Keys of objects that had other content than was listed, and are still to be looked at.
    changed: Vec<String>,
    /// Objects that are asked for because they could not be read before, with their etags.
    again: HashMap<String, Option<String>>,
    is_whole: bool,
}

#[derive(Debug)]
struct Current {
    prefix: String,
    is_full: bool,
    pages: mpsc::Receiver<Vec<Found>>,
    walk: JoinHandle<Walked>,
}

impl Listing {
    /// The log objects below `prefixes` of `bucket`; `stored` is the [`Cursor`] that the last run left, if any.
    ///
    /// Errors when the bucket does not exist or cannot be reached.
    pub async fn open(
        cloud: &Cloud,
        bucket: &str,
        prefixes: Vec<String>,
        options: &SourceOptions,
        stored: Option<&[u8]>,
    ) -> Result<Listing> {
        if let AfterCommit::MoveTo(to) = &options.after
            && let Some(prefix) = prefixes.iter().find(|prefix| to.starts_with(prefix.as_str()))
        {
            return Err(Error::usage("log objects would be moved to where they are read from")
                .with_context("source", format!("s3://{bucket}/{prefix}"))
                .with_context("--move-to", to.clone())
                .with_hint("read from a prefix that the other is not below of"));
        }
        let region = cloud.region_of(bucket).await?;
        let concurrency = options.concurrency.map_or(CONCURRENCY, std::num::NonZeroUsize::get);
        let bucket = Bucket {
            client: cloud.s3_in(&region),
            name: bucket.to_owned(),
            requester_pays: cloud.requester_pays(),
            meter: cloud.meter().clone(),
            throttle: Throttle::new(concurrency),
            concurrency,
            after: options.after.clone(),
            slow_downs: AtomicU64::new(cloud.meter().slow_downs()),
            repeated: AtomicU64::new(0),
        };
        let mut prefixes = prefixes;
        prefixes.sort();
        // A prefix that another covers is listed with it.
        prefixes.dedup_by(|later, earlier| later.starts_with(earlier.as_str()));
        let mut cursor = Cursor::read(stored);
        let left_over = cursor.take_left_over(options);
        let (left_over, changed): (Vec<_>, Vec<_>) =
            left_over.into_iter().partition(|object| object.etag.is_some());
        let again = left_over.iter().map(|object| (object.key.clone(), object.etag.clone())).collect();
        let ready: Vec<Found> = left_over.into_iter().map(Found::Object).collect();
        Ok(Listing {
            bucket: Arc::new(bucket),
            options: options.clone(),
            cursor,
            began_us: now_us(),
            pending: prefixes.into_iter().rev().collect(),
            current: None,
            ready: ready.into_iter(),
            changed: changed.into_iter().map(|object| object.key).collect(),
            again,
            is_whole: true,
        })
    }

    /// Where the bytes are.
    pub fn remote(&self) -> Arc<dyn Remote> {
        Arc::clone(&self.bucket) as Arc<dyn Remote>
    }

    /// The next thing found; `None` at the end. In no order.
    pub async fn next(&mut self) -> Option<Found> {
        loop {
            if let Some(found) = self.ready.next() {
                return Some(found);
            }
            if let Some(key) = self.changed.pop() {
                self.look_again(key).await;
                continue;
            }
            let Some(current) = &mut self.current else {
                let prefix = self.pending.pop()?;
                self.start(prefix);
                continue;
            };
            match current.pages.recv().await {
                Some(mut page) => {
                    page.retain(|found| !self.is_asked_for(found));
                    self.ready = page.into_iter();
                }
                None => self.end().await,
            }
        }
    }

    /// Looks at an object whose content was another than had been listed: nothing else may show what it is now.
    async fn look_again(&mut self, key: String) {
        let found = match self.bucket.look(&key).await {
            Ok(Some(object)) => {
                self.again.insert(key, object.etag.clone());
                Found::Object(object)
            }
            Ok(None) => return,
            Err(failure) => {
                self.is_whole = false;
                Found::Unreadable(failure)
            }
        };
        self.ready = vec![found].into_iter();
    }

    /// Whether it was there before the listing, as something left over.
    fn is_asked_for(&self, found: &Found) -> bool {
        let Found::Object(object) = found else { return false };
        self.again.get(&object.key).is_some_and(|etag| *etag == object.etag)
    }

    fn start(&mut self, prefix: String) {
        let (out, pages) = mpsc::channel(PAGES_AHEAD);
        let windows = self.cursor.windows(&prefix, &self.options);
        let is_full = windows.is_none();
        let walk = Walk::new(Arc::clone(&self.bucket), self.options.clone(), windows, out);
        let listed = prefix.clone();
        let walk = tokio::spawn(async move { walk.run(&listed).await });
        self.current = Some(Current { prefix, is_full, pages, walk });
    }

    async fn end(&mut self) {
        let Some(Current { prefix, is_full, walk, .. }) = self.current.take() else { return };
        match walk.await {
            Ok(Walked { groups, is_whole: true }) => {
                self.cursor.note(&prefix, &self.options, self.began_us, is_full, groups);
            }
            Ok(_) => self.is_whole = false,
            Err(e) => {
                self.is_whole = false;
                self.ready = vec![Found::Unreadable(self.bucket.cut_short(&prefix, e))].into_iter();
            }
        }
    }

    /// Whether nothing of the listing has failed so far.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// What the next run may rely on when everything found is in the lake but for `left_over`. `None` when the listing
    /// is not at its end, or something of it failed.
    pub fn cursor(&self, left_over: &[LogObject]) -> Option<Vec<u8>> {
        let is_done = self.pending.is_empty() && self.current.is_none() && self.changed.is_empty();
        if !is_done || !self.is_whole {
            return None;
        }
        let mut cursor = self.cursor.clone();
        cursor.leave_over(left_over);
        cursor.to_json()
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        if let Some(current) = &self.current {
            current.walk.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_s3() {
        let place = |bucket: &str, prefix: &str| Location { bucket: bucket.into(), prefix: prefix.into() };
        let parse = |word| Location::parse(word).unwrap().unwrap();
        assert_eq!(parse("s3://amzn-s3-demo-logs"), place("amzn-s3-demo-logs", ""));
        assert_eq!(parse("s3://amzn-s3-demo-logs/"), place("amzn-s3-demo-logs", ""));
        assert_eq!(parse("s3a://amzn-s3-demo-logs/a/b"), place("amzn-s3-demo-logs", "a/b"));
        assert!(Location::parse("s3:///a").unwrap().is_err());
        assert!(Location::parse("./s3").is_none());
    }
}
