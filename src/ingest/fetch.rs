//! Objects of a bucket into the work of a commit batch: many requests in flight, bounded bytes, in no order.
//!
//! Tokio asks and waits, rayon parses. Bytes count from the moment they are asked for until they are parsed, so what is
//! in memory stays the same whichever side is slower.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::work::{BLOCK, GROUP, Work};
use crate::source::{Failure, FailureClass, Remote};

/// Bytes asked for and not yet parsed, in KiB.
const IN_FLIGHT_KIB: u32 = 128 << 10;

/// So many objects in a row that the server could not be reached for, or had no capacity for, are the end of the source.
const UNREACHABLE: usize = 3;

/// How often somebody looks whether to stop while everything waits for the server.
const LOOK: Duration = Duration::from_millis(100);

/// What came of one object, and its share of the memory.
type Got = (usize, Result<Vec<u8>, Failure>, OwnedSemaphorePermit);

/// Objects that wait to become a chunk.
#[derive(Default)]
struct Waiting {
    objects: Vec<(usize, Vec<u8>)>,
    room: Vec<OwnedSemaphorePermit>,
    bytes: u64,
}

impl<'a> Work<'a> {
    /// Asks for every object and hands on what comes. To be called on a thread of the runtime that may block.
    pub(super) fn fetch<'s>(&'s self, scope: &rayon::ScopeFifo<'s>, remote: &'s Arc<dyn Remote>) {
        Handle::current().block_on(self.fetch_all(scope, remote));
    }

    async fn fetch_all<'s>(&'s self, scope: &rayon::ScopeFifo<'s>, remote: &'s Arc<dyn Remote>) {
        let memory = Arc::new(Semaphore::new(IN_FLIGHT_KIB as usize));
        let mut gets: JoinSet<Got> = JoinSet::new();
        let mut rest = self.objects().iter().enumerate().peekable();
        let mut waiting = Waiting::default();
        let mut unreachable = 0;
        let mut look = tokio::time::interval(LOOK);
        loop {
            if self.stopped() {
                // What is on its way is given up with the set, and nothing of it is wanted any more.
                return;
            }
            while gets.len() < remote.concurrency() && !self.stopped() && !self.is_cut_off() {
                let Some((at, object)) = rest.peek().copied() else { break };
                let kib =
                    u32::try_from(object.size >> 10).unwrap_or(u32::MAX).saturating_add(1).min(IN_FLIGHT_KIB);
                let Ok(room) = Arc::clone(&memory).try_acquire_many_owned(kib) else {
                    if gets.is_empty() {
                        // All of it is with the parsers, or waits for company that does not come.
                        self.hand_on(scope, remote, &mut waiting);
                        let _ = memory.acquire_many(kib).await;
                        continue;
                    }
                    break;
                };
                rest.next();
                let (remote, object) = (Arc::clone(remote), object.clone());
                gets.spawn(async move { (at, remote.get(&object).await, room) });
            }
            let got = tokio::select! {
                got = gets.join_next() => got,
                _ = look.tick() => continue,
            };
            let Some(got) = got else { break };
            // A task that panicked has said so; its object is not taken and comes again with the next run.
            let Ok((at, result, room)) = got else {
                self.cut_off();
                continue;
            };
            match result {
                Ok(stored) => {
                    unreachable = 0;
                    waiting.bytes += stored.len() as u64;
                    waiting.objects.push((at, stored));
                    waiting.room.push(room);
                    if waiting.bytes >= BLOCK || waiting.objects.len() == GROUP {
                        self.hand_on(scope, remote, &mut waiting);
                    }
                }
                Err(failure) => {
                    let is_silent =
                        matches!(failure.class, FailureClass::Unreachable | FailureClass::Throttled);
                    unreachable += usize::from(is_silent);
                    if failure.class == FailureClass::Credentials || unreachable >= UNREACHABLE {
                        self.cut_off();
                    }
                    self.failed(at, failure);
                }
            }
        }
        self.hand_on(scope, remote, &mut waiting);
    }

    fn hand_on<'s>(
        &'s self,
        scope: &rayon::ScopeFifo<'s>,
        remote: &'s Arc<dyn Remote>,
        waiting: &mut Waiting,
    ) {
        let Waiting { objects, room, .. } = std::mem::take(waiting);
        if !objects.is_empty() {
            scope.spawn_fifo(move |_| {
                self.fetched(remote.as_ref(), objects);
                drop(room);
            });
        }
    }
}
