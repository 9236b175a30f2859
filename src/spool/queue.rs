//! The queue of waiting groups: filled by the HTTP workers, emptied by the writer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::mpsc::UnboundedSender;

use super::command::WriterRequest;
use super::dedup::Duplicates;
use super::error::AppendError;
use super::group::{Decision, Group, GroupResult};
use super::quarantine::{IdCell, QuarantineEntry};
use super::terms::{Advance, Durable, EventId, Seq};

/// Maximum bytes of a group before a new one starts. A commit of this size takes a few milliseconds.
pub(super) const GROUP_MAX_BYTES: usize = 1 << 20;
/// Maximum bytes that wait for the disk in memory. Above it a webhook is refused at once.
pub(super) const WAITING_MAX_BYTES: usize = 64 << 20;

/// The result of the next `deliveries` waiting webhooks of one worker, oldest first.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) deliveries: usize,
    pub(super) result: Decision,
    /// Webhooks with another result, by index; rarely any.
    pub(super) others: Vec<(usize, Decision)>,
}

/// For how long the writer gathers webhooks before a commit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gather {
    /// Until this many webhooks wait,
    pub(super) webhooks: usize,
    /// or no further one comes for this time,
    pub(super) gap: Duration,
    /// at the latest until then.
    pub(super) until: Instant,
}

/// The state behind the mutex between workers, publisher and writer.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    groups: VecDeque<Group>,
    /// The writer gathers: it is to be woken when this many webhooks wait.
    wake_at: Option<usize>,
    /// An empty group whose buffers are used again.
    spare: Option<Group>,
    waiting_bytes: usize,
    workers: Vec<UnboundedSender<Decided>>,
    /// The newest published sequence that is not yet stored; a later one replaces an earlier one.
    pub(super) advance: Option<Advance>,
    /// Requests of publisher and operator. Each requester waits, so there are one or two at most.
    pub(super) commands: VecDeque<WriterRequest>,
    pub(super) stop: bool,
    closed: bool,
}

/// The queue in front of the writer.
#[derive(Debug, Default)]
pub(super) struct CommitQueue {
    inbox: Mutex<Inbox>,
    work: Condvar,
}

impl CommitQueue {
    /// The lock. A panic of another thread does not block it: every change under it is complete.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock()
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

    /// Adds a webhook with encoded events and their ids. The ids are empty if deduplication is off.
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

    /// Adds a webhook for which the spool has no space. It is acknowledged only if all its events are duplicates.
    pub(super) fn push_probe(&self, worker: usize, ids: &[EventId]) -> Result<(), AppendError> {
        self.push(size_of_val(ids), |group| group.count(worker, ids, true))
    }

    /// Adds a webhook for the quarantine.
    pub(super) fn push_quarantine(&self, worker: usize, entry: QuarantineEntry, id: IdCell) -> Result<(), AppendError> {
        let bytes = entry.bytes();
        self.push(usize::try_from(bytes).unwrap_or(usize::MAX), |group| {
            group.quarantine_bytes += bytes;
            group.quarantine.push(entry);
            group.quarantine_ids.push(id);
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
        // The writer takes all waiting groups: only the first webhook has to wake it, or the last one that it gathers.
        let wakes = first || inbox.wake_at.is_some_and(|expected| inbox.webhooks() == expected);
        drop(inbox);
        if wakes {
            self.notify();
        }
        Ok(())
    }

    /// Waits for work and returns the lock: at the latest at `store_at` (something waits to be stored) and at
    /// `forget_at`.
    pub(super) fn wait(&self, store_at: Option<Instant>, forget_at: Option<Instant>) -> MutexGuard<'_, Inbox> {
        let until = store_at.into_iter().chain(forget_at).min();
        let mut inbox = self.lock();
        loop {
            if !inbox.groups.is_empty() || !inbox.commands.is_empty() || inbox.stop {
                return inbox;
            }
            // Without a deadline, a published sequence to store is work.
            if store_at.is_none() && inbox.advance.is_some() {
                return inbox;
            }
            match until {
                None => self.work.wait(&mut inbox),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return inbox;
                    }
                    self.work.wait_for(&mut inbox, left);
                }
            }
        }
    }

    /// Waits while webhooks are gathered for one commit. Ends early for a request or a stop.
    pub(super) fn gather<'i>(&'i self, mut inbox: MutexGuard<'i, Inbox>, gather: Gather) -> MutexGuard<'i, Inbox> {
        while inbox.webhooks() < gather.webhooks && inbox.commands.is_empty() && !inbox.stop && !inbox.groups.is_empty()
        {
            let left = gather.until.saturating_duration_since(Instant::now());
            let before = inbox.webhooks();
            inbox.wake_at = Some(gather.webhooks);
            if !left.is_zero() {
                self.work.wait_for(&mut inbox, left.min(gather.gap));
            }
            inbox.wake_at = None;
            if inbox.webhooks() == before {
                break;
            }
        }
        inbox
    }

    /// Sends the result of a group to its workers: one message per worker, not per webhook. All durable events have
    /// sequence numbers below `until`.
    pub(super) fn decide(&self, group: &Group, result: &GroupResult, duplicates: &Duplicates, until: Seq) {
        let decision = result.clone().map(|()| Durable { duplicate: false, until });
        let inbox = self.lock();
        for (number, (worker, &deliveries)) in inbox.workers.iter().zip(&group.deliveries).enumerate() {
            if deliveries > 0 {
                // A worker that has exited has no waiting requests.
                let others = duplicates.of(number, result.is_ok(), until);
                let _ = worker.send(Decided { deliveries, result: decision.clone(), others });
            }
        }
    }

    /// Refuses waiting and new webhooks: the writer is exiting.
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

    /// Stores a finished group so that its buffers are used again.
    pub(super) fn recycle(&mut self, mut group: Group) {
        if group.payload.capacity() <= 2 * GROUP_MAX_BYTES {
            group.payload.clear();
            group.quarantine.clear();
            group.quarantine_ids.clear();
            group.ids.clear();
            group.entries.clear();
            group.deliveries.fill(0);
            self.spare = Some(Group { events: 0, quarantine_bytes: 0, ..group });
        }
    }

    /// The webhooks that wait.
    pub(super) fn webhooks(&self) -> usize {
        self.groups.iter().map(Group::webhooks).sum()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// A queue in which one webhook waits. The receiver keeps the worker's channel open.
    fn queue() -> (CommitQueue, tokio::sync::mpsc::UnboundedReceiver<Decided>) {
        let (decided, results) = tokio::sync::mpsc::unbounded_channel();
        let queue = CommitQueue::default();
        queue.register(decided);
        queue.push_events(0, b"event", 1, &[]).unwrap();
        (queue, results)
    }

    fn gather(queue: &CommitQueue, gap: Duration, until: Instant) -> usize {
        queue.gather(queue.lock(), Gather { webhooks: 4, gap, until }).webhooks()
    }

    #[test]
    fn gathering_ends_when_the_expected_webhooks_wait() {
        let (queue, _results) = queue();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..3).for_each(|_| queue.push_events(0, b"event", 1, &[]).unwrap()));
            assert_eq!(gather(&queue, LONG, Instant::now() + LONG), 4);
        });
    }

    #[test]
    fn gathering_ends_when_no_further_webhook_comes() {
        let (queue, _results) = queue();
        assert_eq!(gather(&queue, Duration::from_millis(1), Instant::now() + LONG), 1);
    }

    #[test]
    fn gathering_ends_at_its_latest_time() {
        let (queue, _results) = queue();
        assert_eq!(gather(&queue, LONG, Instant::now()), 1);
    }

    #[test]
    fn gathering_ends_for_a_stop() {
        let (queue, _results) = queue();
        queue.lock().stop = true;
        assert_eq!(gather(&queue, LONG, Instant::now() + LONG), 1);
    }
}
