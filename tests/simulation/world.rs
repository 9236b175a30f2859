//! Everything there is in one schedule: Kafka, the network before it, and the bridges.

use recall_bridge::spool::Seq;
use uuid::Uuid;

use crate::disk::{Disk, Event, Stored};
use crate::faults::{Counts, KINDS, Kind};
use crate::kafka::coordinator::State as CoordinatorState;
use crate::kafka::{Answer, Id, Kafka, Refused, Request};
use crate::ledger::Ledger;
use crate::node::Node;
use crate::random::Random;

/// Accounts, and what part of them there is of each.
const KEYS: usize = 6;
/// Times that the client sends a request before it gives up.
const ATTEMPTS: usize = 8;
/// Steps within which all must be published once nothing fails any more.
const CALM_STEPS: usize = 3_000;

/// How many of them a bridge takes before another one does.
const CALM_TURN: usize = 12;
/// Copies of one spool that run beside it. With two, one in some 100,000 schedules publishes a recall twice
/// (docs/architecture.md, what is not promised).
const COPIES_MAX: usize = 1;

/// Writes a line of the trace, where one is wanted.
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

/// What the simulated driver does wrong on purpose, to see whether that is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breakage {
    /// Nothing is read back.
    NoReadingBack,
    /// The old producer is fenced only when the new one publishes, after reading back.
    NoFence,
    /// Reading ends where `read_committed` shows the end.
    ToStableOnly,
    /// The watermark is stored before the commit.
    WatermarkFirst,
    /// What was found is not compared with what the spool holds.
    NotCompared,
    /// What a transaction held whose outcome is unknown goes to quarantine.
    QuarantinesUnknown,
    /// A clean stop stores the ends of the topic as the positions.
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
    /// Copies of spools, and whose they are.
    pub copies: Vec<(usize, Stored)>,
    /// What this schedule is made of.
    enabled: Vec<bool>,
    /// Nothing fails any more.
    calm: bool,
    depth: u32,
    uuids: u128,
}

impl World {
    pub fn new(seed: u64, broken: Option<Breakage>, trace: bool) -> Self {
        let mut random = Random::new(seed);
        // Each schedule leaves many kinds of faults out: what hides behind another one shows itself then.
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

    /// All of a schedule.
    ///
    /// # Errors
    /// What is not as promised.
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
            // What is still under way arrives, and then there is more to publish.
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

    /// A bridge that has published; a copy of its spool publishes while it is idle; it stops, and starts.
    ///
    /// # Errors
    /// What is not as promised.
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
            // A few steps each: who backs off lets the other one through.
            self.step(step / CALM_TURN % self.nodes.len());
            if let Some(violation) = self.ledger.violation.take() {
                return Err(violation);
            }
        }
        Err(format!("not all is published after {CALM_STEPS} steps without a fault"))
    }

    /// Whether something of this kind happens now.
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

    /// Anything may happen between two things that a bridge does.
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
            // Another bridge goes on while this one waits.
            self.depth += 1;
            for _ in 0..=self.random.below(6) {
                let other = self.random.below(self.nodes.len());
                self.step(other);
            }
            self.depth -= 1;
        }
        Ok(())
    }

    /// Sends a request as the client library does: until it is answered, or given up. The inner error is
    /// an answer that is no success.
    pub fn request(&mut self, node: usize, request: &Request) -> Result<Result<Answer, Refused>, Stop> {
        for _ in 0..ATTEMPTS {
            self.turbulence(node)?;
            if self.chaos(held_kind(request), 8) {
                self.held.push(request.clone());
                continue;
            }
            if self.chaos(Kind::RequestLost, 12) {
                continue;
            }
            let answer = self.kafka.handle(request);
            say!(self, "bridge {node}:   {request:?} -> {answer:?}");
            self.count_answer(request, answer);
            if matches!(answer, Err(Refused::Concurrent)) {
                // A client asks again and again; the markers are written meanwhile.
                if self.calm || self.random.one_in(2) {
                    self.write_markers();
                }
                continue;
            }
            if matches!(answer, Err(Refused::Away)) || self.chaos(Kind::AnswerLost, 12) {
                continue;
            }
            if self.chaos(Kind::GivenUp, 15) {
                self.held.push(request.clone());
                return Ok(Err(Refused::Away));
            }
            self.turbulence(node)?;
            return Ok(answer);
        }
        if !self.calm && self.random.one_in(2) {
            self.held.push(request.clone());
        }
        Ok(Err(Refused::Away))
    }

    fn count_answer(&mut self, request: &Request, answer: Result<Answer, Refused>) {
        match (answer, request) {
            (Err(Refused::Fenced), _) => self.counts.count(Kind::Fenced),
            (Err(Refused::NotInTransaction), _) => self.counts.count(Kind::NotOpen),
            (Err(Refused::OutOfOrder), _) => self.counts.count(Kind::OutOfOrder),
            (Ok(Answer::Offset(at)), Request::Produce { partition, records, .. }) => {
                let log = self.kafka.partitions.as_ref().and_then(|all| all.get(*partition));
                if log.is_some_and(|log| at + records.len() < log.high()) {
                    self.counts.count(Kind::Repeated);
                }
            }
            _ => {}
        }
    }

    /// A request arrives long after it was sent.
    pub fn deliver_late(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let request = self.held.swap_remove(self.random.below(self.held.len()));
        let name = match &request {
            Request::Init { name }
            | Request::Add { name, .. }
            | Request::Produce { name, .. }
            | Request::End { name, .. } => *name,
        };
        let before = self.kafka.transactions.get(&name).cloned();
        let high = |kafka: &Kafka| {
            kafka.partitions.iter().flatten().map(super::kafka::partition::Partition::high).sum::<usize>()
        };
        let length = high(&self.kafka);
        let answer = self.kafka.handle(&request);
        say!(self, "late: {request:?} -> {answer:?}");
        let after = self.kafka.transactions.get(&name);
        let changed = after.map(|at| (&at.state, at.epoch)) != before.as_ref().map(|at| (&at.state, at.epoch));
        let kind = match &request {
            Request::Init { .. } if changed => Kind::LateInit,
            Request::Add { .. } if changed => Kind::LateAdd,
            Request::End { .. } if changed => Kind::LateEnd,
            Request::Produce { .. } if high(&self.kafka) > length => Kind::LateProduce,
            _ => Kind::LateRefused,
        };
        self.counts.count(kind);
    }

    /// What happens of its own accord, one thing of it.
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

    /// In quiet times, all that is open and nobody's is aborted after its time.
    pub fn time_out_all_in_calm(&mut self) {
        if self.calm {
            for transaction in self.kafka.transactions.values_mut() {
                transaction.abort();
            }
        }
    }

    /// What operators do to a node.
    fn operate(&mut self, node: usize) {
        if self.nodes[node].busy {
            return;
        }
        match self.random.below(5) {
            0 if self.enabled[Kind::CleanStop as usize] => self.stop_cleanly(node),
            1 if self.chaos(Kind::Restored, 2) => self.restore(node),
            2 if self.chaos(Kind::CopyStarted, 2) => self.start_copy(),
            3 if self.chaos(Kind::Damaged, 3) => self.damage(node),
            _ if self.chaos(Kind::Crashed, 4) && self.nodes[node].process.is_some() => self.crash(node),
            _ => {}
        }
    }

    fn copy(&mut self, node: usize) {
        if self.copies.len() < 3 {
            say!(self, "bridge {node}: its spool is copied");
            self.copies.push((node, self.nodes[node].disk.stored.clone()));
        }
    }

    fn restore(&mut self, node: usize) {
        let of_node = |(_, (of, _)): &(usize, &(usize, Stored))| *of == node;
        let Some(at) = self.copies.iter().enumerate().filter(of_node).map(|(at, _)| at).next_back() else { return };
        if self.nodes[node].process.is_some() {
            self.crash(node);
        }
        let copy = self.copies[at].1.clone();
        say!(self, "bridge {node}: its spool is replaced by a copy, {} of {}", copy.watermark, copy.next_seq());
        let old = std::mem::replace(&mut self.nodes[node].disk, Disk::of(copy));
        self.ledger.discarded.push(old.stored);
    }

    fn start_copy(&mut self) {
        if self.copies.is_empty() || self.nodes.len() > COPIES_MAX {
            return;
        }
        let (of, copy) = self.copies[self.random.below(self.copies.len())].clone();
        say!(
            self,
            "bridge {}: a copy of that of bridge {of}, {} of {}",
            self.nodes.len(),
            copy.watermark,
            copy.next_seq()
        );
        self.nodes.push(Node::new(Disk::of(copy)));
    }

    fn damage(&mut self, node: usize) {
        let disk = &mut self.nodes[node].disk;
        let watermark = disk.watermark;
        if let Some(row) = disk.stored.rows.iter_mut().rev().find(|row| row.until > watermark && !row.damaged) {
            row.damaged = true;
            let (first, until) = (row.first, row.until);
            let ids: Vec<Id> = (first..until).map(|seq: Seq| disk.stored.event(seq).id).collect();
            self.ledger.damaged.extend(ids);
            say!(self, "bridge {node}: the row {first}..{until} is damaged");
        }
    }
}

fn held_kind(request: &Request) -> Kind {
    match request {
        Request::Init { .. } => Kind::HeldInit,
        Request::Add { .. } => Kind::HeldAdd,
        Request::Produce { .. } => Kind::HeldProduce,
        Request::End { .. } => Kind::HeldEnd,
    }
}
