//! Webhooks that share one commit.

use super::error::AppendError;
use super::quarantine::{IdCell, QuarantineEntry};
use super::terms::{Durable, EventId};

/// The result of a group.
pub(super) type GroupResult = Result<(), AppendError>;

/// The result of a webhook.
pub(super) type Decision = Result<Durable, AppendError>;

/// One webhook of a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct GroupedWebhook {
    pub(super) worker: u32,
    /// Number of its ids in [`Group::ids`].
    pub(super) ids: u32,
    /// The spool had no space for its events: it is acknowledged only if all of them are duplicates.
    pub(super) probe: bool,
}

/// Webhooks that share one commit.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Framed events, see [`super::frame`].
    pub(super) payload: Vec<u8>,
    pub(super) events: u64,
    /// The id of each event, if deduplication is on.
    pub(super) ids: Vec<EventId>,
    pub(super) entries: Vec<GroupedWebhook>,
    pub(super) quarantine: Vec<QuarantineEntry>,
    /// Where the id of each of these entries goes.
    pub(super) quarantine_ids: Vec<IdCell>,
    pub(super) quarantine_bytes: u64,
    /// Number of webhooks of each worker, by worker index.
    pub(super) deliveries: Vec<usize>,
}

impl Group {
    pub(super) fn count(&mut self, worker: usize, ids: &[EventId], probe: bool) {
        if self.deliveries.len() <= worker {
            self.deliveries.resize(worker + 1, 0);
        }
        self.deliveries[worker] += 1;
        self.ids.extend_from_slice(ids);
        // Workers are threads, and the number of events is limited by the waiting bytes.
        let small = |number| u32::try_from(number).unwrap_or(u32::MAX);
        self.entries.push(GroupedWebhook { worker: small(worker), ids: small(ids.len()), probe });
    }

    pub(super) fn bytes(&self) -> usize {
        let quarantine = usize::try_from(self.quarantine_bytes).unwrap_or(usize::MAX);
        (self.payload.len() + size_of_val(self.ids.as_slice())).saturating_add(quarantine)
    }

    /// Number of its webhooks.
    pub(super) fn webhooks(&self) -> usize {
        self.entries.len()
    }

    /// Whether it needs no write.
    pub(super) fn is_empty(&self) -> bool {
        self.events == 0 && self.quarantine.is_empty()
    }
}
