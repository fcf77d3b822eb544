//! How many requests are in flight: fewer as soon as the server asks for it, more again as it goes well.
//!
//! A 503 is an answer to the whole source, not to one request: the number that may be in flight is halved, for all, and
//! grows back one by one. Between two halvings there is time for the first to show.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The least time between two halvings.
const SETTLE: Duration = Duration::from_millis(500);

/// A number of places that shrinks and grows.
#[derive(Debug)]
pub(super) struct Throttle {
    state: Mutex<State>,
    most: usize,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    limit: usize,
    taken: usize,
    /// Requests that went well since the limit last changed.
    good: usize,
    halved_at: Option<Instant>,
}

/// A place; dropping it frees it.
#[derive(Debug)]
pub(super) struct Ticket {
    throttle: Arc<Throttle>,
}

impl Throttle {
    /// At most `most` places, which is also what it begins with.
    pub(super) fn new(most: usize) -> Arc<Self> {
        let most = most.max(1);
        let state = State { limit: most, taken: 0, good: 0, halved_at: None };
        Arc::new(Self { state: Mutex::new(state), most, freed: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place.
    pub(super) async fn enter(self: &Arc<Self>) -> Ticket {
        loop {
            let freed = self.freed.notified();
            {
                let mut state = self.state();
                if state.taken < state.limit {
                    state.taken += 1;
                    return Ticket { throttle: Arc::clone(self) };
                }
            }
            freed.await;
        }
    }

    /// The server asked for fewer requests.
    pub(super) fn slow_down(&self) {
        let mut state = self.state();
        state.good = 0;
        if state.halved_at.is_none_or(|at| at.elapsed() >= SETTLE) {
            state.limit = (state.limit / 2).max(1);
            state.halved_at = Some(Instant::now());
        }
    }

    /// A request went well: after as many as may be in flight, one more may.
    pub(super) fn went_well(&self) {
        let mut state = self.state();
        state.good += 1;
        if state.limit < self.most && state.good >= state.limit {
            state.limit += 1;
            state.good = 0;
            self.freed.notify_one();
        }
    }

    #[cfg(test)]
    fn limit(&self) -> usize {
        self.state().limit
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.throttle.state().taken -= 1;
        self.throttle.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_halves_once_and_grows_back() {
        let throttle = Throttle::new(8);
        throttle.slow_down();
        throttle.slow_down();
        assert_eq!(throttle.limit(), 4);
        for _ in 0..4 + 5 + 6 + 7 {
            throttle.went_well();
        }
        assert_eq!(throttle.limit(), 8);
        (0..100).for_each(|_| throttle.went_well());
        assert_eq!(throttle.limit(), 8);
    }

    #[tokio::test]
    async fn nobody_enters_beyond_the_limit() {
        let throttle = Throttle::new(2);
        let first = throttle.enter().await;
        let _second = throttle.enter().await;
        let third = throttle.enter();
        tokio::pin!(third);
        assert!(futures::poll!(&mut third).is_pending());
        drop(first);
        third.await;
    }
}
