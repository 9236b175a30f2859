//! One partition: its records, and the broker's state of each producer that wrote to it.

use std::collections::BTreeMap;

use super::{Epoch, ProducerId, Record, Refused};

/// How many batches of a producer the broker remembers, to recognize a repeated batch.
const REMEMBERED_BATCHES: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Open,
    Committed,
    Aborted,
}

#[derive(Debug, Clone, Copy)]
pub enum Entry {
    Record {
        producer: ProducerId,
        record: Record,
        state: State,
    },
    /// The end of a transaction. A marker has an offset as a record has.
    Marker,
}

#[derive(Debug, Clone, Default)]
struct Known {
    epoch: Epoch,
    next_sequence: u32,
    /// The first offset of the producer's open transaction.
    open_from: Option<usize>,
    batches: Vec<(u32, usize)>,
}

#[derive(Debug, Clone, Default)]
pub struct Partition {
    pub log: Vec<Entry>,
    /// The first offset that retention has not removed.
    pub low: usize,
    known: BTreeMap<ProducerId, Known>,
}

impl Partition {
    pub fn high(&self) -> usize {
        self.log.len()
    }

    /// Returns the last stable offset: no transaction is open below it.
    pub fn stable(&self) -> usize {
        self.known.values().filter_map(|known| known.open_from).min().unwrap_or(self.log.len())
    }

    /// Returns whether a transaction of this producer is open here. If it is, the broker does not ask the coordinator.
    pub fn is_open(&self, producer: ProducerId, epoch: Epoch) -> bool {
        self.known.get(&producer).is_some_and(|known| known.epoch == epoch && known.open_from.is_some())
    }

    pub fn is_fenced(&self, producer: ProducerId, epoch: Epoch) -> bool {
        self.known.get(&producer).is_some_and(|known| epoch < known.epoch)
    }

    /// Appends a batch of a transaction, once and in sequence. Returns the offset of its first record.
    pub fn append(
        &mut self,
        producer: ProducerId,
        epoch: Epoch,
        first_sequence: u32,
        records: &[Record],
    ) -> Result<usize, Refused> {
        let offset = self.log.len();
        if let Some(known) = self.known.get(&producer) {
            let expected = if known.epoch == epoch { known.next_sequence } else { 0 };
            if known.epoch == epoch
                && let Some(&(_, offset)) = known.batches.iter().find(|(sequence, _)| *sequence == first_sequence)
            {
                return Ok(offset);
            }
            if first_sequence != expected {
                return Err(Refused::OutOfOrder);
            }
        }
        // A producer that the partition does not know may begin with any sequence.
        let known = self.known.entry(producer).or_default();
        if known.epoch != epoch {
            known.batches.clear();
        }
        known.epoch = epoch;
        known.next_sequence = first_sequence + u32::try_from(records.len()).unwrap();
        known.open_from.get_or_insert(offset);
        if known.batches.len() == REMEMBERED_BATCHES {
            known.batches.remove(0);
        }
        known.batches.push((first_sequence, offset));
        self.log.extend(records.iter().map(|&record| Entry::Record { producer, record, state: State::Open }));
        Ok(offset)
    }

    /// Appends records of a producer without a check of its sequence.
    pub fn append_unchecked(&mut self, producer: ProducerId, epoch: Epoch, records: &[Record]) {
        let offset = self.log.len();
        let known = self.known.entry(producer).or_default();
        known.epoch = epoch;
        known.open_from.get_or_insert(offset);
        self.log.extend(records.iter().map(|&record| Entry::Record { producer, record, state: State::Open }));
    }

    /// Returns every record that was ever committed, also if retention has removed it.
    pub fn all_committed(&self) -> impl Iterator<Item = (usize, &Record)> {
        self.log.iter().enumerate().filter_map(|(at, entry)| match entry {
            Entry::Record { record, state: State::Committed, .. } => Some((at, record)),
            _ => None,
        })
    }

    /// Ends the transaction of a producer in this partition.
    pub fn mark(&mut self, producer: ProducerId, epoch: Epoch, commit: bool) {
        let known = self.known.entry(producer).or_default();
        if known.epoch < epoch {
            *known = Known { epoch, open_from: known.open_from, ..Known::default() };
        }
        if let Some(from) = known.open_from.take() {
            let end = if commit { State::Committed } else { State::Aborted };
            for entry in &mut self.log[from..] {
                match entry {
                    Entry::Record { producer: of, state, .. } if *of == producer && *state == State::Open => {
                        *state = end;
                    }
                    _ => {}
                }
            }
        }
        self.log.push(Entry::Marker);
    }

    /// Returns the records that a `read_committed` reader sees from `from` to `to` (exclusive).
    pub fn committed(&self, from: usize, to: usize) -> impl Iterator<Item = (usize, &Record)> {
        let from = from.max(self.low);
        let to = to.min(self.log.len()).max(from);
        self.log[from..to].iter().enumerate().filter_map(move |(at, entry)| match entry {
            Entry::Record { record, state: State::Committed, .. } => Some((from + at, record)),
            _ => None,
        })
    }
}
