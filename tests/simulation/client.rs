//! The requests of a bridge to the simulated Kafka, as the client library sends them.

use std::collections::BTreeMap;

use recall_bridge::publisher::compare::compare;
use recall_bridge::publisher::machine::{Event, PartitionOffsets, PoisonReason, Range};
use recall_bridge::spool::{NextOffsets, Seq};
use uuid::Uuid;

use crate::disk::Advance;
use crate::faults::Kind;
use crate::kafka::coordinator::State as CoordinatorState;
use crate::kafka::{Answer, Record, Refused, Request};
use crate::node::{Failed, Producer, index, offset};
use crate::world::{Breakage, Stop, World};

/// How many times a reconciliation checks whether another node's transaction has ended.
const STABLE_ATTEMPTS: usize = 6;

impl World {
    pub fn connect(&mut self, node: usize, name: Uuid) -> Result<Event, Failed> {
        if self.broken == Some(Breakage::NoFence)
            && let Some(producer) = self.process(node).producer.as_mut()
            && producer.name == name
        {
            producer.fenced = false;
            return Ok(Event::Connected);
        }
        self.process(node).producer = None;
        self.init(node, name)?;
        Ok(Event::Connected)
    }

    fn init(&mut self, node: usize, name: Uuid) -> Result<(), Failed> {
        match self.request(node, &Request::Init { name })? {
            Ok(Answer::Producer(id, epoch)) => {
                let producer = Producer { name, id, epoch, sequences: BTreeMap::new(), fenced: true };
                self.process(node).producer = Some(producer);
                Ok(())
            }
            _ => Err(Failed::StepError),
        }
    }

    pub fn list_offsets(&mut self, node: usize) -> Result<Event, Failed> {
        let count = self.kafka.partitions.as_ref().map_or(0, Vec::len);
        let mut offsets = Vec::new();
        for at in 0..count {
            self.turbulence(node)?;
            let partitions = self.kafka.partitions.as_ref().ok_or(Failed::StepError)?;
            let partition = partitions.get(at).ok_or(Failed::StepError)?;
            offsets.push(PartitionOffsets {
                partition: index(at),
                low: offset(partition.low),
                high: offset(partition.high()),
                start: offset(partition.low),
            });
        }
        if offsets.is_empty() { Err(Failed::StepError) } else { Ok(Event::Offsets(offsets)) }
    }

    pub fn read_back(&mut self, node: usize, ranges: &[Range]) -> Result<Event, Failed> {
        let next_seq = self.nodes[node].disk.next_seq();
        let mut found = self.machine(node).nothing_found(next_seq);
        if self.broken == Some(Breakage::NoReadingBack) {
            return Ok(Event::Reconciled(found));
        }
        let incarnation = self.kafka.incarnation();
        for range in ranges {
            let to = self.wait_until_stable(node, range)?;
            let partitions = self.kafka.partitions.as_ref().ok_or(Failed::StepError)?;
            let partition = partitions.get(usize::try_from(range.partition).unwrap()).ok_or(Failed::StepError)?;
            // The topic was recreated after the bridge listed the offsets: the client finds its offset out of range.
            if self.kafka.incarnation() != incarnation && partition.high() < to {
                return Err(Failed::StepError);
            }
            for (_, record) in partition.committed(usize::try_from(range.from).unwrap(), to) {
                found.note(record.spool, record.seq, record.id);
            }
        }
        if self.broken != Some(Breakage::NotCompared) {
            let published_end = self.machine(node).published_end();
            let disk = &self.nodes[node].disk;
            let compared = compare(&mut found, published_end, |from, below| Ok::<_, ()>(disk.held(from, below)));
            compared.expect("reading does not fail");
        }
        self.turbulence(node).inspect_err(|_| self.counts.count(Kind::CrashedReading))?;
        let published_end = self.machine(node).published_end();
        if found.count() > 0 {
            self.counts.count(Kind::RecoveredSet);
        }
        if found.highest().is_some_and(|highest| (published_end..highest).any(|seq| !found.contains(seq))) {
            self.counts.count(Kind::FoundAhead);
        }
        Ok(Event::Reconciled(found))
    }

    /// Waits until the last stable offset reaches the end of `range`. Returns the offset up to which the bridge may
    /// read.
    fn wait_until_stable(&mut self, node: usize, range: &Range) -> Result<usize, Failed> {
        let to = usize::try_from(range.to).unwrap();
        for _ in 0..STABLE_ATTEMPTS {
            self.turbulence(node)?;
            let partitions = self.kafka.partitions.as_ref().ok_or(Failed::StepError)?;
            let partition = partitions.get(usize::try_from(range.partition).unwrap()).ok_or(Failed::StepError)?;
            if partition.stable() >= to {
                return Ok(to);
            }
            self.counts.count(Kind::HeldBack);
            if self.broken == Some(Breakage::ToStableOnly) {
                return Ok(partition.stable());
            }
            // A transaction whose end is decided gets its markers soon.
            self.time_out_all_in_calm();
            self.write_markers();
        }
        self.counts.count(Kind::GivenUpReading);
        Err(Failed::StepError)
    }

    pub fn publish(&mut self, node: usize, from: Seq, below: Seq, records: u64) -> Result<Event, Failed> {
        if self.nodes[node].disk.next_seq() <= from {
            return Ok(Event::Idle);
        }
        let rows = 1 + self.random.below(5);
        let below = below.min(from.saturating_add(records));
        let batch = match self.nodes[node].disk.read(from, below, rows) {
            Ok(batch) => batch,
            Err(row) => return self.set_aside(node, from, row.until),
        };
        let Some(until) = batch.last().map(|(seq, _)| seq + 1) else { return Ok(Event::Idle) };
        let machine = self.machine(node);
        let missing: Vec<(Seq, Record)> = batch
            .iter()
            .filter(|(seq, _)| !machine.is_published(*seq))
            .map(|&(seq, event)| {
                let (spool, bridge_seq) = machine.name(seq);
                (seq, Record { spool, seq: bridge_seq, id: event.id, key: event.key })
            })
            .collect();
        if missing.is_empty() {
            return Ok(Event::Committed { until, next: NextOffsets::new() });
        }
        if self.broken == Some(Breakage::WatermarkFirst) {
            let origins = self.process(node).origins.clone();
            let next_offsets = self.machine(node).next_offsets().clone();
            self.nodes[node].disk.advance(Advance { published_end: until, next_offsets, origins });
            self.nodes[node].disk.store();
        }
        let count = missing.len() as u64;
        match self.transaction(node, &missing) {
            Ok(next) => Ok(Event::Committed { until, next }),
            Err(Ended::Stopped(stop)) => Err(stop.into()),
            Err(Ended::Refused(seq)) => {
                let reason = PoisonReason { reason: "kafka_too_large".into(), detail: String::new() };
                Ok(Event::Rejected { seq, records: count, reason })
            }
            Err(Ended::Doubt) if self.broken == Some(Breakage::QuarantinesUnknown) => {
                self.quarantine(node, from, until)
            }
            Err(Ended::Doubt) => Ok(Event::UnknownOutcome { records: count }),
        }
    }

    /// Publishes records in one transaction, as the client library does.
    fn transaction(&mut self, node: usize, records: &[(Seq, Record)]) -> Result<NextOffsets, Ended> {
        let Some((name, fenced)) = self.process(node).producer.as_ref().map(|at| (at.name, at.fenced)) else {
            return Err(Ended::Doubt);
        };
        if !fenced {
            self.init(node, name).map_err(|failed| match failed {
                Failed::Stopped(stop) => Ended::Stopped(stop),
                Failed::StepError => Ended::Doubt,
            })?;
        }
        let partitions = self.kafka.partitions.as_ref().map_or(0, Vec::len);
        if partitions == 0 {
            return Err(Ended::Doubt);
        }
        let mut queues: Vec<(usize, Vec<(Seq, Record)>)> = Vec::new();
        for &(seq, record) in records {
            let at = usize::from(record.key) % partitions;
            match queues.iter_mut().find(|(partition, _)| *partition == at) {
                Some((_, queue)) => queue.push((seq, record)),
                None => queues.push((at, vec![(seq, record)])),
            }
        }
        let mut next = NextOffsets::new();
        let mut added: Vec<usize> = Vec::new();
        let incarnation = self.kafka.incarnation();
        // The partitions take turns in batches of a few records. Each partition keeps its order.
        while !queues.is_empty() {
            let turn = self.random.below(queues.len());
            let (partition, queue) = &mut queues[turn];
            let partition = *partition;
            let batch: Vec<(Seq, Record)> = queue.drain(..queue.len().min(1 + self.random.below(3))).collect();
            if queue.is_empty() {
                queues.swap_remove(turn);
            }
            let producer = self.process(node).producer.as_mut().ok_or(Ended::Doubt)?;
            let (id, epoch) = (producer.id, producer.epoch);
            let sequence = *producer.sequences.entry(partition).or_insert(0);
            if !added.contains(&partition) {
                added.push(partition);
                let request = Request::Add { name, producer: id, epoch, partition };
                self.request(node, &request).map_err(Ended::Stopped)?.map_err(|_| Ended::Doubt)?;
            }
            let first = batch[0].0;
            let records: Vec<Record> = batch.iter().map(|(_, record)| *record).collect();
            let sent = u32::try_from(records.len()).unwrap();
            let request = Request::Produce { name, producer: id, epoch, partition, sequence, records };
            match self.request(node, &request).map_err(Ended::Stopped)? {
                Ok(Answer::Offset(at)) => {
                    next.insert(index(partition), offset(at) + i64::from(sent));
                }
                Err(Refused::ForGood) => {
                    self.counts.count(Kind::Poisoned);
                    return Err(Ended::Refused(first));
                }
                _ => return Err(Ended::Doubt),
            }
            if let Some(producer) = self.process(node).producer.as_mut() {
                producer.sequences.insert(partition, sequence + sent);
            }
        }
        let producer = self.process(node).producer.as_ref().ok_or(Ended::Doubt)?;
        let request = Request::End { name, producer: producer.id, epoch: producer.epoch, commit: true };
        self.request(node, &request).map_err(Ended::Stopped)?.map_err(|_| Ended::Doubt)?;
        self.process(node).into = incarnation;
        Ok(next)
    }

    /// Writes the markers of every transaction whose end is decided.
    pub fn write_markers(&mut self) {
        let ending: Vec<Uuid> = self
            .kafka
            .transactions
            .iter()
            .filter(|(_, transaction)| matches!(transaction.state, CoordinatorState::Ending { .. }))
            .map(|(name, _)| *name)
            .collect();
        for name in ending {
            while self.kafka.write_marker(&name) {}
        }
    }
}

/// Why a transaction did not commit.
enum Ended {
    Stopped(Stop),
    Refused(Seq),
    Doubt,
}
