//! Which events were accepted lately: how a delivery that the sender duplicates is recognized.
//!
//! # Why here
//!
//! Whether an event is a repeat is decided by the writer, in the order of the groups, just before
//! their commit. It is one thread, so there is no moment between asking and remembering, no lock,
//! and no second place that could disagree:
//!
//! - An id is remembered for good only by the commit that holds its event. The ids of a commit that
//!   failed are taken out again ([`Dedup::failed`]): else the sender's next attempt would be swallowed,
//!   and a recall lost.
//! - Two deliveries of one recall that wait for the same commit share its fate: the second one
//!   is answered as a repeat when it returned, and refused with the first when it failed.
//! - What is *known* lies in the file, in the same transaction as the event (`rows`), so
//!   it is known after a restart exactly where the event was durable.
//!
//! # What it costs
//!
//! Ids are compared whole, all 128 bits: a shorter print would, some day, swallow a recall. They lie in
//! a ring, oldest first, beside a hash table of their places: 16 and 11.4 bytes for each, 25 MB
//! for [`window::MAX_IDS`], taken once when the spool is opened; the system gives the pages as they are used.
//! The table is twice as large as it need be: so it never grows, and next to never tidies itself up.
//! Where the bound is met, the oldest are forgotten early. A repeat of these is published twice,
//! with one event id: nothing is lost.
//!
//! # Time
//!
//! Within the process time is the monotonic clock's, so a clock that is set changes nothing. In the
//! file it is the wall clock's; when the file is opened an age below zero counts as none. So a clock that
//! went back in between extends the window to at most one more, from the start on, and one that went
//! ahead shortens it. Ids leave in slices of a hundredth of the window: it lasts up to that much longer.

mod sift;
mod window;

use std::time::{Duration, Instant};

use crate::spool::error::AppendError;
use crate::spool::group::Group;
use crate::spool::store::dedup::{LoadBounds, Loaded};
use crate::spool::terms::{DedupUsage, Seq};

pub(in crate::spool) use sift::Duplicates;
use window::Window;

/// The window, its clock, and its rows in the file. The writer's own.
pub(in crate::spool) struct Dedup {
    window: Window,
    opened: Instant,
    /// Rows up to this one are removed.
    removed_row: Seq,
    duplicates: u64,
}

impl Dedup {
    /// An empty window of this length.
    pub(in crate::spool) fn new(window: Duration) -> Self {
        let window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        Self { window: Window::new(window_ms, window::MAX_IDS), opened: Instant::now(), removed_row: 0, duplicates: 0 }
    }

    /// What of the file is needed.
    pub(in crate::spool) fn load_bounds(&self) -> LoadBounds {
        LoadBounds { max_age_ms: self.window.length_ms(), max_ids: self.window.max_ids() }
    }

    /// Takes in what the file holds; called before anything else is.
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

    /// Whether anything is remembered at all.
    pub(in crate::spool) fn is_on(&self) -> bool {
        self.window.is_on()
    }

    /// Takes out of a group what is known, and notes the rest for the commit under way. `full` is
    /// the answer to a delivery for which there is no room.
    pub(in crate::spool) fn sift(&mut self, group: &mut Group, full: impl Fn() -> AppendError) -> Duplicates {
        self.expire();
        sift::sift(group, &mut self.window, full)
    }

    /// The commit under way returned, or there was nothing to commit.
    pub(in crate::spool) fn committed(&mut self, first_seq: Seq, duplicates: &Duplicates) {
        let now_ms = self.now_ms();
        self.window.keep(first_seq, now_ms);
        self.duplicates += duplicates.acknowledged(true);
    }

    /// The commit under way failed.
    pub(in crate::spool) fn failed(&mut self, duplicates: &Duplicates) {
        self.window.undo();
        self.duplicates += duplicates.acknowledged(false);
    }

    /// Forgets what lies behind the window.
    pub(in crate::spool) fn expire(&mut self) {
        let now_ms = self.now_ms();
        self.window.expire(now_ms);
    }

    /// When there will be something to forget.
    pub(in crate::spool) fn due(&self) -> Option<Instant> {
        let ms = self.window.next_expiry_ms()?;
        Some(self.opened + Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
    }

    /// Whether the file holds rows that are not needed any more.
    pub(in crate::spool) fn is_removable(&self) -> bool {
        self.removed_row < self.window.forgotten_row()
    }

    /// Rows of the file up to this one are not needed any more.
    pub(in crate::spool) fn forgotten_row(&self) -> Seq {
        self.window.forgotten_row()
    }

    /// Rows up to this one are gone from the file.
    pub(in crate::spool) fn removed(&mut self, through: Seq) {
        self.removed_row = through.max(self.removed_row);
    }

    /// Numbers for status and metrics.
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

    /// When the newest event was accepted that was forgotten for want of room.
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
