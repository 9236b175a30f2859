//! Random choices that can be made again: `BRIDGE_TEST_SEED=<the printed seed>`.

use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;

/// xorshift64*.
pub struct Random(u64);

impl Random {
    /// Prints its seed, which shows where the test fails.
    pub fn new() -> Self {
        let given = std::env::var("BRIDGE_TEST_SEED").ok().map(|seed| seed.parse().expect("a number"));
        let seed: u64 = given.unwrap_or_else(|| RandomState::new().hash_one(0));
        eprintln!("BRIDGE_TEST_SEED={seed}");
        Self::seeded(seed)
    }

    /// One that another one has chosen.
    pub fn seeded(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// A number of the range.
    pub fn pick(&mut self, range: Range<u64>) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        range.start + (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % (range.end - range.start)
    }
}
