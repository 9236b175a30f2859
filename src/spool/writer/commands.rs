//! Requests of the publisher and of the quarantine commands to the writer, each with its reply.

use std::ops::Range;

use super::Writer;
use super::effect::Effect;
use super::error::CommitError;
use crate::spool::command::WriterRequest;
use crate::spool::error::SpoolError;
use crate::spool::quarantine::{self, QuarantineEntry};
use crate::spool::store::{self, rows};
use crate::spool::terms::{Advance, Identity, NextOffsets, Seq};

impl Writer {
    pub(super) fn execute(&mut self, command: WriterRequest) {
        let (reply, result) = match command {
            WriterRequest::Begin { unused: true, reply, .. } if self.next_seq > 1 => {
                let _ = reply.send(Ok(false));
                return;
            }
            WriterRequest::Begin { advance, reply, .. } => {
                let begun = self.transact(|writer, tx| {
                    rows::forget_positions(tx, &advance.topic)?;
                    writer.store(tx, Some(&advance), 0)
                });
                let _ = reply.send(begun.map(|()| true).map_err(SpoolError::from));
                return;
            }
            WriterRequest::Replay { id, group, reply } => {
                let _ = reply.send(self.replay(id, group).map_err(SpoolError::from));
                return;
            }
            WriterRequest::TakeOut { ids, group, reply } => {
                let taken = self.take_out(&ids, group);
                let _ = reply.send(taken.map_err(SpoolError::from));
                return;
            }
            WriterRequest::Quarantine { events, entry, reply } => {
                self.shared.quarantine.keep(&entry);
                (reply, self.quarantine_events(&events, &entry))
            }
            WriterRequest::Renew { identity, reply } => {
                let first_seq = identity.first_seq;
                let result = self.transact(|_, tx| {
                    rows::store_identity(tx, identity)?;
                    Ok(Effect::default())
                });
                if result.is_ok() {
                    let mut state = self.shared.state();
                    let at = state.identities.partition_point(|identity| identity.first_seq < first_seq);
                    let replaced = state.identities.get(at).is_some_and(|identity| identity.first_seq == first_seq);
                    state.identities.splice(at..at + usize::from(replaced), [identity]);
                }
                (reply, result)
            }
        };
        let _ = reply.send(result.map_err(SpoolError::from));
    }

    pub(super) fn quarantine_events(
        &mut self,
        events: &Range<Seq>,
        entry: &QuarantineEntry,
    ) -> Result<(), CommitError> {
        let name = Identity::name(&self.shared.state().identities, events.start);
        let behind = Advance { published_end: events.end, topic: "".into(), next_offsets: NextOffsets::new() };
        let mut fits = false;
        let result = self.transact(|writer, tx| {
            // The end of a corrupted row is computed. It must not include events of the next row.
            fits = events.end <= writer.next_seq && !rows::begins_within(tx, events)?;
            if !fits {
                return Ok(Effect { removable: writer.removable, ..Effect::default() });
            }
            store::quarantine::insert_quarantine(tx, entry, name)?;
            writer.store(tx, Some(&behind), 0)
        });
        let result = result.and_then(|()| {
            if fits {
                Ok(())
            } else {
                let reason = format!("other rows start between events {} and {}", events.start, events.end);
                Err(CommitError::Retry(reason.into()))
            }
        });
        if result.is_ok() {
            self.checkpoints.wrote(entry.bytes());
            let mut state = self.shared.state();
            state.progress.published_end = events.end;
            state.progress.quarantined += events.end - events.start;
            quarantine::count(&mut state.quarantine, entry);
            self.shared.published.send_replace(events.end);
        } else {
            self.shared.quarantine.release(&entry.reason, entry.bytes());
        }
        result
    }
}
