//! Replaces entries of the quarantine with events, in one commit.
//!
//! A commit can be reported as failed and still be on the disk (after a failed sync). For webhooks, the events are
//! then removed when the file is opened again: no webhook was acknowledged. Here that would lose the recalls, because
//! the entries would be gone, too. So the writer reads which state is on the disk, and accepts it.

use std::collections::BTreeSet;
use std::time::Instant;

use rusqlite::Connection;

use super::Writer;
use super::effect::Effect;
use super::error::{CommitError, Failure};
use crate::clock;
use crate::spool::group::Group;
use crate::spool::quarantine::{self, QuarantineId};
use crate::spool::reason::QuarantineReason;
use crate::spool::store::{self, rows};
use crate::spool::terms::Seq;

/// One change: the removed entries and the new events.
pub(super) struct Taken {
    /// One of the entries: either all of them are removed, or none.
    id: QuarantineId,
    /// Reason and bytes of each removed entry.
    left: Vec<(QuarantineReason, u64)>,
    group: Box<Group>,
}

impl Writer {
    /// Removes entries from the quarantine and appends events, in one commit. Returns the sequence number of the
    /// first event. `None`: one entry does not exist, and nothing was changed.
    pub(super) fn take_out(
        &mut self,
        ids: &BTreeSet<QuarantineId>,
        group: Box<Group>,
    ) -> Result<Option<Seq>, CommitError> {
        let started = Instant::now();
        let bytes = group.payload.len() as u64;
        let mut left = None;
        let committed = self.attempt(|writer, tx| {
            left = store::quarantine::take_out(tx, ids)?;
            if left.is_some() && group.events > 0 {
                rows::insert_group(tx, writer.next_seq, &group, clock::now_ms(), writer.bytes_through + bytes)?;
            }
            Ok(Effect { removable: writer.removable, ..Effect::default() })
        });
        let taken = left.zip(ids.first()).map(|(left, id)| Taken { id: *id, left, group });
        match (committed, taken) {
            (Ok(()), Some(taken)) => {
                let first_seq = self.next_seq;
                let events = taken.group.events;
                self.took_out(&taken);
                if events > 0 {
                    (self.on_commit)(started.elapsed(), events);
                }
                Ok(Some(first_seq))
            }
            (Err(Failure { error, distrusted: true }), taken) => {
                if taken.is_none() {
                    self.shared.capacity.release(bytes);
                }
                self.unsure = taken;
                Err(self.recover(error))
            }
            (committed, _) => {
                self.shared.capacity.release(bytes);
                committed.map(|()| None).map_err(|failure| failure.error)
            }
        }
    }

    /// Finds out, when the file is opened again, whether a change with unknown outcome is on the disk.
    pub(super) fn settle(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let Some(id) = self.unsure.as_ref().map(|taken| taken.id) else { return Ok(()) };
        let is_there = store::quarantine::is_there(connection, id)?;
        let Some(taken) = self.unsure.take() else { return Ok(()) };
        if is_there {
            self.shared.capacity.release(taken.group.payload.len() as u64);
        } else {
            tracing::warn!(
                event = "requeue_found_committed",
                entries = taken.left.len(),
                "commit reported as failed is on the disk; its entries left the quarantine"
            );
            self.took_out(&taken);
        }
        Ok(())
    }

    /// Records a durable change.
    fn took_out(&mut self, taken: &Taken) {
        self.appended(&taken.group);
        quarantine::discount(&mut self.shared.state().quarantine, &taken.left);
        for (reason, bytes) in &taken.left {
            self.shared.quarantine.release(reason, *bytes);
        }
        if taken.group.events > 0 {
            self.shared.grown.notify_all();
        }
    }
}

#[cfg(test)]
#[path = "take_out_tests.rs"]
mod tests;
