//! The memory that queries share: first come, first served, up to a limit.
//!
//! Equal shares for all that can spill sound fairer, but leave each of the many small sorts of a detection too little
//! even to begin. Operators that repartition are not refused: they hold what is on its way from one operator to the
//! next, which is little, and in DataFusion 55 one that is refused spills and can wait for ever for what it has spilled
//! (apache/datafusion issue 24883).

use std::fmt;
use std::num::NonZeroUsize;

use datafusion::error::Result;
use datafusion::execution::memory_pool::{
    GreedyMemoryPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, TrackConsumersPool,
};

/// How many of the hungriest operators an out-of-memory message names.
const NAMED_CONSUMERS: NonZeroUsize = NonZeroUsize::new(3).unwrap();

/// How the operators that are not refused begin their names.
const NOT_REFUSED: &str = "RepartitionExec";

/// A pool of so many bytes.
#[derive(Debug)]
pub(super) struct Pool {
    inner: TrackConsumersPool<GreedyMemoryPool>,
}

impl Pool {
    pub(super) fn new(bytes: usize) -> Self {
        Self { inner: TrackConsumersPool::new(GreedyMemoryPool::new(bytes), NAMED_CONSUMERS) }
    }
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
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.inner.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        if reservation.consumer().name().starts_with(NOT_REFUSED) {
            self.inner.grow(reservation, additional);
            return Ok(());
        }
        self.inner.try_grow(reservation, additional)
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
    use std::time::Duration;

    use crate::query::{Engine, EngineOptions, Params};

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
