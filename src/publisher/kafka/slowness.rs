//! Time-outs that follow the size of a record where the way to Kafka is slow: a quota, a thin line.
//!
//! A transaction that takes too long is made smaller, down to one record. Where one record takes too long,
//! or reading back does, the next attempt has twice the time.

use std::time::Duration;

/// Doublings at most: four minutes for one transaction, below the broker's default for the longest one
/// (`transaction.max.timeout.ms`, 15 minutes).
const MAX: u32 = 4;
/// The broker aborts a transaction that stays open for longer. Short, because another node that
/// reads back waits for it.
const TRANSACTION: Duration = Duration::from_secs(15);
/// How long one transaction may take from its first record to the answer to its commit.
const PUBLISH: Duration = Duration::from_secs(12);
const CONNECT: Duration = Duration::from_secs(10);

/// How slow the way to Kafka was found to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::publisher) struct Slowness(u32);

impl Slowness {
    /// Even the least took too long.
    pub(in crate::publisher) fn more(&mut self) {
        self.0 = (self.0 + 1).min(MAX);
    }

    /// A transaction took so long: the next producer has less time again, where that is plenty.
    pub(in crate::publisher) fn took(&mut self, time: Duration) {
        if self.0 > 0 && time * 4 < self.publish_timeout() {
            self.0 -= 1;
        }
    }

    /// Whether it is slow at all.
    pub(super) fn is_slow(self) -> bool {
        self.0 > 0
    }

    /// For the first answers on a connection, and for any single one.
    pub(in crate::publisher) fn connect_timeout(self) -> Duration {
        self.times(CONNECT)
    }

    /// For a transaction, from its first record to the answer to its commit.
    pub(in crate::publisher) fn publish_timeout(self) -> Duration {
        self.times(PUBLISH)
    }

    /// After which the broker aborts a transaction.
    pub(super) fn transaction_timeout(self) -> Duration {
        self.times(TRANSACTION)
    }

    /// `time`, doubled as often.
    pub(super) fn times(self, time: Duration) -> Duration {
        time * 2_u32.pow(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_outs_grow_to_a_bound_and_shrink_again() {
        let mut slowness = Slowness::default();
        (0..9).for_each(|_| slowness.more());
        assert_eq!(slowness.publish_timeout(), Duration::from_secs(192));
        assert!(slowness.transaction_timeout() < Duration::from_secs(15 * 60));
        slowness.took(Duration::from_secs(100));
        assert_eq!(slowness, Slowness(MAX));
        (0..9).for_each(|_| slowness.took(Duration::from_secs(1)));
        assert!(!slowness.is_slow());
    }
}
