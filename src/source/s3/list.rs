//! Listing a bucket: everything that may be new, by several requests at a time, ahead of the reading.
//!
//! Folders are walked by delimiter, so that partitions are found and listed side by side: a month of one source bucket
//! is one flat listing. Where a [`Cursor`](super::cursor) knows a group of keys, the listing of it begins at the window
//! and what lies before is not listed. Keys with a simple prefix lie beside each other in one folder, so the walk jumps
//! over them as soon as it meets the first.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use aws_sdk_s3::types::Object;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{Notify, mpsc};

use super::bucket::Bucket;
use super::cursor::{Group, Windows};
use crate::source::layout;
use crate::source::{Failure, Found, Layout, LogObject, Place, Skipped, SourceOptions};

/// Listings at a time.
const LISTERS: usize = 8;
/// Pages waiting for whoever reads: the listing runs ahead by so many thousand objects.
pub(super) const PAGES_AHEAD: usize = 32;

/// A listing to make.
#[derive(Debug)]
enum Job {
    /// The objects and folders right below this prefix.
    Folder(String),
    /// Every key that begins with a prefix, behind `after`.
    Flat { prefix: String, after: Option<String> },
}

/// A walk over a prefix.
pub(super) struct Walk {
    bucket: Arc<Bucket>,
    options: SourceOptions,
    windows: Option<Windows>,
    out: mpsc::Sender<Vec<Found>>,
    jobs: Mutex<VecDeque<Job>>,
    added: Notify,
    groups: Mutex<BTreeMap<String, Group>>,
}

/// What came of a walk.
#[derive(Debug)]
pub(super) struct Walked {
    /// The groups of keys seen, with their newest dates.
    pub groups: BTreeMap<String, Group>,
    /// Whether nothing went wrong.
    pub is_whole: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Walk {
    /// A walk that sends what it finds to `out`, page by page.
    pub(super) fn new(
        bucket: Arc<Bucket>,
        options: SourceOptions,
        windows: Option<Windows>,
        out: mpsc::Sender<Vec<Found>>,
    ) -> Self {
        let (jobs, groups) = (Mutex::default(), Mutex::default());
        Self { bucket, options, windows, out, jobs, added: Notify::new(), groups }
    }

    /// Lists everything below `prefix`. Ends early when nobody takes what is found any more.
    pub(super) async fn run(self, prefix: &str) -> Walked {
        self.add(Job::Folder(prefix.to_owned()));
        let mut listings = FuturesUnordered::new();
        let mut is_whole = true;
        loop {
            while listings.len() < LISTERS {
                let Some(job) = lock(&self.jobs).pop_front() else { break };
                listings.push(self.list(job));
            }
            tokio::select! {
                done = listings.next() => match done {
                    None => break,
                    Some(Ok(())) => {}
                    Some(Err(Trouble::Failed(failure))) => {
                        is_whole = false;
                        // That nobody listens any more is noticed by the next page.
                        let _ = self.out.send(vec![Found::Unreadable(failure)]).await;
                    }
                    Some(Err(Trouble::NobodyListens)) => {
                        is_whole = false;
                        break;
                    }
                },
                () = self.added.notified() => {}
            }
        }
        drop(listings);
        let groups = std::mem::take(&mut *lock(&self.groups));
        Walked { groups, is_whole }
    }

    fn add(&self, job: Job) {
        lock(&self.jobs).push_back(job);
        self.added.notify_one();
    }

    /// One listing, page by page.
    async fn list(&self, job: Job) -> Result<(), Trouble> {
        let (prefix, by_folder, mut after) = match job {
            Job::Folder(prefix) => (prefix, true, None),
            Job::Flat { prefix, after } => (prefix, false, after),
        };
        let mut token: Option<String> = None;
        loop {
            let page = self
                .bucket
                .list(&prefix, by_folder, after.take(), token.take())
                .await
                .map_err(Trouble::Failed)?;
            for folder in page.common_prefixes.unwrap_or_default() {
                if let Some(folder) = folder.prefix {
                    self.folder(folder);
                }
            }
            let objects = page.contents.unwrap_or_default();
            let jump = objects.last().and_then(|last| self.jump(last.key.as_deref()?));
            let found: Vec<Found> = objects.into_iter().filter_map(|object| self.found(object)).collect();
            if !found.is_empty() {
                self.out.send(found).await.map_err(|_| Trouble::NobodyListens)?;
            }
            // Pages can be short: whether there are more is for the server to say.
            if !page.is_truncated.unwrap_or(false) {
                return Ok(());
            }
            match jump {
                Some(key) => after = Some(key),
                None => token = page.next_continuation_token,
            }
            if after.is_none() && token.is_none() {
                return Err(Trouble::Failed(self.bucket.no_token(&prefix)));
            }
        }
    }

    fn folder(&self, folder: String) {
        if self.options.excludes_folder(&folder) {
            return;
        }
        let window = self.windows.as_ref().and_then(|windows| windows.of_partitions(&folder));
        let job = match window {
            Some(after) => Job::Flat { prefix: folder, after: Some(after) },
            None if layout::is_month(&folder) => Job::Flat { prefix: folder, after: None },
            None => Job::Folder(folder),
        };
        self.add(job);
    }

    /// Where to go on when the keys that come next are known to be old.
    fn jump(&self, last: &str) -> Option<String> {
        let windows = self.windows.as_ref()?;
        let (before_date, layout, _) = layout::group(last)?;
        let start = match layout {
            Layout::Simple => windows.of_simple(before_date),
            _ => windows.of_partitions(before_date),
        };
        start.filter(|start| start.as_str() > last)
    }

    fn found(&self, object: Object) -> Option<Found> {
        let object = log_object(object)?;
        let group = layout::group(&object.key);
        if let Some((before_date, layout, seconds)) = group
            && let Some(group) = Group::of(layout, seconds * 1_000_000)
        {
            let mut groups = lock(&self.groups);
            match groups.get_mut(before_date) {
                Some(known) => known.add(group),
                None => drop(groups.insert(before_date.to_owned(), group)),
            }
        }
        if !self.options.wants_key(&object.key) {
            return None;
        }
        if group.is_none() && !self.options.names(&object.key) {
            return Some(Found::Skipped(Skipped {
                place: object.key,
                reason: "its key is not that of a log object",
            }));
        }
        self.options.wants_time(&object).then_some(Found::Object(object))
    }
}

/// What a listing says of an object.
pub(super) fn log_object(object: Object) -> Option<LogObject> {
    Some(LogObject {
        place: Place::Remote,
        size: object.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
        modified: object.last_modified.and_then(|at| SystemTime::try_from(at).ok()),
        etag: Some(object.e_tag.map_or_else(String::new, |etag| etag.trim_matches('"').to_owned())),
        key: object.key?,
    })
}

/// How a listing can end early.
enum Trouble {
    Failed(Failure),
    NobodyListens,
}
