//! The publisher as a pure state machine, which decides the next action.
//!
//! It holds no connection and reads no clock. A driver calls [`Machine::next`], executes the action, and reports
//! the result with [`Machine::on`]. The driver of the process talks to Kafka; tests may simulate Kafka.

use std::time::Duration;

use uuid::Uuid;

pub use super::events::{Action, Event, PartitionOffsets, PoisonReason, Range};
use super::recovered::RecoveredSet;
use crate::spool::{Identity, NextOffsets, Seq};

/// The maximum number of records of one transaction.
pub const TRANSACTION_MAX_RECORDS: u64 = 40_000;
/// After a failed transaction, the next one has this fraction of its records, down to one: on a slow connection
/// each attempt takes its whole timeout. Each success doubles the size again.
const SHRINK: u64 = 8;
/// This many transactions must succeed before a larger size is tried again after a poison record.
const REFUSED_SIZE_PATIENCE: u32 = 100;
/// The pause before the second attempt to reach Kafka again; each further attempt doubles it.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// The longest pause between two attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Backoff,
    Connect,
    ListOffsets,
    Reconcile(Vec<Range>),
    Renew(Seq),
    Begin,
    Publish,
}

/// The state of the publisher.
#[derive(Debug)]
pub struct Machine {
    step: Step,
    /// Failures since the last successful step.
    failures: u32,
    published_end: Seq,
    identities: Vec<Identity>,
    /// The identity of the connected producer.
    connected: Option<Uuid>,
    /// Whether [`Action::Begin`] was executed for this topic.
    begun: bool,
    /// Whether no record of this spool can exist until it begins.
    unused: bool,
    next_offsets: NextOffsets,
    /// The ends of the ranges read last. They become next offsets once the whole recovered set is published.
    read_through: Option<NextOffsets>,
    found: RecoveredSet,
    /// The maximum number of records of the next transaction.
    records: u64,
    /// The size limit while the poison record of a rejected transaction is unknown.
    refused: Option<RefusedSize>,
    /// A record that was rejected alone. It goes to quarantine after the next reconciliation.
    poison: Option<(Seq, PoisonReason)>,
}

#[derive(Debug, Clone, Copy)]
struct RefusedSize {
    records: u64,
    successes: u32,
}

impl Machine {
    /// Creates the machine of an opened spool. `next_offsets` are its stored next offsets; `unused`: no record of it can
    /// exist.
    pub fn new(unused: bool, published_end: Seq, identities: Vec<Identity>, next_offsets: NextOffsets) -> Self {
        Self {
            step: Step::Connect,
            failures: 0,
            published_end,
            identities,
            connected: None,
            begun: false,
            unused,
            next_offsets,
            read_through: None,
            found: RecoveredSet::default(),
            records: TRANSACTION_MAX_RECORDS,
            refused: None,
            poison: None,
        }
    }

    /// Returns the action to execute now.
    pub fn next(&self) -> Action {
        match &self.step {
            Step::Backoff => Action::Backoff(backoff(self.failures)),
            Step::Connect => Action::Connect { spool: self.identity().0 },
            Step::ListOffsets => Action::ListOffsets,
            Step::Reconcile(ranges) => Action::Reconcile(ranges.clone()),
            Step::Begin => Action::Begin { next_offsets: self.next_offsets.clone(), unused: self.unused },
            Step::Renew(first_seq) => Action::Renew { first_seq: *first_seq },
            Step::Publish => {
                if let Some((seq, reason)) = &self.poison {
                    return Action::Quarantine { seq: *seq, reason: reason.clone() };
                }
                Action::Publish { from: self.published_end, below: self.identity().1, records: self.records }
            }
        }
    }

    /// Takes the result of the last action.
    pub fn on(&mut self, event: Event) {
        match event {
            Event::Done => {
                if self.step == Step::Begin {
                    self.begun = true;
                    self.unused = false;
                    self.step = Step::Publish;
                } else {
                    self.step = Step::Connect;
                }
            }
            Event::Used => {
                self.unused = false;
                self.next_offsets.clear();
                self.step = Step::ListOffsets;
            }
            Event::Connected => {
                self.connected = Some(self.identity().0);
                self.step = Step::ListOffsets;
            }
            Event::Offsets(offsets) => self.plan(&offsets),
            Event::Reconciled(found) => self.take(found),
            Event::Renewed(identities) => {
                self.identities = identities;
                // The publisher fences under the new identity, and reconciles again.
                self.step = Step::Connect;
            }
            Event::Quarantined { until } => {
                if self.poison.take().is_some() {
                    // The poison record is found: transactions get their full size again.
                    self.refused = None;
                    self.records = TRANSACTION_MAX_RECORDS;
                }
                self.advance(until);
            }
            Event::Idle => self.failures = 0,
            Event::Committed { until, next } => {
                self.failures = 0;
                if next.iter().any(|(at, next)| self.next_offsets.get(at).is_some_and(|known| next < known)) {
                    // The topic was recreated: offsets of the old topic are not valid for this one.
                    self.next_offsets.values_mut().for_each(|position| *position = 0);
                    self.read_through = None;
                }
                // Recovered records that are still ahead may lie before these offsets. They must be found again after a
                // crash.
                if self.found.highest().is_none_or(|highest| highest < until) {
                    self.next_offsets.extend(next);
                }
                self.grow();
                self.advance(until);
            }
            Event::Rejected { seq, records, reason } => {
                if records <= 1 {
                    self.poison = Some((seq, reason));
                }
                self.records = (records / 2).max(1);
                self.refused = Some(RefusedSize { records: self.records, successes: 0 });
                // Kafka is reachable; halving limits the number of attempts.
                self.failures = 0;
                self.fail();
            }
            Event::UnknownOutcome { records } => {
                if records > 0 {
                    self.records = (records / SHRINK).max(1);
                }
                self.fail();
            }
        }
    }

    /// The published sequence: the next sequence number to publish.
    pub fn published_end(&self) -> Seq {
        self.published_end
    }

    /// The next offsets: below them, no record is at or above the published sequence.
    pub fn next_offsets(&self) -> &NextOffsets {
        &self.next_offsets
    }

    /// Returns an empty recovered set for a reconciliation. The spool has not assigned `next_seq` yet.
    pub fn nothing_found(&self, next_seq: Seq) -> RecoveredSet {
        RecoveredSet::new(self.published_end, next_seq, &self.identities)
    }

    /// Whether the last reconciliation found this number in the topic.
    pub fn is_published(&self, seq: Seq) -> bool {
        self.found.contains(seq)
    }

    /// Whether the producer is connected and no outcome is unknown.
    pub fn is_ready(&self) -> bool {
        self.step == Step::Publish
    }

    /// Returns `bridge_spool` and `bridge_seq` of a sequence number.
    pub fn name(&self, seq: Seq) -> (Uuid, u64) {
        let (uuid, _, first) = self.identity_at(seq);
        (uuid, seq - first + 1)
    }

    /// Failures since the last successful step.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    fn fail(&mut self) {
        self.connected = None;
        self.failures = self.failures.saturating_add(1);
        self.step = if self.failures == 1 { Step::Connect } else { Step::Backoff };
    }

    /// Returns the identity of the next event to publish, and the end of its range.
    fn identity(&self) -> (Uuid, Seq) {
        let (uuid, end, _) = self.identity_at(self.published_end);
        (uuid, end)
    }

    fn identity_at(&self, seq: Seq) -> (Uuid, Seq, Seq) {
        let at = self.identities.partition_point(|identity| identity.first_seq <= seq).saturating_sub(1);
        let end = self.identities.get(at + 1).map_or(Seq::MAX, |next| next.first_seq);
        self.identities.get(at).map_or((Uuid::nil(), end, 1), |identity| (identity.uuid, end, identity.first_seq))
    }

    /// Decides which ranges the reconciliation must read.
    fn plan(&mut self, offsets: &[PartitionOffsets]) {
        let ends: NextOffsets = offsets.iter().map(|at| (at.partition, at.high)).collect();
        if self.unused {
            self.next_offsets = ends;
            self.take(RecoveredSet::default());
            return;
        }
        if self.next_offsets.iter().any(|(at, position)| ends.get(at).is_none_or(|end| position > end)) {
            // The topic was recreated: offsets of the old topic are not valid for this one, also for partitions that have
            // grown beyond them. The stored offsets must be replaced before the next transaction.
            self.next_offsets.clear();
            self.begun = false;
        }
        self.next_offsets = offsets
            .iter()
            .map(|at| {
                // Without a stored offset (a copy of this spool may have published, or the partition is new): from the time
                // of the spool's creation on. If retention has removed the offset: from the first record on.
                let stored = self.next_offsets.get(&at.partition);
                (at.partition, stored.map_or(at.start.max(at.low), |stored| at.low.max(*stored)))
            })
            .collect();
        let ranges: Vec<Range> = ends
            .iter()
            .map(|(&partition, &to)| Range { partition, from: self.next_offsets[&partition], to })
            .filter(|range| range.from < range.to)
            .collect();
        self.read_through = Some(ends);
        if ranges.is_empty() {
            self.take(RecoveredSet::default());
        } else {
            self.step = Step::Reconcile(ranges);
        }
    }

    /// Takes over the recovered set.
    fn take(&mut self, found: RecoveredSet) {
        self.step = match (found.foreign_from(), self.begun) {
            (Some(first_seq), _) => Step::Renew(first_seq),
            (None, false) => Step::Begin,
            (None, true) => Step::Publish,
        };
        if found.foreign_from().is_some() {
            // If taking the new identity fails, the next reconciliation must find its reason again.
            self.read_through = None;
        }
        self.found = found;
        if self.poison.as_ref().is_some_and(|(seq, _)| *seq != self.published_end || self.found.contains(*seq)) {
            self.poison = None;
        }
        self.adopt_ends();
    }

    fn advance(&mut self, published_end: Seq) {
        self.published_end = published_end;
        self.adopt_ends();
        if self.connected.is_some_and(|connected| connected != self.identity().0) {
            self.step = Step::Connect;
        }
    }

    /// Moves the next offsets to the ends of the last reconciliation, once the whole recovered set is published.
    fn adopt_ends(&mut self) {
        if self.found.highest().is_none_or(|highest| highest < self.published_end)
            && let Some(ends) = self.read_through.take()
        {
            for (partition, end) in ends {
                let position = self.next_offsets.entry(partition).or_insert(end);
                *position = end.max(*position);
            }
        }
    }

    /// Doubles the transaction size after a success, within its limits.
    fn grow(&mut self) {
        let mut most = TRANSACTION_MAX_RECORDS;
        if let Some(refused) = &mut self.refused {
            refused.successes += 1;
            if refused.successes >= REFUSED_SIZE_PATIENCE {
                *refused = RefusedSize { records: refused.records * 2, successes: 0 };
            }
            most = refused.records;
            if most >= TRANSACTION_MAX_RECORDS {
                self.refused = None;
            }
        }
        self.records = (self.records * 2).min(most).clamp(1, TRANSACTION_MAX_RECORDS);
    }
}

fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(2).min(16);
    (BACKOFF_MIN * 2_u32.pow(doublings)).min(BACKOFF_MAX)
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
