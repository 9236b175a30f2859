//! Deliveries that share one commit.

use super::error::AppendError;
use super::quarantine::QuarantineEntry;
use super::terms::{Durable, EventId};

/// How a group ended.
pub(super) type GroupResult = Result<(), AppendError>;

/// How a delivery ended.
pub(super) type Decision = Result<Durable, AppendError>;

/// One delivery of a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) worker: u32,
    /// Ids of its events in [`Group::ids`].
    pub(super) ids: u32,
    /// There was no room for its events: it only asks whether they are known.
    pub(super) probe: bool,
}

/// Deliveries that share one commit.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Framed events, see [`super::frame`].
    pub(super) payload: Vec<u8>,
    pub(super) events: u64,
    /// The id of each event, where duplicates are recognized.
    pub(super) ids: Vec<EventId>,
    pub(super) entries: Vec<Entry>,
    pub(super) quarantine: Vec<QuarantineEntry>,
    pub(super) quarantine_bytes: u64,
    /// Deliveries of each worker, by its number: who is to be told.
    pub(super) deliveries: Vec<usize>,
}

impl Group {
    pub(super) fn count(&mut self, worker: usize, ids: &[EventId], probe: bool) {
        if self.deliveries.len() <= worker {
            self.deliveries.resize(worker + 1, 0);
        }
        self.deliveries[worker] += 1;
        self.ids.extend_from_slice(ids);
        // Workers are threads, and events are bounded by the bytes that may wait.
        let small = |number| u32::try_from(number).unwrap_or(u32::MAX);
        self.entries.push(Entry { worker: small(worker), ids: small(ids.len()), probe });
    }

    pub(super) fn bytes(&self) -> usize {
        let quarantine = usize::try_from(self.quarantine_bytes).unwrap_or(usize::MAX);
        (self.payload.len() + size_of_val(self.ids.as_slice())).saturating_add(quarantine)
    }

    /// Whether nothing is to be written for it.
    pub(super) fn is_empty(&self) -> bool {
        self.events == 0 && self.quarantine.is_empty()
    }
}
