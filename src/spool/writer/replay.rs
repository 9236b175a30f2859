//! Appends the events of a refused webhook, except duplicates, and removes its entry from the quarantine, if it has one,
//! in the same commit.

use std::time::Instant;

use super::Writer;
use super::effect::Effect;
use super::error::CommitError;
use crate::clock;
use crate::spool::group::Group;
use crate::spool::quarantine::QuarantineId;
use crate::spool::store::rows;
use crate::spool::terms::{Appended, Seq};

impl Writer {
    /// Replays one webhook. `None`: its quarantine entry does not exist, and nothing was changed.
    pub(super) fn replay(
        &mut self,
        id: Option<QuarantineId>,
        mut group: Box<Group>,
    ) -> Result<Option<Appended>, CommitError> {
        let duplicates =
            self.dedup.sift(&mut group, || self.shared.capacity.refusal(self.shared.quarantine.overflow()));
        self.shared.capacity.release(duplicates.bytes);
        let events = group.events;
        let first_seq = self.next_seq;
        let appended = match id {
            Some(id) => self.take_out(&[id].into(), group),
            None if events == 0 => Ok(Some(first_seq)),
            None => self.append_alone(&group),
        };
        if matches!(appended, Ok(Some(_))) {
            self.dedup.committed(first_seq, &duplicates);
        } else {
            self.dedup.failed(&duplicates);
        }
        self.shared.state().dedup = self.dedup.usage();
        Ok(appended?.map(|first_seq| Appended { first_seq, events }))
    }

    fn append_alone(&mut self, group: &Group) -> Result<Option<Seq>, CommitError> {
        let started = Instant::now();
        let bytes = group.payload.len() as u64;
        let committed = self.transact(|writer, tx| {
            rows::insert_group(tx, writer.next_seq, group, clock::now_ms(), writer.bytes_through + bytes)?;
            Ok(Effect { removable: writer.removable, ..Effect::default() })
        });
        committed.inspect_err(|_| self.shared.capacity.release(bytes))?;
        let first_seq = self.next_seq;
        self.appended(group);
        self.shared.grown.notify_all();
        (self.on_commit)(started.elapsed(), group.events);
        Ok(Some(first_seq))
    }
}
