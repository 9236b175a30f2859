//! Kafka as a transactional producer and a reader see it: partitions, coordinators and requests. Each partition has
//! one copy: the only effect of replication here is that a leader is not available for a while.

pub mod coordinator;
pub mod partition;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use coordinator::{State, Transaction};
use partition::Partition;

pub type ProducerId = u32;
pub type Epoch = u32;
/// Identifies an accepted recall.
pub type Id = u32;

/// A record of the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// `bridge_spool` and `bridge_seq`.
    pub spool: Uuid,
    pub seq: u64,
    pub id: Id,
    pub key: u8,
}

/// Why the broker does not execute a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    Fenced,
    NotInTransaction,
    OutOfOrder,
    /// The broker rejects the record permanently.
    ForGood,
    NoTopic,
    /// The client repeats the request. `Concurrent`: the end of the previous transaction is being written. `Away`: a
    /// leader or a coordinator moves.
    Concurrent,
    Away,
}

/// A request. A request of a transaction contains the producer and its epoch, but does not identify the transaction.
#[derive(Debug, Clone)]
pub enum Request {
    Init { name: Uuid },
    Add { name: Uuid, producer: ProducerId, epoch: Epoch, partition: usize },
    Produce { name: Uuid, producer: ProducerId, epoch: Epoch, partition: usize, sequence: u32, records: Vec<Record> },
    End { name: Uuid, producer: ProducerId, epoch: Epoch, commit: bool },
}

#[derive(Debug, Clone, Copy)]
pub enum Answer {
    Done,
    Producer(ProducerId, Epoch),
    Offset(usize),
}

#[derive(Debug, Default)]
pub struct Kafka {
    /// `None` while the topic does not exist.
    pub partitions: Option<Vec<Partition>>,
    /// The topics of this name that were deleted.
    pub deleted: Vec<Vec<Partition>>,
    pub transactions: BTreeMap<Uuid, Transaction>,
    /// How many more requests the coordinators or the leaders do not handle.
    pub coordinator_away: u32,
    pub leaders_away: u32,
    /// Records that are too large.
    pub poison: BTreeSet<Id>,
}

impl Kafka {
    pub fn new(partitions: usize) -> Self {
        Self { partitions: Some(vec![Partition::default(); partitions]), ..Self::default() }
    }

    /// Returns the number of earlier topics of this name.
    pub fn incarnation(&self) -> usize {
        self.deleted.len()
    }

    pub fn handle(&mut self, request: &Request) -> Result<Answer, Refused> {
        let away = match request {
            Request::Produce { .. } => &mut self.leaders_away,
            _ => &mut self.coordinator_away,
        };
        if *away > 0 {
            *away -= 1;
            return Err(Refused::Away);
        }
        match request {
            Request::Init { name } => {
                let fresh = u32::try_from(self.transactions.len()).unwrap();
                let transaction = self.transactions.entry(*name).or_insert_with(|| Transaction::new(fresh));
                transaction.init().map(|(producer, epoch)| Answer::Producer(producer, epoch))
            }
            Request::Add { name, producer, epoch, partition } => {
                if self.partitions.is_none() {
                    return Err(Refused::NoTopic);
                }
                self.transaction(name)?.add(*producer, *epoch, *partition).map(|()| Answer::Done)
            }
            Request::Produce { name, producer, epoch, partition, sequence, records } => {
                let at = self.partitions.as_mut().and_then(|all| all.get_mut(*partition)).ok_or(Refused::NoTopic)?;
                if at.is_fenced(*producer, *epoch) {
                    return Err(Refused::Fenced);
                }
                if records.iter().any(|record| self.poison.contains(&record.id)) {
                    return Err(Refused::ForGood);
                }
                if !at.is_open(*producer, *epoch) {
                    let transaction = self.transactions.get(name).ok_or(Refused::NotInTransaction)?;
                    transaction.verify(*producer, *epoch, *partition)?;
                }
                at.append(*producer, *epoch, *sequence, records).map(Answer::Offset)
            }
            Request::End { name, producer, epoch, commit } => {
                self.transaction(name)?.end(*producer, *epoch, *commit).map(|()| Answer::Done)
            }
        }
    }

    fn transaction(&mut self, name: &Uuid) -> Result<&mut Transaction, Refused> {
        self.transactions.get_mut(name).ok_or(Refused::Fenced)
    }

    /// Writes one marker of a transaction that is ending. Returns whether a transaction was ending.
    pub fn write_marker(&mut self, name: &Uuid) -> bool {
        let Some(transaction) = self.transactions.get_mut(name) else { return false };
        let State::Ending { commit, left } = &mut transaction.state else { return false };
        if let Some(partition) = left.pop() {
            // If the topic was deleted in the meantime, the marker ends the records in the deleted topic.
            for topic in self.deleted.iter_mut().chain(&mut self.partitions) {
                if let Some(at) = topic.get_mut(partition) {
                    at.mark(transaction.producer, transaction.epoch, *commit);
                }
            }
        }
        if left.is_empty() {
            transaction.state = State::Ended { commit: *commit };
        }
        true
    }
}
