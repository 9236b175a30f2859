//! The journal of a running node: every refused webhook is recorded here, in memory and for the thread that writes the
//! files.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};

use super::entry::{RefusedEntry, RefusedFacts, RefusedId, Replayed, Standing};
use super::filter::RefusedFilter;
use super::keeper::{Keeper, Note};
use super::left_out::{JournalSize, LeftOut, LeftOutCounts};
use super::load::StoredJournal;
use super::shelf::Shelves;
use super::view::{RefusedSummary, RefusedView};

/// Ids are reserved in the file in blocks, so that an id which was only in memory is not used again after a restart.
const ID_BLOCK: u64 = 1000;

/// The journal of refused webhooks.
#[derive(Debug)]
pub struct RefusedJournal {
    state: Mutex<JournalState>,
    left_out: Arc<LeftOutCounts>,
    /// `None` if the thread could not be started: the journal is then in memory only.
    keeper: Option<Keeper>,
    started: Instant,
}

#[derive(Debug)]
struct JournalState {
    shelves: Shelves,
    next: RefusedId,
    /// Ids below this one are reserved in the file.
    reserved: RefusedId,
    /// The current second and its entries.
    rates: BTreeMap<(Standing, &'static str), (u64, u32)>,
}

/// Entries per second of one outcome and standing.
fn rate_max(standing: Standing) -> u32 {
    match standing {
        Standing::Unauthentic => 10,
        Standing::OutsideWindow => 20,
        Standing::Authentic => 500,
    }
}

impl RefusedJournal {
    /// Opens the journal in a spool directory whose lock this process holds. A file that cannot be read or written
    /// never prevents the start: it is logged and counted.
    pub fn open(dir: &Path) -> Self {
        let left_out = Arc::new(LeftOutCounts::default());
        let stored = StoredJournal::read(dir).unwrap_or_else(|error| {
            left_out.add(LeftOut::Unreadable, 1);
            tracing::warn!(event = "refused_journal_unreadable", %error, "cannot read the journal of refused webhooks");
            StoredJournal { next: 1, ..StoredJournal::default() }
        });
        if stored.unreadable > 0 {
            left_out.add(LeftOut::Unreadable, stored.unreadable);
            let lines = stored.unreadable;
            tracing::warn!(
                event = "refused_journal_corrupted",
                lines,
                "lines of the journal of refused webhooks are corrupted; the others are kept"
            );
        }
        let next = stored.next;
        let keeper = Keeper::start(dir, next, &left_out).inspect_err(log_start).ok();
        let mut shelves = Shelves::new();
        for entry in stored.entries {
            left_out.add(LeftOut::PushedOut, shelves.push(entry));
        }
        let state = JournalState { shelves, next, reserved: next, rates: BTreeMap::new() };
        Self { state: Mutex::new(state), left_out, keeper, started: Instant::now() }
    }

    /// Records a refused webhook. Never waits for the disk. Returns its id, or `None` if there were too many of its
    /// kind within this second.
    pub fn record(&self, facts: &RefusedFacts<'_>) -> Option<RefusedId> {
        if !self.admit(facts.standing, facts.outcome) {
            self.left_out.add(LeftOut::RateLimit, 1);
            return None;
        }
        let mut entry = RefusedEntry::new(0, facts);
        let mut state = self.state();
        let id = state.next;
        entry.id = id;
        state.next += 1;
        if state.next > state.reserved {
            state.reserved = id + ID_BLOCK;
            self.put(Note::Next(state.reserved));
        }
        let entry = Arc::new(entry);
        if entry.standing.is_authentic() {
            self.put(Note::Entry(Arc::clone(&entry)));
        }
        self.left_out.add(LeftOut::PushedOut, state.shelves.push(entry));
        Some(id)
    }

    fn admit(&self, standing: Standing, outcome: &'static str) -> bool {
        let now = self.started.elapsed().as_secs();
        let mut state = self.state();
        let (second, count) = state.rates.entry((standing, outcome)).or_default();
        if *second != now {
            (*second, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= rate_max(standing)
    }

    /// Records the replay of an entry.
    pub fn mark(&self, entry: &RefusedEntry, replayed: Replayed) {
        self.state().shelves.mark(entry.id, replayed);
        self.put(Note::Replayed { id: entry.id, standing: entry.standing, replayed });
    }

    /// The entry with this id.
    pub fn get(&self, id: RefusedId) -> Option<Arc<RefusedEntry>> {
        self.state().shelves.get(id)
    }

    /// All entries, ordered by id.
    pub fn entries(&self) -> Vec<Arc<RefusedEntry>> {
        self.state().shelves.entries()
    }

    /// The newest matching entries, newest first.
    pub fn newest(&self, filter: &RefusedFilter, limit: usize) -> Vec<RefusedView> {
        let entries = self.entries();
        let matching = entries.iter().rev().filter(|entry| filter.matches(entry));
        matching.take(limit).map(|entry| RefusedView::from(&**entry)).collect()
    }

    /// The journal in a few numbers.
    pub fn summary(&self) -> RefusedSummary {
        RefusedSummary::new(self.entries().iter().map(|entry| &**entry), self.left_out.get())
    }

    /// Its size, for the metrics.
    pub fn size(&self) -> JournalSize {
        let (entries, bytes) = self.state().shelves.size();
        JournalSize { entries, bytes, left_out: self.left_out.get() }
    }

    /// Writes waiting entries to the file and ends its thread. Waits for the disk for at most two seconds.
    pub fn stop(&self) {
        let next = self.state().next;
        if let Some(keeper) = &self.keeper {
            keeper.stop(next);
        }
    }

    fn put(&self, note: Note) {
        if let Some(keeper) = &self.keeper {
            keeper.put(note);
        }
    }

    fn state(&self) -> MutexGuard<'_, JournalState> {
        self.state.lock()
    }
}

fn log_start(error: &io::Error) {
    tracing::warn!(
        event = "refused_journal_failed", %error,
        "cannot write the journal of refused webhooks; new entries are in memory only"
    );
}
