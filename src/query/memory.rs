//! The memory that queries share: first come, first served, up to a limit.
//!
//! Equal shares for all that can spill sound fairer, but leave each of the many small sorts of a detection too little
//! even to begin. Operators that repartition are not refused: they hold what is on its way from one operator to the
//! next, which is little, and in DataFusion 55 one that is refused spills and can wait for ever for what it has spilled
//! (apache/datafusion issue 24883). Nor is the merge of sorted streams, which holds a batch or two of each and cannot spill:
//! the sorts behind it would take all there is and leave it nothing to end with. Nor is a sort that holds nothing yet, or
//! has next to nothing to merge its rows with: it could not spill, and what stands in its way is other sorts, which are
//! not asked to.
//!
//! What operators say they hold is an upper bound, and can be a hundred times too much: batches that are slices of one
//! array each count all of it. So nobody is refused for that sum alone while the process really holds little.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use datafusion::common::resources_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{
    GreedyMemoryPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, TrackConsumersPool,
};

/// How many of the hungriest operators an out-of-memory message names.
const NAMED_CONSUMERS: NonZeroUsize = NonZeroUsize::new(3).unwrap();

/// How the operators that are not refused begin their names.
const NOT_REFUSED: [&str; 2] = ["RepartitionExec", "SortPreservingMergeExec"];

/// How the sorts begin the names of what they hold: rows, and room to merge them.
const SORT: &str = "ExternalSorter";

/// What a sort sets aside for merging its rows, and may have again when it comes to that: DataFusion's own measure.
const MERGE_BYTES: usize = 10 << 20;

/// Whether it is for rows that are to be sorted, which can be spilled, and not for merging them.
fn is_sort(reservation: &MemoryReservation) -> bool {
    let consumer = reservation.consumer();
    consumer.can_spill() && consumer.name().starts_with(SORT)
}

/// A pool of so many bytes.
#[derive(Debug)]
pub(super) struct Pool {
    inner: TrackConsumersPool<GreedyMemoryPool>,
    limit: usize,
    /// What the sorts hold of rows that they have yet to merge.
    sorted: AtomicUsize,
    /// When memory was last given back to the system.
    given_back: Mutex<Option<Instant>>,
}

/// How long after memory was given back to the system nothing more is to be expected of it.
const PAUSE: Duration = Duration::from_millis(200);

impl Pool {
    pub(super) fn new(bytes: usize) -> Self {
        let inner = TrackConsumersPool::new(GreedyMemoryPool::new(bytes), NAMED_CONSUMERS);
        Self { inner, limit: bytes, sorted: AtomicUsize::new(0), given_back: Mutex::new(None) }
    }

    /// Keeps the sum of what the sorts hold.
    fn note(&self, reservation: &MemoryReservation, change: impl Fn(usize) -> usize) {
        if is_sort(reservation) {
            let _ =
                self.sorted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |sorted| Some(change(sorted)));
        }
    }

    /// Whether the process holds so little that the sum of what operators say does not count.
    fn is_little_held(&self) -> bool {
        // Operators mostly ask after they took: the rest is for the one that asks before.
        let little = self.limit / 4 * 3;
        let is_little = || resident_bytes().is_some_and(|bytes| bytes <= little);
        if is_little() {
            return true;
        }
        // The allocator keeps what was set free, and that counts as held.
        let given_back = &mut *self.given_back.lock().unwrap_or_else(PoisonError::into_inner);
        if given_back.is_some_and(|at| at.elapsed() < PAUSE) {
            return false;
        }
        give_back();
        *given_back = Some(Instant::now());
        is_little()
    }
}

/// What questions may take when nobody says: a quarter of the machine's memory, at least 1 GiB and at most a half.
pub fn usual_bytes() -> u64 {
    const GIB: u64 = 1 << 30;
    machine_bytes().map_or(2 * GIB, |bytes| (bytes / 4).max(GIB).min(bytes / 2))
}

/// Bytes of memory that this process may have: those of the machine, or of the container it is in; `None` where the
/// system does not say.
fn machine_bytes() -> Option<u64> {
    // SAFETY: asks for numbers.
    let (pages, page_bytes) =
        unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    let machine = u64::try_from(pages).ok()?.checked_mul(u64::try_from(page_bytes).ok()?)?;
    // Versions 2 and 1 of Linux's control groups.
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit = |file: &str| std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    limits.into_iter().filter_map(limit).chain([machine]).min()
}

/// Gives memory that was set free back to the system.
fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: may be called at any time, from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Bytes in memory that are this process's own; `None` where the system does not say.
fn resident_bytes() -> Option<usize> {
    // In pages: size, resident, shared (files), ...
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = pages.split_ascii_whitespace().skip(1).map(str::parse::<usize>);
    let (resident, shared) = (pages.next()?.ok()?, pages.next()?.ok()?);
    // SAFETY: asks for a number.
    let page_bytes = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
    Some(resident.saturating_sub(shared) * page_bytes)
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl MemoryPool for Pool {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.inner.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.inner.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.inner.grow(reservation, additional);
        self.note(reservation, |sorted| sorted + additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.inner.shrink(reservation, shrink);
        self.note(reservation, |sorted| sorted.saturating_sub(shrink));
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let name = reservation.consumer().name();
        let least = if reservation.consumer().can_spill() { 0 } else { MERGE_BYTES };
        let is_least = name.starts_with(SORT) && reservation.size() <= least;
        if is_least || NOT_REFUSED.iter().any(|operator| name.starts_with(operator)) {
            self.grow(reservation, additional);
            return Ok(());
        }
        // Merging rows takes as much again as they do, and a sort that is merging cannot give anything back.
        let with_merging = || self.inner.reserved() + self.sorted.load(Ordering::Relaxed) + 2 * additional;
        let granted = match is_sort(reservation) && with_merging() > self.limit {
            true => Err(resources_datafusion_err!("{name} has to spill what it holds")),
            false => self.inner.try_grow(reservation, additional),
        };
        if granted.is_err() && self.is_little_held() {
            self.grow(reservation, additional);
            return Ok(());
        }
        if granted.is_ok() {
            self.note(reservation, |sorted| sorted + additional);
        }
        granted
    }

    fn reserved(&self) -> usize {
        self.inner.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.inner.memory_limit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::{Engine, EngineOptions, Params};

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_said_to_be_held_is_compared_with_what_is() {
        let here = resident_bytes().expect("Linux says");
        assert!((1 << 20..1 << 36).contains(&here), "{here}");
        let ask = |limit: usize| {
            let pool: std::sync::Arc<dyn MemoryPool> = std::sync::Arc::new(Pool::new(limit));
            let reservation = MemoryConsumer::new("a sort").register(&pool);
            reservation.try_grow(100 * limit).is_ok()
        };
        // A hundred times the limit: believed where the process holds more than it may, not where it holds little.
        assert!(!ask(1 << 20));
        assert!(ask(1 << 37));
    }

    #[test]
    fn what_is_usual_fits_into_the_machine() {
        let machine = machine_bytes().expect("Unix says");
        assert!(machine > 1 << 28, "{machine}");
        assert!((machine / 4..=machine / 2).contains(&usual_bytes()), "{} of {machine}", usual_bytes());
    }

    /// Without the exception for repartitioning, one of the first few of these never returns.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn little_memory_is_no_deadlock() {
        let options =
            EngineOptions { threads: Some(2), memory_limit_bytes: Some(2 << 20), ..EngineOptions::default() };
        let engine = Engine::new(&options).unwrap();
        let sql = "SELECT g, count(DISTINCT trace) AS n \
                   FROM (SELECT v % 13 AS g, md5(CAST(v % 337 AS varchar)) AS trace \
                         FROM generate_series(1, 40000) AS s(v)) AS rows GROUP BY g";
        for _ in 0..12 {
            let run = async {
                let frame = engine.plan(sql, &Params::none()).await.unwrap();
                // That it needs more than it may use is an answer too.
                let _ = engine.collect(frame).await;
            };
            tokio::time::timeout(Duration::from_secs(120), run).await.expect("it ends");
        }
    }
}
