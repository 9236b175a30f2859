//! The world of one schedule: Kafka, the network before it, and the bridges.

use uuid::Uuid;

use crate::disk::{Disk, Event, Stored};
use crate::faults::{Counts, KINDS, Kind};
use crate::kafka::coordinator::State as CoordinatorState;
use crate::kafka::{Kafka, Request};
use crate::ledger::Ledger;
use crate::node::Node;
use crate::random::Random;

/// The number of accounts.
const KEYS: usize = 6;
/// The number of steps without faults within which the bridges must publish every event.
const CALM_STEPS: usize = 3_000;

/// The number of consecutive steps of one bridge before another bridge continues.
const CALM_TURN: usize = 12;

/// Writes a line of the trace, if a trace is requested.
#[macro_export]
macro_rules! say {
    ($world:expr, $($text:tt)*) => {
        if $world.trace.is_some() {
            let line = format!($($text)*);
            $world.trace.get_or_insert_default().push(line);
        }
    };
}

/// Why an action ends early.
#[derive(Debug, Clone, Copy)]
pub enum Stop {
    Crash,
}

/// The faults of the simulated driver, to test that the checks find them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breakage {
    /// The driver does not reconcile with the topic.
    NoReadingBack,
    /// The driver fences the old producer only when the new one publishes, after the reconciliation.
    NoFence,
    /// The driver reads only to the last stable offset.
    ToStableOnly,
    /// The driver stores the published sequence before the commit.
    WatermarkFirst,
    /// The driver does not compare the recovered set with the spool.
    NotCompared,
    /// The driver puts the events of a transaction with an unknown outcome into quarantine.
    QuarantinesUnknown,
    /// A clean stop stores the ends of the topic as the next offsets.
    EndsAtStop,
}

pub struct World {
    pub random: Random,
    pub kafka: Kafka,
    pub nodes: Vec<Node>,
    pub ledger: Ledger,
    pub counts: Counts,
    pub broken: Option<Breakage>,
    pub trace: Option<Vec<String>>,
    /// Requests that may still arrive.
    pub held: Vec<Request>,
    /// Copies of spools, each with the index of its node.
    pub copies: Vec<(usize, Stored)>,
    /// For each kind of fault, whether this schedule may contain it.
    pub enabled: Vec<bool>,
    /// Whether the faults have ended.
    pub calm: bool,
    depth: u32,
    uuids: u128,
}

impl World {
    pub fn new(seed: u64, broken: Option<Breakage>, trace: bool) -> Self {
        let mut random = Random::seeded(seed);
        // Each schedule omits many kinds of faults, because one fault can hide another.
        let share = 2 + random.below(4);
        let enabled = KINDS.iter().map(|_| random.one_in(share)).collect();
        let partitions = 1 + random.below(3);
        let mut world = Self {
            kafka: Kafka::new(partitions),
            random,
            nodes: Vec::new(),
            ledger: Ledger::default(),
            counts: Counts::default(),
            broken,
            trace: trace.then(Vec::new),
            held: Vec::new(),
            copies: Vec::new(),
            enabled,
            calm: false,
            depth: 0,
            uuids: 0,
        };
        for _ in 0..=usize::from(world.random.one_in(4)) {
            let uuid = world.fresh_uuid();
            world.nodes.push(Node::new(Disk::new(uuid)));
        }
        world
    }

    pub fn fresh_uuid(&mut self) -> Uuid {
        self.uuids += 1;
        Uuid::from_u128(self.uuids)
    }

    /// Runs the whole schedule.
    ///
    /// # Errors
    /// The first violation of a guarantee.
    pub fn run(&mut self) -> Result<(), String> {
        let steps = 30 + self.random.below(60);
        for _ in 0..steps {
            let node = self.random.below(self.nodes.len());
            match self.random.below(8) {
                0 => self.accept(node),
                1 => self.disturb(node),
                _ => self.step(node),
            }
            if let Some(violation) = self.ledger.violation.take() {
                return Err(violation);
            }
        }
        self.calm = true;
        say!(self, "CALM");
        for round in 0..2 {
            self.settle()?;
            // The held requests arrive, and then there is more to publish.
            while !self.held.is_empty() {
                self.deliver_late();
            }
            for node in 0..self.nodes.len() {
                if round == 0 {
                    self.accept(node);
                }
            }
        }
        self.settle()?;
        self.check()
    }

    /// Runs a fixed schedule: a bridge publishes; a copy of its spool publishes while the bridge is idle; the bridge
    /// stops and starts.
    ///
    /// # Errors
    /// The first violation of a guarantee.
    pub fn run_copy_while_the_original_stops(&mut self) -> Result<(), String> {
        self.calm = true;
        self.nodes.truncate(1);
        for node in [0, 1] {
            self.step(node);
            self.accept(node);
            self.settle()?;
            if node == 0 {
                self.nodes.push(Node::new(Disk::of(self.nodes[0].disk.stored.clone())));
            }
        }
        self.stop_cleanly(0);
        self.step(0);
        self.accept(0);
        self.settle()?;
        self.check()
    }

    fn settle(&mut self) -> Result<(), String> {
        self.make_topic_anew();
        for step in 0..CALM_STEPS {
            if self.nodes.iter().all(Node::is_done) && self.ledger.violation.is_none() {
                return Ok(());
            }
            self.write_markers();
            // Each bridge takes a few steps: a bridge that backs off lets the other one continue.
            self.step(step / CALM_TURN % self.nodes.len());
            if let Some(violation) = self.ledger.violation.take() {
                return Err(violation);
            }
        }
        Err(format!("not all is published after {CALM_STEPS} steps without a fault"))
    }

    /// Returns whether an event of this kind happens now.
    pub fn chaos(&mut self, kind: Kind, one_in: usize) -> bool {
        let happens = !self.calm && self.enabled[kind as usize] && self.random.one_in(one_in);
        if happens {
            self.counts.count(kind);
        }
        happens
    }

    pub fn accept(&mut self, node: usize) {
        if self.nodes[node].busy || self.nodes[node].process.is_none() {
            return;
        }
        let mut events = Vec::new();
        for _ in 0..=self.random.below(4) {
            let id = self.ledger.next_id();
            if self.enabled[Kind::Poisoned as usize] && self.random.one_in(12) {
                self.kafka.poison.insert(id);
            }
            events.push(Event { id, key: u8::try_from(self.random.below(KEYS)).unwrap() });
        }
        let from = self.nodes[node].disk.next_seq();
        say!(self, "bridge {node}: accepts {from}.. {events:?}");
        self.nodes[node].disk.accept(&events);
    }

    /// Causes random events between two requests of a bridge.
    pub fn turbulence(&mut self, node: usize) -> Result<(), Stop> {
        if self.calm {
            return Ok(());
        }
        if self.chaos(Kind::CrashedBusy, 50) {
            return Err(Stop::Crash);
        }
        if self.random.one_in(3) {
            self.disturb(node);
        }
        if self.depth == 0 && self.nodes.len() > 1 && self.random.one_in(6) {
            // Another bridge continues while this one waits.
            self.depth += 1;
            for _ in 0..=self.random.below(6) {
                let other = self.random.below(self.nodes.len());
                self.step(other);
            }
            self.depth -= 1;
        }
        Ok(())
    }

    /// Causes one random event that no bridge requested.
    pub fn disturb(&mut self, node: usize) {
        match self.random.below(20) {
            0..=3 => self.deliver_late(),
            4 if self.enabled[Kind::TimedOut as usize] => self.time_out(),
            5 if self.chaos(Kind::CoordinatorMoved, 2) => self.kafka.coordinator_away = self.some(12),
            6 if self.chaos(Kind::LeaderMoved, 2) => self.kafka.leaders_away = self.some(12),
            7 | 8 if self.enabled[Kind::OtherOpened as usize] => self.other_node(),
            9 if self.enabled[Kind::Retention as usize] => self.retention(),
            10 if self.random.one_in(3) => self.add_partition(),
            11 | 12 if self.kafka.partitions.is_none() => self.make_topic_anew(),
            13 if self.random.one_in(4) => self.delete_topic(),
            14 | 15 => self.nodes[node].disk.store(),
            16 => {
                let name = self.kafka.transactions.keys().nth(self.random.below(4)).copied();
                let _ = name.is_some_and(|name| self.kafka.write_marker(&name));
            }
            17 | 18 => {
                let node = self.random.below(self.nodes.len());
                self.operate(node);
            }
            10 if self.random.one_in(2) => self.copy(node),
            _ => {
                let node = self.random.below(self.nodes.len());
                self.accept(node);
            }
        }
    }

    pub fn some(&mut self, below: usize) -> u32 {
        u32::try_from(self.random.below(below)).unwrap()
    }

    fn time_out(&mut self) {
        let open: Vec<Uuid> = self
            .kafka
            .transactions
            .iter()
            .filter(|(_, transaction)| matches!(transaction.state, CoordinatorState::Ongoing(_)))
            .map(|(name, _)| *name)
            .collect();
        if !open.is_empty() {
            let name = open[self.random.below(open.len())];
            say!(self, "the coordinator aborts the transaction of {name}");
            self.counts.count(Kind::TimedOut);
            self.kafka.transactions.get_mut(&name).expect("it is open").abort();
        }
    }

    /// After the faults have ended: aborts every open transaction, as its timeout does.
    pub fn time_out_all_in_calm(&mut self) {
        if self.calm {
            for transaction in self.kafka.transactions.values_mut() {
                transaction.abort();
            }
        }
    }
}
