//! The data structure of the window. It works with any monotonic clock.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::spool::terms::{EventId, NO_ID, Seq};

/// Maximum number of ids: half the capacity of a hash table of 2^21 places.
pub(in crate::spool) const MAX_IDS: usize = 917_504;
/// Number of slices in which the window expires, by time and by number of ids.
const SLICES_OF_TIME: i64 = 100;
const SLICES_OF_IDS: usize = 256;

/// The state of an event id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::spool) enum Known {
    /// Unknown until now; added to the current commit.
    New,
    /// Part of the current commit already.
    Pending,
    /// Durable.
    Durable,
}

/// A run of accepted events.
#[derive(Debug)]
struct Slice {
    /// When the first and the last event were accepted.
    since_ms: i64,
    until_ms: i64,
    /// The row of the last event in the file.
    last_row: Seq,
    ids: usize,
}

/// The ids of recently accepted events. Times are in milliseconds.
pub(in crate::spool) struct Window {
    length_ms: i64,
    max_ids: usize,
    /// Oldest first. The ids of the current commit follow those of the slices.
    ids: VecDeque<EventId>,
    /// The number of the oldest id. Numbers wrap around.
    first: u32,
    /// Numbers of ids.
    places: HashTable<u32>,
    hasher: RandomState,
    slices: VecDeque<Slice>,
    pending: usize,
    /// When the newest event was accepted that was forgotten early.
    gap_ms: Option<i64>,
    /// Rows of the file up to this one are not needed any more.
    forgotten_row: Seq,
}

impl Window {
    /// An empty window of this length. 0: deduplication is off.
    pub(in crate::spool) fn new(length_ms: i64, max_ids: usize) -> Self {
        let max_ids = if length_ms > 0 { max_ids } else { 0 };
        Self {
            length_ms,
            max_ids,
            ids: VecDeque::with_capacity(max_ids),
            first: 0,
            places: HashTable::with_capacity(2 * max_ids),
            hasher: RandomState::new(),
            slices: VecDeque::new(),
            pending: 0,
            gap_ms: None,
            forgotten_row: 0,
        }
    }

    /// Whether deduplication is on.
    pub(in crate::spool) fn is_on(&self) -> bool {
        self.length_ms > 0
    }

    /// How long an event is remembered.
    pub(in crate::spool) fn length_ms(&self) -> i64 {
        self.length_ms
    }

    /// Maximum number of ids.
    pub(in crate::spool) fn max_ids(&self) -> usize {
        self.max_ids
    }

    /// Number of ids.
    pub(in crate::spool) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Allocated memory, in bytes.
    pub(in crate::spool) fn bytes(&self) -> usize {
        self.ids.capacity() * size_of::<EventId>()
            + self.places.allocation_size()
            + self.slices.capacity() * size_of::<Slice>()
    }

    /// When the newest event was accepted that was forgotten early because the window was full.
    pub(in crate::spool) fn gap_ms(&self) -> Option<i64> {
        self.gap_ms
    }

    /// Rows of the file up to this one are not needed any more.
    pub(in crate::spool) fn forgotten_row(&self) -> Seq {
        self.forgotten_row
    }

    /// Returns the state of an event, and adds an unknown one to the current commit.
    pub(in crate::spool) fn note(&mut self, id: EventId) -> Known {
        if self.max_ids == 0 || id == NO_ID {
            return Known::New;
        }
        if self.ids.len() == self.max_ids && self.find(id) == Known::New {
            self.gap_ms = self.slices.front().map(|slice| slice.until_ms).or(self.gap_ms);
            self.forget_slice();
            if self.ids.len() == self.max_ids {
                // All ids belong to this commit: the rest of the commit is not remembered.
                return Known::New;
            }
        }
        let (ids, first, hasher) = (&self.ids, self.first, &self.hasher);
        let at = |number: u32| &ids[number.wrapping_sub(first) as usize];
        let entry =
            self.places.entry(hash(hasher, id), |&number| *at(number) == id, |&number| hash(hasher, *at(number)));
        match entry {
            Entry::Occupied(known) => {
                let place = known.get().wrapping_sub(first) as usize;
                if place < ids.len() - self.pending { Known::Durable } else { Known::Pending }
            }
            Entry::Vacant(new) => {
                new.insert(number(first, ids.len()));
                self.ids.push_back(id);
                self.pending += 1;
                Known::New
            }
        }
    }

    /// Returns the state of an event without adding it.
    pub(in crate::spool) fn find(&self, id: EventId) -> Known {
        let at = |number: u32| number.wrapping_sub(self.first) as usize;
        match self.places.find(hash(&self.hasher, id), |&number| self.ids[at(number)] == id) {
            Some(&number) if at(number) < self.ids.len() - self.pending => Known::Durable,
            Some(_) => Known::Pending,
            None => Known::New,
        }
    }

    /// The current commit is durable; this row holds its ids.
    pub(in crate::spool) fn keep(&mut self, row: Seq, now_ms: i64) {
        let ids = std::mem::take(&mut self.pending);
        if ids == 0 {
            return;
        }
        let slice_ms = (self.length_ms / SLICES_OF_TIME).max(1);
        let slice_ids = (self.max_ids / SLICES_OF_IDS).max(1);
        match self.slices.back_mut() {
            Some(slice) if now_ms - slice.since_ms < slice_ms && slice.ids < slice_ids => {
                slice.until_ms = now_ms;
                slice.last_row = row;
                slice.ids += ids;
            }
            _ => self.slices.push_back(Slice { since_ms: now_ms, until_ms: now_ms, last_row: row, ids }),
        }
    }

    /// The current commit failed: none of its events was accepted.
    pub(in crate::spool) fn undo(&mut self) {
        for _ in 0..std::mem::take(&mut self.pending) {
            let Some(id) = self.ids.pop_back() else { break };
            self.remove_place(id, number(self.first, self.ids.len()));
        }
    }

    /// Forgets ids older than the window.
    pub(in crate::spool) fn expire(&mut self, now_ms: i64) {
        while self.next_expiry_ms().is_some_and(|at| at <= now_ms) {
            self.forget_slice();
        }
    }

    /// When the next ids expire.
    pub(in crate::spool) fn next_expiry_ms(&self) -> Option<i64> {
        Some(self.slices.front()?.until_ms + self.length_ms)
    }

    /// Rows up to this one are older than the window, or, with a time, exceed its limit.
    pub(in crate::spool) fn skip_through(&mut self, row: Seq, gap_ms: Option<i64>) {
        self.forgotten_row = row.max(self.forgotten_row);
        self.gap_ms = gap_ms.or(self.gap_ms);
    }

    fn forget_slice(&mut self) {
        let Some(slice) = self.slices.pop_front() else { return };
        for _ in 0..slice.ids {
            let Some(id) = self.ids.pop_front() else { break };
            self.remove_place(id, self.first);
            self.first = self.first.wrapping_add(1);
        }
        self.forgotten_row = slice.last_row;
    }

    fn remove_place(&mut self, id: EventId, number: u32) {
        if let Ok(place) = self.places.find_entry(hash(&self.hasher, id), |&other| other == number) {
            place.remove();
        }
    }
}

/// The hash keys are random for each process, so that a sender cannot choose ids that collide.
fn hash(hasher: &RandomState, id: EventId) -> u64 {
    hasher.hash_one(u128::from_ne_bytes(id))
}

#[expect(clippy::cast_possible_truncation, reason = "below MAX_IDS")]
fn number(first: u32, place: usize) -> u32 {
    first.wrapping_add(place as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(n: u64) -> EventId {
        u128::from(n + 1).to_be_bytes()
    }

    /// Commits these events; returns the state of each.
    fn commit(window: &mut Window, row: Seq, now_ms: i64, events: &[u64]) -> Vec<Known> {
        window.expire(now_ms);
        let known = events.iter().map(|&event| window.note(id(event))).collect();
        window.keep(row, now_ms);
        known
    }

    use Known::{Durable, New, Pending};

    #[test]
    fn an_event_is_a_duplicate_within_the_window_and_new_after_it() {
        let mut window = Window::new(1000, 100);
        assert_eq!(commit(&mut window, 1, 0, &[1, 2, 1]), [New, New, Pending]);
        assert_eq!(commit(&mut window, 3, 999, &[1, 2]), [Durable, Durable]);
        assert_eq!(commit(&mut window, 3, 1000, &[1]), [New]);
        assert_eq!((window.len(), window.gap_ms()), (1, None));
    }

    #[test]
    fn the_allocated_memory_covers_ids_and_index() {
        let bytes = Window::new(1000, 10_000).bytes();
        assert!((10_000 * (16 + 8)..10_000 * 40).contains(&bytes), "{bytes}");
    }

    #[test]
    fn a_commit_that_failed_leaves_nothing() {
        let mut window = Window::new(1000, 100);
        commit(&mut window, 1, 0, &[1]);
        assert_eq!([1, 2, 2].map(|event| window.note(id(event))), [Durable, New, Pending]);
        window.undo();
        assert_eq!(commit(&mut window, 2, 1, &[1, 2]), [Durable, New]);
    }

    #[test]
    fn at_the_limit_the_oldest_events_expire_early_and_are_reported() {
        let mut window = Window::new(1000, 4);
        for (row, event) in (0..6).enumerate() {
            commit(&mut window, row as Seq, 100 + i64::try_from(event).unwrap(), &[event]);
        }
        assert_eq!((window.len(), window.gap_ms(), window.forgotten_row()), (4, Some(101), 1));
        assert_eq!((window.find(id(1)), window.find(id(2))), (New, Durable));
        // Ids above the limit are accepted and not remembered.
        assert_eq!(commit(&mut window, 9, 200, &[10, 11, 12, 13, 14, 15]), [New; 6]);
        assert_eq!((window.len(), window.find(id(13)), window.find(id(14))), (4, Durable, New));
    }

    #[test]
    fn a_known_event_pushes_nothing_out_of_a_full_window() {
        let mut window = Window::new(1000, 2);
        commit(&mut window, 1, 0, &[1]);
        commit(&mut window, 2, 0, &[2]);
        assert_eq!(commit(&mut window, 3, 1, &[1, 2]), [Durable, Durable]);
        assert_eq!(window.gap_ms(), None);
    }

    #[test]
    fn a_window_of_nothing_knows_nothing() {
        let mut window = Window::new(0, 100);
        assert_eq!(commit(&mut window, 1, 0, &[1, 1]), [New, New]);
        assert_eq!((window.len(), window.is_on()), (0, false));
        assert!(window.bytes() < 100, "{}", window.bytes());
    }

    #[test]
    fn an_event_without_an_id_is_never_a_duplicate() {
        let mut window = Window::new(1000, 100);
        assert_eq!([window.note(NO_ID), window.note(NO_ID)], [New, New]);
        assert_eq!(window.len(), 0);
    }

    #[test]
    fn the_memory_is_taken_at_once_and_never_grows() {
        let mut window = Window::new(1_000_000, 4000);
        let before = window.bytes();
        for number in 0..20_000_u64 {
            commit(&mut window, number, i64::try_from(number).unwrap(), &[number]);
        }
        assert!((4000 - 4000 / SLICES_OF_IDS..=4000).contains(&window.len()), "{}", window.len());
        // Only the list of slices grows, up to its own limit.
        assert!(window.bytes() - before <= 1024 * size_of::<Slice>(), "{} to {}", before, window.bytes());
        let full = Window::new(1, MAX_IDS);
        assert!(full.bytes() < 26_000_000, "{}", full.bytes());
    }

    proptest! {
        #[test]
        fn behaves_as_a_map_of_ids_and_times(
            steps in prop::collection::vec((0_i64..40, prop::collection::vec(0_u64..30, 0..6), any::<bool>()), 1..80),
        ) {
            const WINDOW_MS: i64 = 100;
            // Slices of 1 ms: the window is exact. The limit is never reached.
            let mut window = Window::new(WINDOW_MS, 600);
            let mut model = std::collections::BTreeMap::<u64, i64>::new();
            let (mut now, mut row) = (0, 1);
            for (later, events, durable) in steps {
                now += later;
                window.expire(now);
                let mut group = std::collections::BTreeSet::new();
                for event in events {
                    let expected = if group.contains(&event) {
                        Pending
                    } else if model.get(&event).is_some_and(|at| now - at < WINDOW_MS) {
                        Durable
                    } else {
                        group.insert(event);
                        New
                    };
                    prop_assert_eq!(window.note(id(event)), expected);
                }
                if durable {
                    window.keep(row, now);
                    model.extend(group.into_iter().map(|event| (event, now)));
                    row += 1;
                } else {
                    window.undo();
                }
                prop_assert!(window.forgotten_row() < row);
                prop_assert_eq!(window.places.len(), window.ids.len());
            }
        }
    }
}
