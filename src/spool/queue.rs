//! What waits for the next commit: filled by the HTTP workers, emptied by the writer.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc::UnboundedSender;

use super::command::Command;
use super::dedup::Duplicates;
use super::error::AppendError;
use super::group::{Decision, Group, GroupResult};
use super::quarantine::QuarantineEntry;
use super::terms::{Advance, Durable, EventId, Seq};

/// Bytes of one group before the next one is begun: a commit of this size takes a few ms.
pub(super) const GROUP_MAX_BYTES: usize = 1 << 20;
/// Bytes that may wait for the disk in memory; beyond it a delivery is refused at once.
pub(super) const WAITING_MAX_BYTES: usize = 64 << 20;

/// Tells one worker that its next `deliveries` waiting deliveries, oldest first, are decided.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) deliveries: usize,
    pub(super) result: Decision,
    /// Those of them, by their place, that ended otherwise: rarely any.
    pub(super) others: Vec<(usize, Decision)>,
}

/// The state behind the one mutex between workers, publisher and writer.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    groups: VecDeque<Group>,
    /// An emptied group, so that its buffers need not grow again.
    spare: Option<Group>,
    waiting_bytes: usize,
    workers: Vec<UnboundedSender<Decided>>,
    /// The newest watermark not yet stored; a later one replaces an earlier one.
    pub(super) advance: Option<Advance>,
    /// Requests of the publisher, which waits for each: never more than one or two.
    pub(super) commands: VecDeque<Command>,
    pub(super) stop: bool,
    closed: bool,
}

/// The queue in front of the writer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    inbox: Mutex<Inbox>,
    work: Condvar,
}

impl Queue {
    /// The lock, also after a panic elsewhere: every change under it is complete in itself.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the writer.
    pub(super) fn notify(&self) {
        self.work.notify_one();
    }

    pub(super) fn register(&self, worker: UnboundedSender<Decided>) -> usize {
        let mut inbox = self.lock();
        inbox.workers.push(worker);
        inbox.workers.len() - 1
    }

    /// Adds a delivery of framed events; `ids` are theirs, or none where no duplicate is recognized.
    pub(super) fn push_events(
        &self,
        worker: usize,
        framed: &[u8],
        events: u64,
        ids: &[EventId],
    ) -> Result<(), AppendError> {
        self.push(framed.len() + size_of_val(ids), |group| {
            group.payload.extend_from_slice(framed);
            group.events += events;
            group.count(worker, ids, false);
        })
    }

    /// Adds a delivery for which there is no room, only to ask whether all of it is known.
    pub(super) fn push_probe(&self, worker: usize, ids: &[EventId]) -> Result<(), AppendError> {
        self.push(size_of_val(ids), |group| group.count(worker, ids, true))
    }

    /// Adds a delivery for quarantine.
    pub(super) fn push_quarantine(&self, worker: usize, entry: QuarantineEntry) -> Result<(), AppendError> {
        let bytes = entry.bytes();
        self.push(usize::try_from(bytes).unwrap_or(usize::MAX), |group| {
            group.quarantine_bytes += bytes;
            group.quarantine.push(entry);
            group.count(worker, &[], false);
        })
    }

    fn push(&self, bytes: usize, add: impl FnOnce(&mut Group)) -> Result<(), AppendError> {
        let mut inbox = self.lock();
        if inbox.closed || inbox.stop {
            return Err(AppendError::Closed);
        }
        if inbox.waiting_bytes.saturating_add(bytes) > WAITING_MAX_BYTES {
            return Err(AppendError::Overloaded { bytes: inbox.waiting_bytes });
        }
        let full = inbox.groups.back().is_none_or(|group| group.bytes() >= GROUP_MAX_BYTES);
        let first = inbox.groups.is_empty();
        if full {
            let group = inbox.spare.take().unwrap_or_default();
            inbox.groups.push_back(group);
        }
        if let Some(group) = inbox.groups.back_mut() {
            add(group);
        }
        inbox.waiting_bytes += bytes;
        drop(inbox);
        // The writer takes all there is: only the first delivery has to wake it.
        if first {
            self.notify();
        }
        Ok(())
    }

    /// Waits until there is something to do, then hands out the lock: at the latest at `store_at`,
    /// where something waits to be stored, and at `forget_at`.
    pub(super) fn wait(&self, store_at: Option<Instant>, forget_at: Option<Instant>) -> MutexGuard<'_, Inbox> {
        let until = store_at.into_iter().chain(forget_at).min();
        let mut inbox = self.lock();
        loop {
            if !inbox.groups.is_empty() || !inbox.commands.is_empty() || inbox.stop {
                return inbox;
            }
            // A watermark to store wakes nobody by itself: it has no deadline until then.
            if store_at.is_none() && inbox.advance.is_some() {
                return inbox;
            }
            match until {
                None => inbox = self.work.wait(inbox).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return inbox;
                    }
                    inbox = self.work.wait_timeout(inbox, left).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    /// Tells every worker of a group how it ended: one message per worker, not per delivery. All
    /// that is durable by now has sequence numbers below `until`.
    pub(super) fn decide(&self, group: &Group, result: &GroupResult, duplicates: &Duplicates, until: Seq) {
        let decision = result.clone().map(|()| Durable { duplicate: false, until });
        let inbox = self.lock();
        for (number, (worker, &deliveries)) in inbox.workers.iter().zip(&group.deliveries).enumerate() {
            if deliveries > 0 {
                // A worker that is gone has nobody waiting.
                let others = duplicates.of(number, result.is_ok(), until);
                let _ = worker.send(Decided { deliveries, result: decision.clone(), others });
            }
        }
    }

    /// Refuses all that waits and all that comes: the writer is ending.
    pub(super) fn close(&self) {
        let mut inbox = self.lock();
        inbox.closed = true;
        inbox.commands.clear();
        let groups = std::mem::take(&mut inbox.groups);
        inbox.waiting_bytes = 0;
        drop(inbox);
        for group in &groups {
            self.decide(group, &Err(AppendError::Closed), &Duplicates::default(), 0);
        }
    }
}

impl Inbox {
    pub(super) fn take_group(&mut self) -> Option<Group> {
        let group = self.groups.pop_front()?;
        self.waiting_bytes = self.waiting_bytes.saturating_sub(group.bytes());
        Some(group)
    }

    /// Takes back a group that was decided.
    pub(super) fn recycle(&mut self, mut group: Group) {
        if group.payload.capacity() <= 2 * GROUP_MAX_BYTES {
            group.payload.clear();
            group.quarantine.clear();
            group.ids.clear();
            group.entries.clear();
            group.deliveries.fill(0);
            self.spare = Some(Group { events: 0, quarantine_bytes: 0, ..group });
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.groups.is_empty()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}
