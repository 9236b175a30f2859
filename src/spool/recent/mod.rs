//! Which events were accepted lately: how a delivery that the sender repeats is recognized.
//!
//! # Why here
//!
//! Whether an event is a repeat is decided by the writer, in the order of the groups, just before
//! their commit. It is one thread, so there is no moment between asking and remembering, no lock,
//! and no second place that could disagree:
//!
//! - An id is remembered for good only by the commit that holds its event. The ids of a commit that
//!   failed are taken out again ([`Recent::failed`]): else the sender's next attempt would be swallowed,
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

mod rows;
mod sift;
mod window;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Transaction};

use super::queue::Group;
use super::{AppendError, RecentUsage, Seq};

pub(super) use rows::TABLE;
pub(super) use sift::Repeats;
pub use window::EventId;
pub(super) use window::NO_ID;
use window::Window;

/// The window, its clock, and its rows in the file. The writer's own.
pub(super) struct Recent {
    window: Window,
    opened: Instant,
    /// Rows up to this one are removed.
    removed_row: Seq,
    repeats: u64,
}

impl Recent {
    /// Reads from the file what was accepted within the window. Rows from `next_seq` on belong to no
    /// event.
    pub(super) fn open(connection: &Connection, window: Duration, next_seq: Seq) -> rusqlite::Result<Self> {
        let window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        let mut recent = Self {
            window: Window::new(window_ms, window::MAX_IDS),
            opened: Instant::now(),
            removed_row: 0,
            repeats: 0,
        };
        connection.execute("DELETE FROM recent WHERE first_seq >= ?1", [next_seq])?;
        rows::load(connection, &mut recent.window, unix_ms(), 0)?;
        Ok(recent)
    }

    /// Whether anything is remembered at all.
    pub(super) fn is_on(&self) -> bool {
        self.window.is_on()
    }

    /// Takes out of a group what is known, and notes the rest for the commit under way. `full` is
    /// the answer to a delivery for which there is no room.
    pub(super) fn sift(&mut self, group: &mut Group, full: impl Fn() -> AppendError) -> Repeats {
        self.expire();
        sift::sift(group, &mut self.window, full)
    }

    /// Adds what a group brings to its transaction.
    pub(super) fn insert(tx: &Transaction<'_>, first_seq: Seq, at_ms: i64, group: &Group) -> rusqlite::Result<()> {
        rows::insert(tx, first_seq, at_ms, &group.ids)
    }

    /// The commit under way returned, or there was nothing to commit.
    pub(super) fn committed(&mut self, first_seq: Seq, repeats: &Repeats) {
        let now_ms = self.now_ms();
        self.window.keep(first_seq, now_ms);
        self.repeats += repeats.acknowledged(true);
    }

    /// The commit under way failed.
    pub(super) fn failed(&mut self, repeats: &Repeats) {
        self.window.undo();
        self.repeats += repeats.acknowledged(false);
    }

    /// Forgets what lies behind the window.
    pub(super) fn expire(&mut self) {
        let now_ms = self.now_ms();
        self.window.expire(now_ms);
    }

    /// When there will be something to forget.
    pub(super) fn due(&self) -> Option<Instant> {
        let ms = self.window.next_expiry_ms()?;
        Some(self.opened + Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
    }

    /// Whether the file holds rows that are not needed any more.
    pub(super) fn is_removable(&self) -> bool {
        self.removed_row < self.window.forgotten_row()
    }

    /// Removes such rows as part of a transaction, within a bound. Returns what to tell
    /// [`removed`](Self::removed) when it is durable.
    pub(super) fn remove(&self, tx: &Transaction<'_>) -> rusqlite::Result<Option<Seq>> {
        let through = self.window.forgotten_row();
        let left = self.is_removable() && rows::remove(tx, through)?;
        Ok((!left).then_some(through))
    }

    /// Rows up to this one are gone from the file.
    pub(super) fn removed(&mut self, through: Seq) {
        self.removed_row = through.max(self.removed_row);
    }

    /// Numbers for status and metrics.
    pub(super) fn usage(&self) -> RecentUsage {
        let window = Duration::from_millis(u64::try_from(self.window.length_ms()).unwrap_or(0));
        RecentUsage {
            window,
            covers: window,
            ids: self.window.len() as u64,
            bytes: self.window.bytes() as u64,
            repeats: self.repeats,
        }
    }

    /// When the newest event was accepted that was forgotten for want of room.
    pub(super) fn forgotten_at(&self) -> Option<Instant> {
        let ms = self.window.gap_ms()?;
        let ago = Duration::from_millis(ms.unsigned_abs());
        if ms < 0 { self.opened.checked_sub(ago) } else { self.opened.checked_add(ago) }
    }

    fn now_ms(&self) -> i64 {
        i64::try_from(self.opened.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
