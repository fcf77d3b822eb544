//! What memory an ingest takes, and how it keeps to a limit: fewer lines are remembered, row groups are smaller, and in
//! the end fewer threads work.
//!
//! The figures were fitted to the largest resident sets of ingests of 1 GB with 1 to 8 threads. Beside them, each
//! thread that has a large compressed log object holds that, up to 32 MB.

const MIB: u64 = 1 << 20;

/// The default limit.
pub const DEFAULT_MEMORY: u64 = 600 * MIB;

/// The least limit that one thread can keep to.
pub const LEAST_MEMORY: u64 = 256 * MIB;

/// The program, its libraries, and what the allocator keeps: most of it after some GB.
const BASE: u64 = 200 * MIB;

/// Lines remembered to find duplicates. So many fill three quarters of a power of two of places; as many older ones are
/// remembered beside them.
const LINES: u64 = 3 << 19;
const LINE_BYTES: u64 = 43;

/// What a thread holds beside the row group that it encodes.
const THREAD: u64 = 16 * MIB;

/// Text that makes a row group.
const GROUP: u64 = 32 * MIB;
const LEAST_GROUP: u64 = 4 * MIB;

/// How an ingest divides its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Threads that work; never more than were asked for.
    pub threads: usize,
    /// Bytes of text that make a row group.
    pub group_bytes: u64,
    /// Lines that are remembered.
    pub lines: usize,
}

impl Plan {
    /// The plan for `limit` bytes and at most `threads` threads. Below [`LEAST_MEMORY`] it is as for that.
    pub fn new(limit: u64, threads: usize) -> Plan {
        let limit = limit.max(LEAST_MEMORY);
        let lines = LINES.min(limit / 4 / LINE_BYTES);
        let rest = limit.saturating_sub(BASE + lines * LINE_BYTES);
        let group_bytes = |threads: u64| {
            // Each thread holds a row group and what it becomes; what waits in columns is a good one more.
            rest.saturating_sub(THREAD * threads) * 20 / (27 + 40 * threads)
        };
        let most = threads.max(1) as u64;
        let threads = (1..=most).rev().find(|n| group_bytes(*n) >= LEAST_GROUP).unwrap_or(1);
        Plan {
            threads: threads as usize,
            group_bytes: group_bytes(threads).clamp(LEAST_GROUP, GROUP),
            lines: lines as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_threads_have_all_they_can_use_by_default() {
        let plan = Plan::new(DEFAULT_MEMORY, 2);
        assert_eq!(plan, Plan { threads: 2, group_bytes: GROUP, lines: LINES as usize });
    }

    #[test]
    fn less_memory_never_means_more_of_anything() {
        for threads in [1, 2, 3, 8, 64] {
            let plans: Vec<Plan> =
                (0..40).map(|step| Plan::new(LEAST_MEMORY / 2 + step * 64 * MIB, threads)).collect();
            for pair in plans.windows(2) {
                assert!(pair[0].threads <= pair[1].threads && pair[0].lines <= pair[1].lines, "{pair:?}");
            }
            for plan in plans {
                assert!((1..=threads).contains(&plan.threads), "{plan:?}");
                assert!((LEAST_GROUP..=GROUP).contains(&plan.group_bytes), "{plan:?}");
            }
        }
    }
}
