//! Limits log lines about refused webhooks: a peer that can send requests must not fill the disk.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use super::Outcome;

/// Lines per outcome and second. The next line counts the suppressed ones.
const LINES_PER_SECOND: u64 = 5;

/// For each outcome: the current second and its lines.
#[derive(Debug)]
pub(super) struct Throttle {
    start: Instant,
    slots: [Slot; Outcome::ALL.len()],
}

#[derive(Debug, Default)]
struct Slot {
    second: AtomicU64,
    lines: AtomicU64,
    suppressed: AtomicU64,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { start: Instant::now(), slots: std::array::from_fn(|_| Slot::default()) }
    }
}

impl Throttle {
    /// Returns the number of suppressed lines since the last one if a line may be written now.
    pub(super) fn admit(&self, outcome: Outcome) -> Option<u64> {
        let slot = &self.slots[outcome as usize];
        let second = self.start.elapsed().as_secs() + 1;
        if slot.second.swap(second, Relaxed) != second {
            slot.lines.store(0, Relaxed);
        }
        if slot.lines.fetch_add(1, Relaxed) < LINES_PER_SECOND {
            Some(slot.suppressed.swap(0, Relaxed))
        } else {
            slot.suppressed.fetch_add(1, Relaxed);
            None
        }
    }
}
