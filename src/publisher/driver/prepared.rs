//! The records of a transaction, in chunks. The next chunk is made while Kafka takes the current one.

use super::reading::EventReader;
use crate::events::stored;
use crate::published::PublishedRing;
use crate::publisher::PublisherError;
use crate::publisher::machine::Machine;
use crate::record::{DecodeError, Record};
use crate::spool::{Batch, ReadLimit, Seq, Spool};

/// The maximum number of events of one chunk.
const CHUNK_EVENTS: u64 = 2500;
/// Once a chunk has this many bytes of stored events, no further row is read for it. A record has up to five times the
/// bytes of its event.
const CHUNK_BYTES: usize = 3 << 18;

/// The events to publish next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) from: Seq,
    /// The end of the identity's range.
    pub(super) below: Seq,
    /// The maximum number of records.
    pub(super) records: u64,
}

impl Part {
    /// The limit of its first chunk.
    pub(super) fn limit(self) -> ReadLimit {
        ReadLimit { events: self.records.min(CHUNK_EVENTS), bytes: CHUNK_BYTES }
    }

    /// What is left after the events below `until`.
    pub(super) fn after(self, until: Seq) -> Self {
        Self { from: until, records: self.records.saturating_sub(until - self.from), ..self }
    }

    /// Its first chunk, if the spool holds all of it already: otherwise more events may come before they are published.
    /// After an error, they are read again when it is their turn.
    pub(super) fn prepare(self, spool: &Spool, reader: &mut EventReader, machine: &Machine) -> Option<Prepared> {
        let end = spool.progress().next_seq.min(self.below);
        if self.records == 0 || end < self.from.saturating_add(self.limit().events) {
            return None;
        }
        let batch = reader.read(self.from, self.below, self.limit()).ok()?;
        Prepared::new(self, &batch, |seq| machine.is_published(seq)).ok()
    }
}

/// A chunk of encoded records, in order, without those that Kafka has already.
#[derive(Debug)]
pub(super) struct Prepared {
    part: Part,
    until: Seq,
    bytes: Vec<u8>,
    /// The sequence number of each record, and where it ends.
    ends: Vec<(Seq, usize)>,
}

impl Prepared {
    /// Makes the records of a batch.
    ///
    /// # Errors
    /// [`PublisherError::Undecodable`]: an event is not one of this release.
    pub(super) fn new(part: Part, batch: &Batch, is_published: impl Fn(Seq) -> bool) -> Result<Self, PublisherError> {
        let mut prepared = Self { part, until: batch.until(), bytes: Vec::new(), ends: Vec::new() };
        for (seq, event) in batch.events().filter(|(seq, _)| !is_published(*seq)) {
            stored::append_record(event, &mut prepared.bytes).map_err(|_| PublisherError::Undecodable(seq))?;
            prepared.ends.push((seq, prepared.bytes.len()));
        }
        Ok(prepared)
    }

    /// Whether it is the start of this part.
    pub(super) fn begins(&self, part: Part) -> bool {
        self.part.from == part.from && self.part.below == part.below && self.until - part.from <= part.records
    }

    /// The sequence number after the last event of the batch.
    pub(super) fn until(&self) -> Seq {
        self.until
    }

    /// The number of records.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The records with their sequence numbers.
    pub(super) fn records(&self) -> impl Iterator<Item = Result<(Seq, Record<'_>), DecodeError>> {
        self.slice(0)
    }

    /// The last records, as many as the page shows.
    pub(super) fn newest(&self) -> impl Iterator<Item = Result<(Seq, Record<'_>), DecodeError>> {
        self.slice(self.newest_from())
    }

    /// The sequence number of the first of the [newest](Self::newest).
    pub(super) fn newest_seq(&self) -> Seq {
        self.ends.get(self.newest_from()).map_or(0, |(seq, _)| *seq)
    }

    fn newest_from(&self) -> usize {
        self.len().saturating_sub(PublishedRing::LEN)
    }

    fn slice(&self, from: usize) -> impl Iterator<Item = Result<(Seq, Record<'_>), DecodeError>> {
        let mut start = from.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |(_, end)| *end);
        self.ends.iter().skip(from).map(move |&(seq, end)| {
            let bytes = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            Ok((seq, Record::decode(bytes)?))
        })
    }
}
