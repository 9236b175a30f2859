//! Timeouts that grow on a slow connection to Kafka (a quota, a slow network).
//!
//! After a transaction that takes too long, the next one is smaller, down to one record. If one record or a
//! reconciliation takes too long, the next attempt has twice the time.

use std::time::Duration;

/// The maximum number of doublings: four minutes for one transaction, below the broker's default limit
/// (`transaction.max.timeout.ms`, 15 minutes).
const MAX: u32 = 4;
/// The broker aborts a transaction that stays open for longer. The time is short, because another node that
/// reconciles waits for the transaction.
const TRANSACTION: Duration = Duration::from_secs(15);
/// The timeout of one transaction, from its first record to the response to its commit.
const PUBLISH: Duration = Duration::from_secs(12);
/// The timeout of a connection's first responses.
const CONNECT: Duration = Duration::from_secs(10);

/// The number of doublings of all timeouts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::publisher) struct Slowness(u32);

impl Slowness {
    /// Doubles the timeouts: even the smallest step took too long.
    pub(in crate::publisher) fn more(&mut self) {
        self.0 = (self.0 + 1).min(MAX);
    }

    /// Halves the timeouts again, if a transaction took less than a quarter of its timeout.
    pub(in crate::publisher) fn took(&mut self, time: Duration) {
        if self.0 > 0 && time * 4 < self.publish_timeout() {
            self.0 -= 1;
        }
    }

    /// Whether the timeouts are longer than normal.
    pub(super) fn is_slow(self) -> bool {
        self.0 > 0
    }

    /// The timeout of a connection's first responses, and of any single response.
    pub(in crate::publisher) fn connect_timeout(self) -> Duration {
        self.times(CONNECT)
    }

    /// The timeout of a transaction, from its first record to the response to its commit.
    pub(in crate::publisher) fn publish_timeout(self) -> Duration {
        self.times(PUBLISH)
    }

    /// The time after which the broker aborts a transaction.
    pub(super) fn transaction_timeout(self) -> Duration {
        self.times(TRANSACTION)
    }

    /// Returns `time`, doubled this many times.
    pub(super) fn times(self, time: Duration) -> Duration {
        time * 2_u32.pow(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_grow_to_their_limit_and_shrink_again() {
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
