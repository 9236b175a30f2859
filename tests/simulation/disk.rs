//! A spool: the content of the disk, and the state that only the process has.

use std::collections::BTreeMap;

use recall_bridge::publisher::compare::Held;
use recall_bridge::spool::{Identity, NextOffsets, Seq};
use uuid::Uuid;

use crate::kafka::Id;

#[derive(Debug, Clone, Copy)]
pub struct Event {
    pub id: Id,
    pub key: u8,
}

/// The events from `first` to `until` (exclusive), written by one commit.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub first: Seq,
    pub until: Seq,
    pub damaged: bool,
}

/// The content that survives a crash, and that a copy of the directory contains.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Every accepted event from sequence number 1, also if its row is removed.
    pub events: Vec<Event>,
    pub rows: Vec<Row>,
    pub published_end: Seq,
    pub next_offsets: NextOffsets,
    /// The topic of each next offset, as an index among the topics of this name. The bridge cannot know it.
    pub origins: BTreeMap<i32, usize>,
    /// Every identity that the spool ever had, also those that a real spool forgets.
    pub identities: Vec<Identity>,
}

/// A published sequence that is not stored yet, with its next offsets.
#[derive(Debug, Clone)]
pub struct Advance {
    pub published_end: Seq,
    pub next_offsets: NextOffsets,
    pub origins: BTreeMap<i32, usize>,
}

#[derive(Debug, Clone)]
pub struct Disk {
    pub stored: Stored,
    /// The published sequence that the process knows.
    pub published_end: Seq,
    pub waiting: Option<Advance>,
}

impl Disk {
    pub fn new(uuid: Uuid) -> Self {
        let stored = Stored {
            events: Vec::new(),
            rows: Vec::new(),
            published_end: 1,
            next_offsets: NextOffsets::new(),
            origins: BTreeMap::new(),
            identities: vec![Identity { first_seq: 1, uuid }],
        };
        Self::of(stored)
    }

    pub fn of(stored: Stored) -> Self {
        Self { published_end: stored.published_end, stored, waiting: None }
    }

    pub fn next_seq(&self) -> Seq {
        self.stored.next_seq()
    }

    pub fn depth(&self) -> u64 {
        self.next_seq() - self.published_end
    }

    /// Ends the process, and discards the state that is not stored.
    pub fn crash(&mut self) {
        self.waiting = None;
        self.published_end = self.stored.published_end;
    }

    pub fn accept(&mut self, events: &[Event]) {
        let first = self.next_seq();
        self.stored.events.extend_from_slice(events);
        self.stored.rows.push(Row { first, until: self.next_seq(), damaged: false });
    }

    /// Takes a new published sequence, which `store` stores later.
    pub fn advance(&mut self, mut advance: Advance) {
        self.published_end = advance.published_end;
        if let Some(mut waiting) = self.waiting.take() {
            waiting.next_offsets.extend(advance.next_offsets);
            waiting.origins.extend(advance.origins);
            advance = Advance { published_end: advance.published_end, ..waiting };
        }
        self.waiting = Some(advance);
    }

    pub fn store(&mut self) {
        if let Some(advance) = self.waiting.take() {
            self.stored.published_end = self.stored.published_end.max(advance.published_end);
            self.stored.next_offsets.extend(advance.next_offsets);
            self.stored.origins.extend(advance.origins);
        }
    }

    /// Replaces the next offsets, and stores them with the published sequence.
    pub fn begin(&mut self, next_offsets: NextOffsets, origins: BTreeMap<i32, usize>) {
        self.stored.next_offsets.clear();
        self.stored.origins.clear();
        self.waiting = None;
        self.advance(Advance { published_end: self.published_end, next_offsets, origins });
        self.store();
    }

    /// Moves the published sequence past events in quarantine, in the commit that puts them there.
    pub fn quarantine(&mut self, until: Seq) {
        self.published_end = until;
        self.stored.published_end = until;
    }

    pub fn renew(&mut self, identity: Identity) {
        let identities = &mut self.stored.identities;
        identities.retain(|old| old.first_seq != identity.first_seq);
        let at = identities.partition_point(|old| old.first_seq < identity.first_seq);
        identities.insert(at, identity);
    }

    /// Returns the corrupted row that contains an event, if a corrupted row contains it.
    pub fn damaged(&self, seq: Seq) -> Option<Row> {
        self.stored.rows.iter().rev().find(|row| row.first <= seq).filter(|row| row.damaged && seq < row.until).copied()
    }

    /// Returns the events from `from` to `below` (exclusive) of at most `rows` rows, up to the next corrupted row. The
    /// error is a corrupted row that contains `from`.
    pub fn read(&self, from: Seq, below: Seq, rows: usize) -> Result<Vec<(Seq, Event)>, Row> {
        if let Some(row) = self.damaged(from) {
            return Err(row);
        }
        let rows = self.stored.rows.iter().filter(|row| row.until > from).take(rows).take_while(|row| !row.damaged);
        let end = rows.map(|row| row.until).last().unwrap_or(from).min(below);
        Ok((from..end).map(|seq| (seq, self.stored.event(seq))).collect())
    }

    pub fn held(&self, from: Seq, below: Seq) -> Held {
        match self.read(from, below, 3) {
            Ok(events) => Held::Events(events.iter().map(|(_, event)| event.id).collect()),
            Err(row) => Held::Damaged(row.until),
        }
    }
}

impl Stored {
    pub fn next_seq(&self) -> Seq {
        self.events.len() as Seq + 1
    }

    pub fn event(&self, seq: Seq) -> Event {
        self.events[usize::try_from(seq - 1).unwrap()]
    }

    /// Returns the identities that the process gets at its start: those with unpublished events, and the current one.
    pub fn known_identities(&self) -> Vec<Identity> {
        let superseded = self.identities.iter().skip(1).take_while(|next| next.first_seq <= self.published_end).count();
        self.identities[superseded..].to_vec()
    }

    pub fn name(&self, seq: Seq) -> (Uuid, u64) {
        Identity::name(&self.identities, seq).unwrap()
    }
}
