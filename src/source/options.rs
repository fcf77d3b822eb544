//! What narrows a source: globs, times, shards. And what becomes of log objects that are in the lake.

use std::num::NonZeroUsize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use twox_hash::XxHash3_128;

use super::LogObject;

const DAY: Duration = Duration::from_secs(86_400);

/// What becomes of a log object once its commit is visible.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AfterCommit {
    /// It stays.
    #[default]
    Keep,
    /// It is deleted.
    Delete,
    /// It is copied to this prefix of the same bucket, and then deleted.
    MoveTo(String),
}

/// Which log objects of a source are wanted, and how they are looked for.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// Only keys that match one of these; all when empty. A key that is named so is taken whatever it looks like.
    pub include: Vec<glob::Pattern>,
    /// No keys that match one of these.
    pub exclude: Vec<glob::Pattern>,
    /// Only what was delivered from then on, in microseconds since the epoch.
    pub since_us: Option<i64>,
    /// Only what was delivered before then.
    pub until_us: Option<i64>,
    /// Only what was delivered at least so long ago.
    pub older_than: Option<Duration>,
    /// List everything, whatever earlier runs have seen.
    pub full_scan: bool,
    /// A full scan is made when the last one is older than this.
    pub full_scan_every: Duration,
    /// How far behind the newest delivery the listing begins, where keys are in the order of delivery.
    pub lookback: Duration,
    /// How many days of partitions are listed again where keys are in the order of events: later than nine days has not
    /// been seen.
    pub event_days: u32,
    /// Only the objects of one of so many shards: `(1, 4)` to `(4, 4)`.
    pub shard: Option<(u32, u32)>,
    /// What becomes of log objects that are in the lake.
    pub after: AfterCommit,
    /// Objects asked for at a time.
    pub concurrency: Option<NonZeroUsize>,
    /// Whether a lake may be where writing to it makes more to read.
    pub loops_allowed: bool,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            include: Vec::new(),
            exclude: Vec::new(),
            since_us: None,
            until_us: None,
            older_than: None,
            full_scan: false,
            full_scan_every: 7 * DAY,
            lookback: 2 * DAY,
            event_days: 10,
            shard: None,
            after: AfterCommit::Keep,
            concurrency: None,
            loops_allowed: false,
        }
    }
}

impl SourceOptions {
    /// Whether a key is wanted as far as globs and shards go.
    pub fn wants_key(&self, key: &str) -> bool {
        (self.include.is_empty() || self.names(key))
            && !self.exclude.iter().any(|glob| glob.matches(key))
            && self.in_shard(key)
    }

    /// Whether a key is named by an `include` glob.
    pub fn names(&self, key: &str) -> bool {
        self.include.iter().any(|glob| glob.matches(key))
    }

    fn in_shard(&self, key: &str) -> bool {
        // The hash must never change: shards of one source are run by different versions.
        self.shard.is_none_or(|(shard, of)| {
            XxHash3_128::oneshot(key.as_bytes()) as u64 % u64::from(of.max(1))
                == u64::from(shard.saturating_sub(1))
        })
    }

    /// Whether an object is wanted as far as its time goes.
    pub fn wants_time(&self, object: &LogObject) -> bool {
        let (from, to) = (self.since_us, self.newest_us());
        if from.is_none() && to.is_none() {
            return true;
        }
        match object.delivered_us() {
            Some(at) => from.is_none_or(|from| at >= from) && to.is_none_or(|to| at < to),
            // What has no time cannot be outside of any.
            None => true,
        }
    }

    /// The end of the times wanted: the earlier of `until` and `older_than`.
    pub fn newest_us(&self) -> Option<i64> {
        let old_enough = self.older_than.map(|age| now_us() - age.as_micros() as i64);
        [self.until_us, old_enough].into_iter().flatten().min()
    }

    /// Whether everything below `folder` is excluded, so that it need not be listed: `folder` is covered by a glob that
    /// ends in `*` and has no other wildcard.
    pub fn excludes_folder(&self, folder: &str) -> bool {
        self.exclude.iter().any(|glob| {
            let literal = glob.as_str().trim_end_matches('*');
            literal.len() < glob.as_str().len()
                && !literal.contains(['*', '?', '['])
                && folder.starts_with(literal)
        })
    }

    /// What two runs must have in common for one to rely on what the other has listed.
    pub fn selection(&self) -> String {
        let globs =
            |globs: &[glob::Pattern]| globs.iter().map(glob::Pattern::as_str).collect::<Vec<_>>().join("\n");
        format!("+{}\n-{}", globs(&self.include), globs(&self.exclude))
    }
}

/// Microseconds since the epoch.
pub(super) fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64)
}
