//! Random choices that can be made again: `BRIDGE_TEST_SEED=<the printed seed>`.

use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;

/// `SplitMix64`: any seed is as good as another, so that seeds may be counted up.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Seeded by `BRIDGE_TEST_SEED`, or at random; prints the seed, which a failing test shows.
    pub fn new() -> Self {
        let given = std::env::var("BRIDGE_TEST_SEED").ok().map(|seed| seed.parse().expect("a number"));
        let seed: u64 = given.unwrap_or_else(|| RandomState::new().hash_one(0));
        eprintln!("{}: BRIDGE_TEST_SEED={seed}", std::thread::current().name().unwrap_or("a thread"));
        Self::seeded(seed)
    }

    /// The numbers of this seed.
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// One that is derived from this one.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// Any number.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number of the range.
    pub fn pick(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    /// A number of `from ..= to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        self.pick(from..to + 1)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// True once in `times`.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
