//! A bridge: the real state machine, and a driver that does what it says in the simulated world.

use std::collections::BTreeMap;

use recall_bridge::publisher::compare::compare;
use recall_bridge::publisher::machine::{Action, Event, Machine, PartitionOffsets, Range, Refusal};
use recall_bridge::spool::{Identity, Positions, Seq};
use uuid::Uuid;

use crate::disk::{Advance, Disk};
use crate::faults::Kind;
use crate::kafka::coordinator::State as CoordinatorState;
use crate::kafka::{Answer, Epoch, ProducerId, Record, Refused, Request};
use crate::say;
use crate::world::{Breakage, Stop, World};

/// Attempts of a reading to see another node's transaction end.
const STABLE_ATTEMPTS: usize = 6;

#[derive(Debug)]
pub struct Node {
    pub disk: Disk,
    pub process: Option<Process>,
    /// Whether one of its actions is under way: it waits in a request while others go on.
    pub busy: bool,
}

#[derive(Debug)]
pub struct Process {
    pub machine: Machine,
    producer: Option<Producer>,
    /// Which topic of the name each of the machine's positions is of.
    pub origins: BTreeMap<i32, usize>,
    /// The topic of the last transaction.
    pub into: usize,
}

#[derive(Debug)]
struct Producer {
    name: Uuid,
    id: ProducerId,
    epoch: Epoch,
    /// The next sequence number of each partition.
    sequences: BTreeMap<usize, u32>,
    /// Not fenced yet: only where the simulation is told to leave that for later.
    fenced: bool,
}

/// A failed step.
enum Failed {
    Stopped(Stop),
    Trouble,
}

impl From<Stop> for Failed {
    fn from(stop: Stop) -> Self {
        Self::Stopped(stop)
    }
}

impl Node {
    pub fn new(disk: Disk) -> Self {
        Self { disk, process: None, busy: false }
    }

    pub fn is_done(&self) -> bool {
        self.disk.depth() == 0 && self.process.as_ref().is_some_and(|process| process.machine.is_ready())
    }
}

impl World {
    /// One action of a bridge; starts its process where none runs.
    pub fn step(&mut self, node: usize) {
        if self.nodes[node].busy {
            return;
        }
        self.nodes[node].busy = true;
        if self.nodes[node].process.is_none() {
            self.open(node);
        }
        let action = self.machine(node).next();
        say!(self, "bridge {node}: {}", brief(&action));
        match self.execute(node, action) {
            Ok(event) => self.note(node, event),
            Err(Failed::Trouble) => self.note(node, Event::Doubt { records: 0 }),
            Err(Failed::Stopped(Stop::Crash)) => self.crash(node),
        }
        self.nodes[node].busy = false;
    }

    fn open(&mut self, node: usize) {
        let fresh = self.fresh_uuid();
        let disk = &mut self.nodes[node].disk;
        let unused = disk.next_seq() == 1;
        if unused {
            disk.stored.identities = vec![Identity { first_seq: 1, uuid: fresh }];
            self.counts.count(Kind::Unused);
        }
        let stored = &disk.stored;
        let machine = Machine::new(unused, stored.watermark, stored.known_identities(), stored.positions.clone());
        let origins = stored.origins.clone();
        say!(self, "bridge {node}: started at {} of {}", machine.watermark(), self.nodes[node].disk.next_seq());
        self.nodes[node].process = Some(Process { machine, producer: None, origins, into: 0 });
    }

    pub fn crash(&mut self, node: usize) {
        say!(self, "bridge {node}: CRASH");
        self.counts.count(Kind::Crashed);
        let disk = &mut self.nodes[node].disk;
        if disk.waiting.is_some() {
            self.counts.count(Kind::Behind);
        }
        disk.crash();
        self.nodes[node].process = None;
    }

    /// As the driver ends: it publishes what waits, but not for ever.
    pub fn stop_cleanly(&mut self, node: usize) {
        for _ in 0..20 {
            if self.nodes[node].busy || self.nodes[node].is_done() {
                break;
            }
            self.step(node);
        }
        if self.nodes[node].busy || !self.nodes[node].is_done() {
            return;
        }
        say!(self, "bridge {node}: stops cleanly");
        self.counts.count(Kind::CleanStop);
        if self.broken == Some(Breakage::EndsAtStop)
            && let Some(partitions) = &self.kafka.partitions
        {
            let ends: Positions = partitions.iter().enumerate().map(|(at, p)| (index(at), offset(p.high()))).collect();
            let origins = ends.keys().map(|&at| (at, self.kafka.incarnation())).collect();
            let watermark = self.nodes[node].disk.watermark;
            self.nodes[node].disk.advance(Advance { watermark, positions: ends, origins });
        }
        self.nodes[node].disk.store();
        self.nodes[node].process = None;
    }

    pub fn machine(&mut self, node: usize) -> &mut Machine {
        &mut self.process(node).machine
    }

    pub fn process(&mut self, node: usize) -> &mut Process {
        self.nodes[node].process.as_mut().expect("a running bridge")
    }

    fn execute(&mut self, node: usize, action: Action) -> Result<Event, Failed> {
        self.turbulence(node)?;
        Ok(match action {
            Action::Backoff(_) => Event::Done,
            Action::Connect { spool } => self.connect(node, spool)?,
            Action::ListOffsets => self.list_offsets(node)?,
            Action::Begin { unused: true, .. } if self.nodes[node].disk.next_seq() > 1 => {
                self.counts.count(Kind::Used);
                Event::Used
            }
            Action::Begin { positions, .. } => {
                self.spool_commit(node)?;
                let origins = self.process(node).origins.clone();
                self.nodes[node].disk.begin(positions, origins);
                Event::Done
            }
            Action::ReadBack(ranges) => self.read_back(node, &ranges)?,
            Action::Renew { first_seq } => {
                self.spool_commit(node)?;
                let fresh = self.fresh_uuid();
                let disk = &mut self.nodes[node].disk;
                // A random name in a simulation that is to be the same each time comes from its seed.
                let event = disk.read(first_seq, first_seq + 1, 1).ok().and_then(|events| events.first().copied());
                let uuid = event.map_or(fresh, |(_, event)| {
                    Identity::renewed(&disk.stored.known_identities(), first_seq, Some(&event.id.to_be_bytes()))
                });
                disk.renew(Identity { first_seq, uuid });
                let identities = disk.stored.known_identities();
                self.counts.count(Kind::Renewed);
                Event::Renewed(identities)
            }
            Action::Quarantine { seq, .. } => match self.nodes[node].disk.damaged(seq) {
                Some(row) => self.set_aside(node, seq, row.until)?,
                None => self.quarantine(node, seq, seq + 1)?,
            },
            Action::Publish { from, below, records } => self.publish(node, from, below, records)?,
        })
    }

    /// A commit of the spool may fail, and may be the last that the process does.
    fn spool_commit(&mut self, node: usize) -> Result<(), Failed> {
        if self.chaos(Kind::SpoolFails, 10) {
            return Err(Failed::Trouble);
        }
        Ok(self.turbulence(node)?)
    }

    fn quarantine(&mut self, node: usize, from: Seq, until: Seq) -> Result<Event, Failed> {
        self.spool_commit(node)?;
        for seq in from..until {
            let stored = &self.nodes[node].disk.stored;
            let (id, name) = (stored.event(seq).id, stored.name(seq));
            self.ledger.quarantined.insert(id);
            self.ledger.quarantined_names.insert(name);
        }
        self.nodes[node].disk.quarantine(until);
        self.counts.count(Kind::Quarantined);
        Ok(Event::Quarantined { until })
    }

    fn set_aside(&mut self, node: usize, from: Seq, until: Seq) -> Result<Event, Failed> {
        if (from..until).all(|seq| self.machine(node).is_published(seq)) {
            return Ok(Event::Committed { until, next: Positions::new() });
        }
        self.quarantine(node, from, until)
    }

    fn connect(&mut self, node: usize, name: Uuid) -> Result<Event, Failed> {
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
            _ => Err(Failed::Trouble),
        }
    }

    fn list_offsets(&mut self, node: usize) -> Result<Event, Failed> {
        let count = self.kafka.partitions.as_ref().map_or(0, Vec::len);
        let mut offsets = Vec::new();
        for at in 0..count {
            self.turbulence(node)?;
            let partitions = self.kafka.partitions.as_ref().ok_or(Failed::Trouble)?;
            let partition = partitions.get(at).ok_or(Failed::Trouble)?;
            offsets.push(PartitionOffsets {
                partition: index(at),
                low: offset(partition.low),
                high: offset(partition.high()),
            });
        }
        if offsets.is_empty() { Err(Failed::Trouble) } else { Ok(Event::Offsets(offsets)) }
    }

    fn read_back(&mut self, node: usize, ranges: &[Range]) -> Result<Event, Failed> {
        let next_seq = self.nodes[node].disk.next_seq();
        let mut found = self.machine(node).nothing_found(next_seq);
        if self.broken == Some(Breakage::NoReadingBack) {
            return Ok(Event::ReadBack(found));
        }
        let incarnation = self.kafka.incarnation();
        for range in ranges {
            let to = self.wait_until_stable(node, range)?;
            let partitions = self.kafka.partitions.as_ref().ok_or(Failed::Trouble)?;
            let partition = partitions.get(usize::try_from(range.partition).unwrap()).ok_or(Failed::Trouble)?;
            // Made anew between the offsets and the reading: the client finds its offset out of range.
            if self.kafka.incarnation() != incarnation && partition.high() < to {
                return Err(Failed::Trouble);
            }
            for (_, record) in partition.committed(usize::try_from(range.from).unwrap(), to) {
                found.note(record.spool, record.seq, record.id);
            }
        }
        if self.broken != Some(Breakage::NotCompared) {
            let watermark = self.machine(node).watermark();
            let disk = &self.nodes[node].disk;
            let compared = compare(&mut found, watermark, |from, below| Ok::<_, ()>(disk.held(from, below)));
            compared.expect("reading does not fail");
        }
        self.turbulence(node).inspect_err(|_| self.counts.count(Kind::CrashedReading))?;
        let watermark = self.machine(node).watermark();
        if found.count() > 0 {
            self.counts.count(Kind::Found);
        }
        if found.highest().is_some_and(|highest| (watermark..highest).any(|seq| !found.contains(seq))) {
            self.counts.count(Kind::FoundAhead);
        }
        Ok(Event::ReadBack(found))
    }

    /// How far may be read.
    fn wait_until_stable(&mut self, node: usize, range: &Range) -> Result<usize, Failed> {
        let to = usize::try_from(range.to).unwrap();
        for _ in 0..STABLE_ATTEMPTS {
            self.turbulence(node)?;
            let partitions = self.kafka.partitions.as_ref().ok_or(Failed::Trouble)?;
            let partition = partitions.get(usize::try_from(range.partition).unwrap()).ok_or(Failed::Trouble)?;
            if partition.stable() >= to {
                return Ok(to);
            }
            self.counts.count(Kind::HeldBack);
            if self.broken == Some(Breakage::ToStableOnly) {
                return Ok(partition.stable());
            }
            // A transaction of which the end is decided does not wait for its markers for long.
            self.time_out_all_in_calm();
            self.write_markers();
        }
        self.counts.count(Kind::GivenUpReading);
        Err(Failed::Trouble)
    }

    fn publish(&mut self, node: usize, from: Seq, below: Seq, records: u64) -> Result<Event, Failed> {
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
            return Ok(Event::Committed { until, next: Positions::new() });
        }
        if self.broken == Some(Breakage::WatermarkFirst) {
            let origins = self.process(node).origins.clone();
            let positions = self.machine(node).positions().clone();
            self.nodes[node].disk.advance(Advance { watermark: until, positions, origins });
            self.nodes[node].disk.store();
        }
        let count = missing.len() as u64;
        match self.transaction(node, &missing) {
            Ok(next) => Ok(Event::Committed { until, next }),
            Err(Ended::Stopped(stop)) => Err(stop.into()),
            Err(Ended::Refused(seq)) => {
                let reason = Refusal { reason: "kafka_too_large", detail: String::new() };
                Ok(Event::Refused { seq, records: count, reason })
            }
            Err(Ended::Doubt) => Ok(Event::Doubt { records: count }),
        }
    }

    /// What the client library does with one transaction.
    fn transaction(&mut self, node: usize, records: &[(Seq, Record)]) -> Result<Positions, Ended> {
        let Some((name, fenced)) = self.process(node).producer.as_ref().map(|at| (at.name, at.fenced)) else {
            return Err(Ended::Doubt);
        };
        if !fenced {
            self.init(node, name).map_err(|failed| match failed {
                Failed::Stopped(stop) => Ended::Stopped(stop),
                Failed::Trouble => Ended::Doubt,
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
        let mut next = Positions::new();
        let mut added: Vec<usize> = Vec::new();
        let incarnation = self.kafka.incarnation();
        // Partitions take turns, in batches of a few records, each partition in order.
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

    /// Passes the result on to the machine, and its progress to the spool, as the driver does.
    fn note(&mut self, node: usize, event: Event) {
        say!(self, "bridge {node}:   {}", told(&event));
        let watermark = self.machine(node).watermark();
        let before = self.machine(node).positions().clone();
        let look = matches!(event, Event::Offsets(_));
        let next = if let Event::Committed { next, .. } = &event { next.clone() } else { Positions::new() };
        self.machine(node).on(event);
        if look {
            self.look(node, &before);
        }
        self.follow_origins(node, &before, &next);
        if self.machine(node).watermark() != watermark {
            let positions = self.machine(node).positions().clone();
            let origins = self.process(node).origins.clone();
            let watermark = self.machine(node).watermark();
            self.nodes[node].disk.advance(Advance { watermark, positions, origins });
        }
    }

    /// Ends what is decided.
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

/// How a transaction ended that did not commit.
enum Ended {
    Stopped(Stop),
    Refused(Seq),
    Doubt,
}

pub fn index(partition: usize) -> i32 {
    i32::try_from(partition).unwrap()
}

pub fn offset(at: usize) -> i64 {
    i64::try_from(at).unwrap()
}

fn brief(action: &Action) -> String {
    match action {
        Action::ReadBack(ranges) => {
            let ranges: Vec<String> =
                ranges.iter().map(|range| format!("{}: {}..{}", range.partition, range.from, range.to)).collect();
            format!("ReadBack {}", ranges.join(", "))
        }
        action => format!("{action:?}"),
    }
}

fn told(event: &Event) -> String {
    match event {
        Event::ReadBack(found) => {
            format!("found {} below {:?}, not its own from {:?}", found.count(), found.highest(), found.foreign_from())
        }
        event => format!("{event:?}"),
    }
}
