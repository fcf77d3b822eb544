//! Whole-line duplicates within a commit batch.
//!
//! S3 may deliver a record twice. Identity is the whole line, never the request id, which several records share.
//! Lines are remembered by a 128-bit hash with a secret seed, so that nobody can write a line that makes another
//! disappear.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Mutex;

use hashbrown::HashSet;
use twox_hash::XxHash3_128;

/// Independent locks; a line's hash chooses.
const SHARDS: usize = 64;

/// Lines remembered before the older half is forgotten: about 110 MB. A commit batch is smaller than that unless
/// it is one huge object, whose duplicates further apart than this are left to compaction.
const GENERATION: usize = (2 << 20) / SHARDS;

/// Remembers lines.
#[derive(Debug)]
pub struct Duplicates {
    seed: u64,
    shards: Vec<Mutex<Shard>>,
}

#[derive(Debug, Default)]
struct Shard {
    young: HashSet<u128, Identity>,
    old: HashSet<u128, Identity>,
}

impl Duplicates {
    /// Nothing remembered yet.
    pub fn new() -> Self {
        let seed = RandomState::new().hash_one(0u8);
        Self { seed, shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Whether `line` was seen before; it is remembered.
    #[inline]
    pub fn is_repeated(&self, line: &[u8]) -> bool {
        let hash = XxHash3_128::oneshot_with_seed(self.seed, line);
        let shard = &self.shards[(hash >> 64) as usize % SHARDS];
        let mut shard = shard.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if shard.old.contains(&hash) || !shard.young.insert(hash) {
            return true;
        }
        if shard.young.len() >= GENERATION {
            shard.old = std::mem::take(&mut shard.young);
        }
        false
    }
}

/// The value is a hash already.
#[derive(Debug, Clone, Copy, Default)]
struct Identity(u64);

impl BuildHasher for Identity {
    type Hasher = Identity;

    fn build_hasher(&self) -> Identity {
        Identity(0)
    }
}

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_line_counts() {
        let lines = Duplicates::new();
        assert!(!lines.is_repeated(b"a"));
        assert!(!lines.is_repeated(b"b"));
        assert!(lines.is_repeated(b"a"));
        assert!(!lines.is_repeated(b""));
    }
}
