//! Appends the events of a refused webhook, except duplicates, and removes its entry from the quarantine, if it has one,
//! in the same commit.

use std::sync::Arc;
use std::time::Instant;

use super::{Effect, Writer};
use crate::clock;
use crate::spool::error::SpoolError;
use crate::spool::group::Group;
use crate::spool::quarantine::QuarantineId;
use crate::spool::store::{self, rows};
use crate::spool::terms::Appended;

impl Writer {
    /// Replays one webhook. The inner `None`: its quarantine entry does not exist, and nothing was changed.
    pub(super) fn replay(
        &mut self,
        id: Option<QuarantineId>,
        mut group: Box<Group>,
    ) -> Result<Result<Option<Appended>, Arc<str>>, SpoolError> {
        let duplicates =
            self.dedup.sift(&mut group, || self.shared.capacity.refusal(self.shared.quarantine.overflow()));
        self.shared.capacity.release(duplicates.bytes);
        let events = group.events;
        let first_seq = self.next_seq;
        let appended = match id {
            Some(id) => self.take_out(&[id].into(), group)?,
            None if events == 0 => Ok(Some(first_seq)),
            None => self.append_alone(&group)?,
        };
        if matches!(appended, Ok(Some(_))) {
            self.dedup.committed(first_seq, &duplicates);
        } else {
            self.dedup.failed(&duplicates);
        }
        self.shared.state().dedup = self.dedup.usage();
        Ok(appended.map(|first| first.map(|first_seq| Appended { first_seq, events })))
    }

    fn append_alone(&mut self, group: &Group) -> Result<Result<Option<u64>, Arc<str>>, SpoolError> {
        let started = Instant::now();
        let bytes = group.payload.len() as u64;
        let committed = self.transact(|writer, tx| {
            let now = clock::now_ms();
            rows::insert_group(tx, writer.next_seq, group, now, writer.bytes_through + bytes)?;
            store::dedup::insert(tx, writer.next_seq, now, &group.ids)?;
            Ok(Effect { removable: writer.removable, ..Effect::default() })
        })?;
        if let Err(reason) = committed {
            self.shared.capacity.release(bytes);
            return Ok(Err(reason));
        }
        let first_seq = self.next_seq;
        self.appended(group);
        self.shared.grown.notify_all();
        (self.on_commit)(started.elapsed(), group.events);
        Ok(Ok(Some(first_seq)))
    }
}
