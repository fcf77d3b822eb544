//! The generator's random numbers: xoshiro256++, seeded through SplitMix64.
//!
//! Small and our own, so that the bytes of a seed never change with a dependency. Every piece of work takes its
//! own stream of the seed, which is what makes the output independent of the number of threads.
//! It refuses to know what the numbers are used for, and it is not fit for cryptography.

/// One stream of random numbers.
#[derive(Debug, Clone)]
pub(super) struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// The stream numbered `stream` of `seed`.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut x = mix(seed) ^ mix(stream.wrapping_add(0x5851_f42d_4c95_7f2d));
        let state = std::array::from_fn(|_| {
            x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mix(x)
        });
        Self { state }
    }

    /// The next 64 random bits.
    #[inline]
    pub(super) fn next(&mut self) -> u64 {
        let s = &mut self.state;
        let out = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        out
    }

    /// A number from 0 up to, not including, `n`; 0 when `n` is 0.
    #[inline]
    pub(super) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included; `low` when the range is empty.
    #[inline]
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// A position in a list of `len` items, which must not be empty.
    #[inline]
    pub(super) fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// One of `items`, which must not be empty.
    #[inline]
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// A number from 0 up to, not including, `n`, where small numbers are popular: the frequency of `k` falls
    /// about as 1/k, the way objects and callers are.
    #[inline]
    pub(super) fn popular(&mut self, n: u64) -> u64 {
        let bits = u64::from(u64::BITS - n.leading_zeros());
        let range = 1_u64 << self.below(bits + 1).min(63);
        self.below(range.min(n))
    }

    /// How often [`Rng::popular`] gives which of `n` numbers: from 0 on, how many have the same share, and that
    /// share of each.
    pub(super) fn popularity(n: u64) -> Vec<(u64, f64)> {
        let ranges: Vec<u64> = (0..=u64::from(u64::BITS - n.leading_zeros()))
            .map(|bits| (1_u64 << bits.min(63)).min(n))
            .filter(|range| *range > 0)
            .collect();
        let mut out = Vec::new();
        let mut from = 0;
        for &to in &ranges {
            if to > from {
                let within = ranges.iter().filter(|range| **range > from);
                let share: f64 = within.map(|range| 1.0 / *range as f64).sum();
                out.push((to - from, share / ranges.len() as f64));
                from = to;
            }
        }
        out
    }

    /// A size with about `low` to `high` bits, each order of magnitude equally likely.
    #[inline]
    pub(super) fn magnitude(&mut self, low: u8, high: u8) -> u64 {
        let base = 1_u64 << self.between(u64::from(low), u64::from(high)).min(62);
        base + self.below(base)
    }

    /// True once in `n` times on average.
    #[inline]
    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// True with the frequency of `rate`.
    #[inline]
    pub(super) fn hits(&mut self, rate: Rate) -> bool {
        rate.0 != 0 && (self.next() >> 11) < rate.0
    }

    /// A number from 0 up to, not including, 1.
    #[inline]
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A frequency between 0 (never) and 1 (always).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate(u64);

impl Rate {
    /// `rate`, taken at the nearest bound when outside of 0 to 1; not-a-number is 0.
    pub(super) fn new(rate: f64) -> Self {
        // Not-a-number passes through the clamp, and the cast takes it to 0.
        Self((rate.clamp(0.0, 1.0) * (1_u64 << 53) as f64) as u64)
    }
}

/// Scrambles `x` (SplitMix64's finaliser): neighbours come out unrelated.
#[inline]
pub(super) fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_and_repeat() {
        let take = |seed, stream| {
            let mut rng = Rng::new(seed, stream);
            std::array::from_fn::<u64, 8, _>(|_| rng.next())
        };
        assert_eq!(take(1, 7), take(1, 7));
        assert_ne!(take(1, 7), take(1, 8));
        assert_ne!(take(1, 7), take(2, 7));
    }

    #[test]
    fn ranges_are_kept() {
        let mut rng = Rng::new(3, 0);
        for _ in 0..10_000 {
            assert!(rng.below(10) < 10);
            assert!((5..=7).contains(&rng.between(5, 7)));
            assert!(rng.popular(100) < 100);
            assert!(rng.popular(1) == 0);
            assert!((256..2048).contains(&rng.magnitude(8, 10)));
            assert!((0.0..1.0).contains(&rng.unit()));
        }
    }

    #[test]
    fn popularity_is_that_of_the_draw() {
        for n in [1, 2, 9, 64] {
            let shares = Rng::popularity(n);
            assert_eq!(shares.iter().map(|s| s.0).sum::<u64>(), n);
            let total: f64 = shares.iter().map(|s| s.0 as f64 * s.1).sum();
            assert!((total - 1.0).abs() < 1e-9, "{n}: {total}");
        }
        let mut rng = Rng::new(5, 0);
        let zeros = (0..100_000).filter(|_| rng.popular(9) == 0).count() as f64 / 100_000.0;
        assert!((zeros - Rng::popularity(9)[0].1).abs() < 0.01, "{zeros}");
        assert!(Rng::popularity(0).is_empty());
    }

    #[test]
    fn rates_are_kept() {
        let mut rng = Rng::new(4, 0);
        let mut count = |rate| (0..100_000).filter(|_| rng.hits(Rate::new(rate))).count();
        assert_eq!(count(0.0), 0);
        assert_eq!(count(f64::NAN), 0);
        assert_eq!(count(1.0), 100_000);
        assert_eq!(count(7.0), 100_000);
        assert!((9_500..10_500).contains(&count(0.1)));
    }
}
