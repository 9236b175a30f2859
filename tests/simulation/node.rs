//! A bridge: the real state machine, and a driver that executes its actions in the simulated world.

use std::collections::BTreeMap;

use recall_bridge::publisher::machine::{Action, Event, Machine};
use recall_bridge::spool::{Identity, NextOffsets, Seq};
use uuid::Uuid;

use crate::disk::{Advance, Disk};
use crate::faults::Kind;
use crate::kafka::{Epoch, ProducerId};
use crate::say;
use crate::world::{Breakage, Stop, World};

#[derive(Debug)]
pub struct Node {
    pub disk: Disk,
    pub process: Option<Process>,
    /// Whether one of its actions waits in a request while other nodes continue.
    pub busy: bool,
}

#[derive(Debug)]
pub struct Process {
    pub machine: Machine,
    pub producer: Option<Producer>,
    /// The topic of each next offset of the machine, as an index among the topics of this name.
    pub origins: BTreeMap<i32, usize>,
    /// The topic of the last transaction, as an index among the topics of this name.
    pub into: usize,
}

#[derive(Debug)]
pub struct Producer {
    pub name: Uuid,
    pub id: ProducerId,
    pub epoch: Epoch,
    /// The next producer sequence of each partition.
    pub sequences: BTreeMap<usize, u32>,
    /// Whether this producer has fenced the old one; `false` only with `Breakage::NoFence`.
    pub fenced: bool,
}

/// A failed step.
pub enum Failed {
    Stopped(Stop),
    StepError,
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
    /// Executes one action of a bridge. Starts the process first if it does not run.
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
            Err(Failed::StepError) => self.note(node, Event::UnknownOutcome { records: 0 }),
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
        let machine =
            Machine::new(unused, stored.published_end, stored.known_identities(), stored.next_offsets.clone());
        let origins = stored.origins.clone();
        say!(self, "bridge {node}: started at {} of {}", machine.published_end(), self.nodes[node].disk.next_seq());
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

    /// Stops a bridge as the driver does: it publishes the backlog first, within a limited number of steps.
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
            let ends: NextOffsets =
                partitions.iter().enumerate().map(|(at, p)| (index(at), offset(p.high()))).collect();
            let origins = ends.keys().map(|&at| (at, self.kafka.incarnation())).collect();
            let published_end = self.nodes[node].disk.published_end;
            self.nodes[node].disk.advance(Advance { published_end, next_offsets: ends, origins });
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
            Action::Begin { next_offsets, .. } => {
                self.spool_commit(node)?;
                let origins = self.process(node).origins.clone();
                self.nodes[node].disk.begin(next_offsets, origins);
                Event::Done
            }
            Action::Reconcile(ranges) => self.read_back(node, &ranges)?,
            Action::Renew { first_seq } => {
                self.spool_commit(node)?;
                let fresh = self.fresh_uuid();
                let disk = &mut self.nodes[node].disk;
                // A schedule must be the same each time, so the new UUID comes from the seed.
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

    /// Simulates a commit of the spool: it may fail, and the process may crash during it.
    fn spool_commit(&mut self, node: usize) -> Result<(), Failed> {
        if self.chaos(Kind::SpoolFails, 10) {
            return Err(Failed::StepError);
        }
        Ok(self.turbulence(node)?)
    }

    pub fn quarantine(&mut self, node: usize, from: Seq, until: Seq) -> Result<Event, Failed> {
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

    pub fn set_aside(&mut self, node: usize, from: Seq, until: Seq) -> Result<Event, Failed> {
        if (from..until).all(|seq| self.machine(node).is_published(seq)) {
            return Ok(Event::Committed { until, next: NextOffsets::new() });
        }
        self.quarantine(node, from, until)
    }

    /// Passes a result to the machine, and the machine's progress to the spool, as the driver does.
    fn note(&mut self, node: usize, event: Event) {
        say!(self, "bridge {node}:   {}", told(&event));
        let published_end = self.machine(node).published_end();
        let before = self.machine(node).next_offsets().clone();
        let look = matches!(event, Event::Offsets(_));
        let next = if let Event::Committed { next, .. } = &event { next.clone() } else { NextOffsets::new() };
        self.machine(node).on(event);
        if look {
            self.look(node, &before);
        }
        self.follow_origins(node, &before, &next);
        if self.machine(node).published_end() != published_end {
            let next_offsets = self.machine(node).next_offsets().clone();
            let origins = self.process(node).origins.clone();
            let published_end = self.machine(node).published_end();
            self.nodes[node].disk.advance(Advance { published_end, next_offsets, origins });
        }
    }
}

pub fn index(partition: usize) -> i32 {
    i32::try_from(partition).unwrap()
}

pub fn offset(at: usize) -> i64 {
    i64::try_from(at).unwrap()
}

fn brief(action: &Action) -> String {
    match action {
        Action::Reconcile(ranges) => {
            let ranges: Vec<String> =
                ranges.iter().map(|range| format!("{}: {}..{}", range.partition, range.from, range.to)).collect();
            format!("ReadBack {}", ranges.join(", "))
        }
        action => format!("{action:?}"),
    }
}

fn told(event: &Event) -> String {
    match event {
        Event::Reconciled(found) => {
            format!("found {} below {:?}, not its own from {:?}", found.count(), found.highest(), found.foreign_from())
        }
        event => format!("{event:?}"),
    }
}
