//! Events of the topic: other nodes write to it, retention removes records, partitions are added, and the topic is
//! deleted and recreated.

use uuid::Uuid;

use crate::faults::Kind;
use crate::kafka::coordinator::{State as CoordinatorState, Transaction};
use crate::kafka::partition::{Entry, Partition, State};
use crate::kafka::{Record, Request};
use crate::say;
use crate::world::World;

/// The names of the producers of other nodes begin with this number.
const OTHERS: u128 = 1 << 64;

impl World {
    /// Another node begins a transaction, adds records to it, or ends it.
    pub fn other_node(&mut self) {
        let name = Uuid::from_u128(OTHERS + self.random.below(2) as u128);
        let Some(partitions) = &mut self.kafka.partitions else { return };
        let fresh = u32::try_from(self.kafka.transactions.len()).unwrap();
        let at = self.random.below(partitions.len());
        let transaction = self.kafka.transactions.entry(name).or_insert_with(|| Transaction::new(fresh));
        let record = Record { spool: name, seq: 0, id: u32::MAX, key: 0 };
        match transaction.state {
            CoordinatorState::Ongoing(_) if !self.random.one_in(4) => {
                let (producer, epoch) = (transaction.producer, transaction.epoch);
                let _ = transaction.end(producer, epoch, !self.random.one_in(3));
                self.counts.count(Kind::OtherEnded);
            }
            CoordinatorState::Ending { .. } => {
                self.kafka.write_marker(&name);
            }
            _ => {
                self.counts.count(Kind::OtherOpened);
                let (producer, epoch) = (transaction.producer, transaction.epoch);
                if transaction.add(producer, epoch, at).is_ok() {
                    // The sequences of this producer do not matter here.
                    let records = vec![record; 1 + self.random.below(3)];
                    partitions[at].append_unchecked(producer, epoch, &records);
                }
            }
        }
    }

    /// Removes records as retention does, except records that a bridge or a copy of its spool may still search for.
    /// The operator guarantees that retention keeps those records for long enough.
    pub fn retention(&mut self) {
        let Some(partitions) = &self.kafka.partitions else { return };
        let at = self.random.below(partitions.len());
        let needed = |record: &Record| {
            let disks = self.nodes.iter().map(|node| &node.disk.stored);
            disks.chain(self.copies.iter().map(|(_, copy)| copy)).any(|stored| {
                let of = |identity: &&recall_bridge::spool::Identity| identity.uuid == record.spool;
                stored
                    .identities
                    .iter()
                    .find(of)
                    .is_some_and(|identity| identity.first_seq + record.seq > stored.published_end)
            })
        };
        let low = partitions[at].low;
        let end = partitions[at].log[low..]
            .iter()
            .position(|entry| match entry {
                Entry::Record { state: State::Open, .. } => true,
                Entry::Record { state: State::Committed, record, .. } => needed(record),
                _ => false,
            })
            .map_or(partitions[at].high(), |first| low + first);
        if end > low {
            let end = low + 1 + self.random.below(end - low);
            say!(self, "retention: partition {at} begins at {end}");
            self.counts.count(Kind::Retention);
            self.kafka.partitions.as_mut().expect("it is there")[at].low = end;
        }
    }

    pub fn add_partition(&mut self) {
        if self.chaos(Kind::PartitionsAdded, 3)
            && let Some(partitions) = self.kafka.partitions.as_mut().filter(|all| all.len() < 5)
        {
            partitions.push(Partition::default());
            say!(self, "a partition is added");
        }
    }

    /// Deletes the topic with its records. A bridge publishes records again if it does not know yet that they were
    /// committed.
    pub fn delete_topic(&mut self) {
        if self.kafka.partitions.is_none() || !self.chaos(Kind::TopicDeleted, 2) {
            return;
        }
        say!(self, "the topic is deleted");
        let disks = self.nodes.iter().map(|node| &node.disk.stored);
        for stored in disks.chain(self.copies.iter().map(|(_, copy)| copy)) {
            self.ledger.in_doubt.extend((stored.published_end..stored.next_seq()).map(|seq| stored.event(seq).id));
        }
        for request in &self.held {
            if let Request::Produce { records, .. } = request {
                self.ledger.in_doubt.extend(records.iter().map(|record| record.id));
                self.ledger.excused.extend(records.iter().map(|record| record.id));
            }
        }
        let old = self.kafka.partitions.take().expect("it is there");
        self.kafka.deleted.push(old);
    }

    pub fn make_topic_anew(&mut self) {
        if self.kafka.partitions.is_some() {
            return;
        }
        self.counts.count(Kind::TopicAnew);
        let before = self.kafka.deleted.last().map_or(1, Vec::len);
        let count = if self.random.one_in(2) { before } else { 1 + self.random.below(3) };
        let mut partitions = vec![Partition::default(); count];
        if self.random.one_in(2) {
            // Other producers already wrote to the recreated topic.
            let name = Uuid::from_u128(OTHERS + 2);
            let record = Record { spool: name, seq: 0, id: u32::MAX, key: 0 };
            for partition in &mut partitions {
                let records = vec![record; self.random.below(60)];
                partition.append_unchecked(u32::MAX, 0, &records);
                partition.mark(u32::MAX, 0, true);
            }
        }
        say!(self, "the topic is made anew: {:?}", partitions.iter().map(Partition::high).collect::<Vec<_>>());
        self.kafka.partitions = Some(partitions);
    }
}
