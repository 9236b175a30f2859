//! The three parts of the journal in memory. Each has its own limit, so that entries which anyone can cause never push
//! out those of the vendor.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::entry::{RefusedEntry, RefusedId, Replayed, Standing};
use super::ring::{Ring, RingLimit};

/// Authentic entries, with their bodies. The files have the same limit.
pub(super) const AUTHENTIC: RingLimit = RingLimit { entries: 20_000, bytes: 16 << 20 };
/// Entries whose `Sign` can be a captured one.
pub(super) const OUTSIDE_WINDOW: RingLimit = RingLimit { entries: 5_000, bytes: 4 << 20 };
/// Entries of unauthenticated peers, for each outcome: a flood of one kind does not push out the others.
const UNAUTHENTIC: RingLimit = RingLimit { entries: 500, bytes: 512 << 10 };

/// All entries in memory.
#[derive(Debug)]
pub(super) struct Shelves {
    authentic: Ring,
    outside_window: Ring,
    unauthentic: BTreeMap<Cow<'static, str>, Ring>,
}

impl Shelves {
    pub(super) fn new() -> Self {
        Self {
            authentic: Ring::new(AUTHENTIC),
            outside_window: Ring::new(OUTSIDE_WINDOW),
            unauthentic: BTreeMap::new(),
        }
    }

    /// Adds an entry. Returns the number of entries that it pushed out.
    pub(super) fn push(&mut self, entry: Arc<RefusedEntry>) -> u64 {
        match entry.standing {
            Standing::Authentic => self.authentic.push(entry),
            Standing::OutsideWindow => self.outside_window.push(entry),
            Standing::Unauthentic => {
                let ring = self.unauthentic.entry(entry.outcome.clone()).or_insert_with(|| Ring::new(UNAUTHENTIC));
                ring.push(entry)
            }
        }
    }

    /// Records a replay.
    pub(super) fn mark(&mut self, id: RefusedId, replayed: Replayed) {
        let _ = self.authentic.mark(id, replayed) || self.outside_window.mark(id, replayed);
    }

    /// The entry with this id.
    pub(super) fn get(&self, id: RefusedId) -> Option<Arc<RefusedEntry>> {
        self.rings().find_map(|ring| ring.get(id)).map(Arc::clone)
    }

    /// All entries, ordered by id.
    pub(super) fn entries(&self) -> Vec<Arc<RefusedEntry>> {
        let mut all: Vec<_> = self.rings().flat_map(Ring::iter).map(Arc::clone).collect();
        all.sort_unstable_by_key(|entry| entry.id);
        all
    }

    /// Number of entries, and their bytes.
    pub(super) fn size(&self) -> (u64, u64) {
        let entries: usize = self.rings().map(Ring::len).sum();
        let bytes: usize = self.rings().map(Ring::bytes).sum();
        (entries as u64, bytes as u64)
    }

    fn rings(&self) -> impl Iterator<Item = &Ring> {
        [&self.authentic, &self.outside_window].into_iter().chain(self.unauthentic.values())
    }
}
