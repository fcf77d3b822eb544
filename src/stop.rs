//! A request to stop, and the way to hear of it. Who asks, and why, is not known here.
//!
//! Long work looks at [`Stop::is_requested`] between its steps; what waits does so beside [`Stop::requested`]. A
//! request is never taken back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// A flag that goes up once. Clones are the same flag.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    requested: AtomicBool,
    waiting: Notify,
}

impl Stop {
    /// A flag that is down.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everybody who holds the flag to stop; asking again changes nothing.
    pub fn request(&self) {
        self.0.requested.store(true, Ordering::SeqCst);
        self.0.waiting.notify_waiters();
    }

    /// Whether somebody asked.
    pub fn is_requested(&self) -> bool {
        self.0.requested.load(Ordering::SeqCst)
    }

    /// Returns once somebody has asked; at once when that was before.
    pub async fn requested(&self) {
        // A waiter counts from here on, before it is polled: no request falls between the look and the wait.
        let notified = self.0.waiting.notified();
        if !self.is_requested() {
            notified.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_hears_of_it_whenever_they_begin_to_listen() {
        let stop = Stop::new();
        assert!(!stop.is_requested());
        let early: Vec<_> = (0..4)
            .map(|_| {
                let stop = stop.clone();
                tokio::spawn(async move { stop.requested().await })
            })
            .collect();
        tokio::task::yield_now().await;
        stop.clone().request();
        stop.request();
        for waiter in early {
            waiter.await.unwrap();
        }
        stop.requested().await;
        assert!(stop.is_requested());
    }
}
