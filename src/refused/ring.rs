//! Entries in memory: the newest ones, within a limit of entries and of bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::entry::{RefusedEntry, RefusedId, Replayed};

/// The newest entries.
#[derive(Debug)]
pub(super) struct Ring {
    entries: VecDeque<Arc<RefusedEntry>>,
    bytes: usize,
    limit: RingLimit,
}

/// The limit of a ring, inclusive.
#[derive(Debug, Clone, Copy)]
pub(super) struct RingLimit {
    pub(super) entries: usize,
    pub(super) bytes: usize,
}

impl Ring {
    pub(super) fn new(limit: RingLimit) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, limit }
    }

    /// Adds an entry. Returns the number of entries that it pushed out.
    pub(super) fn push(&mut self, entry: Arc<RefusedEntry>) -> u64 {
        self.bytes += entry.cost();
        self.entries.push_back(entry);
        let mut pushed_out = 0;
        while self.entries.len() > self.limit.entries || self.bytes > self.limit.bytes {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.cost();
            pushed_out += 1;
        }
        pushed_out
    }

    /// Its entries, in the order of ids.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<RefusedEntry>> {
        self.entries.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The entry with this id.
    pub(super) fn get(&self, id: RefusedId) -> Option<&Arc<RefusedEntry>> {
        self.entries.get(self.place(id)?)
    }

    fn place(&self, id: RefusedId) -> Option<usize> {
        self.entries.binary_search_by_key(&id, |entry| entry.id).ok()
    }

    /// Records a replay. Returns whether the entry is here.
    pub(super) fn mark(&mut self, id: RefusedId, replayed: Replayed) -> bool {
        let Some(place) = self.place(id) else { return false };
        if let Some(entry) = self.entries.get_mut(place) {
            Arc::make_mut(entry).replayed = Some(replayed);
        }
        true
    }
}
