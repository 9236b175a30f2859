//! Random numbers that can be had again.

use std::time::{SystemTime, UNIX_EPOCH};

/// `SplitMix64`.
pub(crate) struct Random(u64);

impl Random {
    /// Seeded by `BRIDGE_TEST_SEED`, or anew; says which, so that a failure can be replayed.
    pub(crate) fn new(test: &str) -> Self {
        let seed = std::env::var("BRIDGE_TEST_SEED").ok().map_or_else(
            || {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
                u64::from(since.subsec_nanos()) ^ since.as_secs().rotate_left(20)
            },
            |seed| seed.parse().expect("BRIDGE_TEST_SEED is a number"),
        );
        eprintln!("{test}: BRIDGE_TEST_SEED={seed}");
        Self::with(seed)
    }

    /// The numbers of this seed.
    pub(crate) fn with(seed: u64) -> Self {
        Self(seed)
    }

    /// One that is derived from this one.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number of `from ..= to`.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from + 1)
    }
}
