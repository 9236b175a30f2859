//! The deduplication window: recognizes events that were accepted recently.
//!
//! # Decision
//!
//! The writer decides whether an event is a duplicate, in the order of the groups, just before their commit. The
//! writer is one thread, so the decision needs no lock, and no second place can disagree:
//!
//! - The commit that holds an event also holds its id, in the row of the group. Later, in the commit that stores the
//!   published sequence, the ids of many groups move into one row of a table of their own: an acknowledgement waits for
//!   the pages of one table only. No group is removed before its ids are there ([`store::dedup`](super::store::dedup)).
//! - When a commit fails, its ids are removed from the window ([`Dedup::failed`]). Otherwise the sender's next attempt
//!   would count as a duplicate, and the recall would be lost.
//! - Two webhooks with one recall can wait for the same commit. If the commit succeeds, the second is acknowledged as
//!   a duplicate; if it fails, both are refused.
//! - The file holds the ids in the same transaction as the events. After a restart an id is known exactly when its
//!   event is durable.
//!
//! # Cost
//!
//! Ids are compared in full, all 128 bits: with a shorter hash, two different recalls would some day count as
//! duplicates. A ring holds the ids, oldest first (16 bytes each), and a hash table their places (11.4 bytes each):
//! 25 MB for [`window::MAX_IDS`], allocated once when the spool is opened. The system provides the pages when they
//! are used. The table is allocated at twice the need, so it never grows and rarely rehashes. At the limit the oldest
//! ids are forgotten early. A duplicate of a forgotten event is published twice, with one event id; nothing is lost.
//!
//! # Time
//!
//! Within the process, ages follow the monotonic clock, so a changed wall clock has no effect. In the file they
//! follow the wall clock; a negative age counts as zero when the file is opened. If the clock was set back between
//! two processes, the window lasts at most one more window length from the start on; if it was set forward, the
//! window is shorter. Ids are forgotten in slices of one hundredth of the window, so the window lasts up to that much
//! longer.

mod sift;
mod window;

use std::time::{Duration, Instant};

use crate::spool::error::AppendError;
use crate::spool::group::Group;
use crate::spool::store::dedup::{LoadBounds, Loaded, UnsavedIds};
use crate::spool::terms::{DedupUsage, EventId, Seq};

pub(in crate::spool) use sift::Duplicates;
use window::Window;

/// The ids of accepted events are saved at the latest after this time, or when there are so many.
const SAVE_DELAY: Duration = Duration::from_secs(1);
const SAVE_IDS: usize = 4096;

/// The window and its clock. The writer owns it.
pub(in crate::spool) struct Dedup {
    window: Window,
    opened: Instant,
    /// Rows up to this sequence number were removed from the file.
    removed_row: Seq,
    duplicates: u64,
    unsaved: UnsavedIds,
    /// When the first group of `unsaved` was accepted.
    unsaved_since: Option<Instant>,
}

impl Dedup {
    /// An empty window of this length.
    pub(in crate::spool) fn new(window: Duration) -> Self {
        let window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        Self {
            window: Window::new(window_ms, window::MAX_IDS),
            opened: Instant::now(),
            removed_row: 0,
            duplicates: 0,
            unsaved: UnsavedIds::default(),
            unsaved_since: None,
        }
    }

    /// The part of the file to load.
    pub(in crate::spool) fn load_bounds(&self) -> LoadBounds {
        LoadBounds { max_age_ms: self.window.length_ms(), max_ids: self.window.max_ids() }
    }

    /// Adds a loaded row. Call this before any other change.
    pub(in crate::spool) fn load(&mut self, loaded: &Loaded<'_>) {
        match *loaded {
            Loaded::Skipped { through, age_ms } => self.window.skip_through(through, age_ms.map(|age| -age)),
            Loaded::Row { first_seq, age_ms, ids } => {
                for id in ids {
                    self.window.note(*id);
                }
                self.window.keep(first_seq, -age_ms);
            }
        }
    }

    /// Whether deduplication is on.
    pub(in crate::spool) fn is_on(&self) -> bool {
        self.window.is_on()
    }

    /// Removes duplicates from a group and adds its other events to the current commit. `full` is the response to a
    /// webhook for which the spool has no space.
    pub(in crate::spool) fn sift(&mut self, group: &mut Group, full: impl Fn() -> AppendError) -> Duplicates {
        self.expire();
        sift::sift(group, &mut self.window, full)
    }

    /// The current commit succeeded, or the group was empty.
    pub(in crate::spool) fn committed(&mut self, first_seq: Seq, duplicates: &Duplicates) {
        let now_ms = self.now_ms();
        self.window.keep(first_seq, now_ms);
        self.duplicates += duplicates.acknowledged(true);
    }

    /// A group is durable, and its ids with it. They are to be saved.
    pub(in crate::spool) fn stored(&mut self, first_seq: Seq, accepted_at_ms: i64, ids: &[EventId]) {
        self.unsaved.add(first_seq, accepted_at_ms, if self.is_on() { ids } else { &[] });
        self.unsaved_since.get_or_insert_with(Instant::now);
    }

    /// The ids to save.
    pub(in crate::spool) fn unsaved(&self) -> &UnsavedIds {
        &self.unsaved
    }

    /// When the ids are to be saved. `None`: there are none.
    pub(in crate::spool) fn save_due(&self) -> Option<Instant> {
        let since = self.unsaved_since?;
        Some(if self.unsaved.len() >= SAVE_IDS { since } else { since + SAVE_DELAY })
    }

    /// The ids are saved.
    pub(in crate::spool) fn saved(&mut self) {
        self.unsaved.clear();
        self.unsaved_since = None;
    }

    /// The current commit failed.
    pub(in crate::spool) fn failed(&mut self, duplicates: &Duplicates) {
        self.window.undo();
        self.duplicates += duplicates.acknowledged(false);
    }

    /// Forgets ids older than the window.
    pub(in crate::spool) fn expire(&mut self) {
        let now_ms = self.now_ms();
        self.window.expire(now_ms);
    }

    /// When the next ids expire.
    pub(in crate::spool) fn due(&self) -> Option<Instant> {
        let ms = self.window.next_expiry_ms()?;
        Some(self.opened + Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
    }

    /// Whether the file holds rows of forgotten ids.
    pub(in crate::spool) fn is_removable(&self) -> bool {
        self.removed_row < self.window.forgotten_row()
    }

    /// The file may lose its rows up to this sequence number.
    pub(in crate::spool) fn forgotten_row(&self) -> Seq {
        self.window.forgotten_row()
    }

    /// Rows up to this sequence number were removed from the file.
    pub(in crate::spool) fn removed(&mut self, through: Seq) {
        self.removed_row = through.max(self.removed_row);
    }

    /// Values for `/status` and the metrics.
    pub(in crate::spool) fn usage(&self) -> DedupUsage {
        let window = Duration::from_millis(u64::try_from(self.window.length_ms()).unwrap_or(0));
        DedupUsage {
            window,
            covers: window,
            ids: self.window.len() as u64,
            bytes: self.window.bytes() as u64,
            duplicates: self.duplicates,
        }
    }

    /// When the newest event was accepted that was forgotten early because the window was full.
    pub(in crate::spool) fn forgotten_at(&self) -> Option<Instant> {
        let ms = self.window.gap_ms()?;
        let ago = Duration::from_millis(ms.unsigned_abs());
        if ms < 0 { self.opened.checked_sub(ago) } else { self.opened.checked_add(ago) }
    }

    fn now_ms(&self) -> i64 {
        i64::try_from(self.opened.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests;
