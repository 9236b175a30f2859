//! The limits of the quarantine, one per share: a full share takes no space from the others.
//!
//! Anyone who has seen one signed request can send it again with any body, and so fill the shares of the four kinds
//! of webhooks. Entries of the publisher (a poison record, a corrupted row) come from the spool: their events were
//! acknowledged, and the events after them must be published. So they are never refused. Their bytes above their
//! share count against the spool's limit.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::bound::Bound;
use super::error::AppendError;
use super::quarantine::{QuarantineEntry, Share, ShareUsage, Tallies};
use super::reason::QuarantineReason;

/// Each share: its size in sixteenths of the whole, and its name in error texts.
const SHARES: [(Share, u64, &str); Share::ALL.len()] = [
    (Share::Malformed, 6, "quarantine's share for malformed webhooks"),
    (Share::Stale, 4, "quarantine's share for stale webhooks"),
    (Share::Expired, 1, "quarantine's share for expired webhooks"),
    (Share::NearMiss, 1, "quarantine's share for commands similar to a recall"),
    (Share::Refused, 4, "quarantine's share for poison records and corrupted rows"),
];
const WHOLE: u64 = 16;

#[derive(Debug)]
pub(super) struct Shares {
    max: u64,
    bounds: [Bound; Share::ALL.len()],
    /// Whether it was logged that a share is full.
    told: [AtomicBool; Share::ALL.len()],
}

impl Shares {
    pub(super) fn new(max: u64, tallies: &Tallies) -> Self {
        let bound = |(share, part, what)| {
            let of_share = tallies.iter().filter(|(reason, _)| Share::of(reason) == share);
            Bound::new(
                what,
                max / WHOLE * part + max % WHOLE * part / WHOLE,
                of_share.map(|(_, tally)| tally.bytes).sum(),
            )
        };
        Self { max, bounds: SHARES.map(bound), told: Default::default() }
    }

    /// Reserves space for a webhook if its share has enough.
    pub(super) fn reserve(&self, entry: &QuarantineEntry) -> Result<(), AppendError> {
        let share = Share::of(&entry.reason);
        self.bounds[share as usize].reserve(entry.bytes(), 0).inspect_err(|full| self.tell(share, full))
    }

    /// Reserves space for an entry of the publisher, also above its share.
    pub(super) fn keep(&self, entry: &QuarantineEntry) {
        let share = Share::of(&entry.reason);
        let bound = &self.bounds[share as usize];
        bound.add(entry.bytes());
        if bound.used() > bound.max() {
            self.tell(share, &bound.refusal(0));
        }
    }

    /// Releases space.
    pub(super) fn release(&self, reason: &QuarantineReason, bytes: u64) {
        let share = Share::of(reason);
        self.bounds[share as usize].release(bytes);
        self.told[share as usize].store(false, Relaxed);
    }

    /// Bytes of the publisher's entries above their share.
    pub(super) fn overflow(&self) -> u64 {
        let bound = &self.bounds[Share::Refused as usize];
        bound.used().saturating_sub(bound.max())
    }

    pub(super) fn used(&self) -> u64 {
        self.bounds.iter().map(Bound::used).sum()
    }

    pub(super) fn max(&self) -> u64 {
        self.max
    }

    pub(super) fn usage(&self) -> [ShareUsage; Share::ALL.len()] {
        Share::ALL.map(|share| {
            let bound = &self.bounds[share as usize];
            ShareUsage { share, bytes: bound.used(), max_bytes: bound.max() }
        })
    }

    /// Logs once, until an entry leaves the share.
    fn tell(&self, share: Share, full: &AppendError) {
        if !self.told[share as usize].swap(true, Relaxed) {
            let share = share.label();
            tracing::warn!(event = "quarantine_share_full", share, %full, "quarantine share full; requeue or drop entries");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_in_their_places_and_make_up_the_whole() {
        for (place, (share, ..)) in SHARES.iter().enumerate() {
            assert_eq!((*share as usize, Share::ALL[place]), (place, *share));
            assert!(*share == Share::Refused || Share::of(&share.label().into()) == *share);
        }
        assert_eq!(SHARES.iter().map(|(_, part, _)| part).sum::<u64>(), WHOLE);
        for reason in ["kafka_too_large", "damaged", "unreadable", "of_tomorrow"] {
            assert_eq!(Share::of(&reason.into()), Share::Refused, "{reason}");
        }
    }
}
