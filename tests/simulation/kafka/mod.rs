//! Kafka, as far as a producer of transactions and a reader can tell: partitions, coordinators,
//! and requests. One copy of each log: what replication does to it is that a leader is away for a while.

pub mod coordinator;
pub mod partition;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use coordinator::{State, Transaction};
use partition::Partition;

pub type ProducerId = u32;
pub type Epoch = u32;
/// Names an accepted recall.
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

/// Why the broker does not do what a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    Fenced,
    NotInTransaction,
    OutOfOrder,
    /// A record that it will never take.
    ForGood,
    NoTopic,
    /// The client asks again: the end of the last transaction is being written, or a leader or a
    /// coordinator is on the move.
    Concurrent,
    Away,
}

/// A request; those of a transaction name producer and epoch, not the transaction.
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
    /// None while the topic is gone.
    pub partitions: Option<Vec<Partition>>,
    /// The topics of this name that were deleted before.
    pub deleted: Vec<Vec<Partition>>,
    pub transactions: BTreeMap<Uuid, Transaction>,
    /// Requests that the coordinators or the leaders do not take yet.
    pub coordinator_away: u32,
    pub leaders_away: u32,
    /// Records that are too large.
    pub poison: BTreeSet<Id>,
}

impl Kafka {
    pub fn new(partitions: usize) -> Self {
        Self { partitions: Some(vec![Partition::default(); partitions]), ..Self::default() }
    }

    /// How many topics of this name there were before this one.
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

    /// Writes a marker of a transaction that is ending, if there is one.
    pub fn write_marker(&mut self, name: &Uuid) -> bool {
        let Some(transaction) = self.transactions.get_mut(name) else { return false };
        let State::Ending { commit, left } = &mut transaction.state else { return false };
        if let Some(partition) = left.pop() {
            // Where the topic was deleted meanwhile, it is the end of what was written to the old one.
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
