//! Repeatable random choices: `BRIDGE_TEST_SEED=<the printed seed>`.

use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;

/// `SplitMix64`. All seeds are equally good, so consecutive seeds may be used.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Creates a generator from `BRIDGE_TEST_SEED`, or from a random seed. Prints the seed, which a failing test
    /// shows.
    pub fn new() -> Self {
        let given = std::env::var("BRIDGE_TEST_SEED").ok().map(|seed| seed.parse().expect("a number"));
        let seed: u64 = given.unwrap_or_else(|| RandomState::new().hash_one(0));
        eprintln!("{}: BRIDGE_TEST_SEED={seed}", std::thread::current().name().unwrap_or("a thread"));
        Self::seeded(seed)
    }

    /// Creates a generator from this seed.
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a generator derived from this one.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// Returns any number.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number of the range.
    pub fn pick(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    /// Returns a number of `from ..= to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        self.pick(from..to + 1)
    }

    /// Returns a number below `end`. `end` must not be 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// Returns true with the probability 1 / `times`.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
