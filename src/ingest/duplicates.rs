//! Whole-line duplicates within a commit batch.
//!
//! S3 may deliver a record twice. Identity is the whole line, never the request id, which several records share.
//! Lines are remembered by a 128-bit hash with a secret of its own, so that nobody can write a line that makes another
//! disappear.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use twox_hash::XxHash3_128;

/// Independent locks; a line's hash chooses.
const SHARDS: usize = 16;

/// Bytes of the secret: as many as the hash can use.
const SECRET: usize = 192;

/// Remembers lines.
#[derive(Debug)]
pub struct Duplicates {
    secret: [u8; SECRET],
    /// Lines that a shard remembers before the older half is forgotten.
    generation: usize,
    shards: Vec<Mutex<Shard>>,
}

#[derive(Debug, Default)]
struct Shard {
    young: Hashes,
    old: Hashes,
}

impl Duplicates {
    /// Nothing remembered yet. Of older lines, about as many as `lines` are kept beside the `lines` newest: 43 bytes
    /// for each of `lines`, where these make three quarters of a power of two. A commit batch has hardly more than two
    /// million unless it is one huge object; duplicates that are further apart are left to compaction.
    pub fn new(lines: usize) -> Self {
        // Its state is random, and each of its hashes another part of the secret.
        let random = RandomState::new();
        let mut secret = [0; SECRET];
        for (number, part) in secret.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *part = random.hash_one(number).to_le_bytes();
        }
        Self {
            secret,
            generation: lines.div_ceil(SHARDS),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Whether each of `lines` was seen before, in an earlier call or earlier in this one; all are remembered.
    pub fn repeated<'l>(&self, lines: impl Iterator<Item = &'l [u8]>) -> Vec<bool> {
        let hash = |line| {
            let hash = XxHash3_128::oneshot_with_secret(&self.secret, line);
            hash.expect("the secret is long enough").min(FREE - 1)
        };
        let hashes: Vec<u128> = lines.map(hash).collect();
        let shard_of = |hash: u128| (hash >> 64) as usize % SHARDS;
        let mut ends = [0u32; SHARDS];
        hashes.iter().for_each(|hash| ends[shard_of(*hash)] += 1);
        let mut sum = 0;
        for end in &mut ends {
            (sum, *end) = (sum + *end, sum);
        }
        // The lines of each shard, shard by shard.
        let mut order = vec![0u32; hashes.len()];
        for (line, hash) in hashes.iter().enumerate() {
            let end = &mut ends[shard_of(*hash)];
            order[*end as usize] = line as u32;
            *end += 1;
        }
        let mut repeated = vec![false; hashes.len()];
        let mut begin = 0;
        for (shard, end) in self.shards.iter().zip(ends) {
            let lines = &order[begin as usize..end as usize];
            begin = end;
            if lines.is_empty() {
                continue;
            }
            let shard = &mut *shard.lock().unwrap_or_else(PoisonError::into_inner);
            // The places are far apart in memory: asking for all at once hides the way there.
            let touch = |all, line: &u32| all | shard.young.first(hashes[*line as usize]);
            std::hint::black_box(lines.iter().fold(0, touch));
            for line in lines {
                let hash = hashes[*line as usize];
                repeated[*line as usize] = shard.old.contains(hash) || !shard.young.insert(hash);
            }
            if shard.young.used >= self.generation {
                shard.old = std::mem::take(&mut shard.young);
            }
        }
        repeated
    }
}

/// Marks a free place. Not zero: memory that is zero and was never written is mapped a second time when it is.
const FREE: u128 = u128::MAX;

/// A set of hashes, none of them [`FREE`]: open addressing, the place given by the low bits.
#[derive(Debug, Default)]
struct Hashes {
    places: Vec<u128>,
    used: usize,
}

impl Hashes {
    /// What is at the place where `hash` would best be.
    fn first(&self, hash: u128) -> u128 {
        match self.places.len() {
            0 => FREE,
            len => self.places[hash as usize & (len - 1)],
        }
    }

    /// The place of `hash`, or the free one where it belongs.
    fn place(places: &[u128], hash: u128) -> usize {
        let mask = places.len() - 1;
        let mut at = hash as usize & mask;
        while places[at] != FREE && places[at] != hash {
            at = (at + 1) & mask;
        }
        at
    }

    fn contains(&self, hash: u128) -> bool {
        !self.places.is_empty() && self.places[Self::place(&self.places, hash)] == hash
    }

    /// Whether `hash` is new; then it is in the set.
    fn insert(&mut self, hash: u128) -> bool {
        // At most three quarters full: then the way to a free place is short yet.
        if self.used * 4 >= self.places.len() * 3 {
            let mut places = vec![FREE; (self.places.len() * 2).max(64)];
            for hash in self.places.iter().filter(|hash| **hash != FREE) {
                let at = Self::place(&places, *hash);
                places[at] = *hash;
            }
            self.places = places;
        }
        let at = Self::place(&self.places, hash);
        let is_new = self.places[at] == FREE;
        if is_new {
            self.places[at] = hash;
            self.used += 1;
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_line_counts() {
        let lines = Duplicates::new(2 << 20);
        let repeated = |texts: &[&str]| lines.repeated(texts.iter().map(|text| text.as_bytes()));
        assert_eq!(repeated(&["a", "b", "a", ""]), [false, false, true, false]);
        assert_eq!(repeated(&["", "c", "b"]), [true, false, true]);
        assert_eq!(repeated(&[]), [false; 0]);
    }

    #[test]
    fn many_lines_are_remembered() {
        let lines = Duplicates::new(2 << 20);
        let texts: Vec<String> = (0..100_000).map(|number| number.to_string()).collect();
        let repeated = || lines.repeated(texts.iter().map(|text| text.as_bytes()));
        assert!(repeated().iter().all(|repeated| !repeated));
        assert!(repeated().iter().all(|repeated| *repeated));
    }
}
