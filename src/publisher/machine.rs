//! What to do next: the publisher as a pure state machine.
//!
//! It holds no connection and reads no clock. A driver asks [`Machine::next`], does it, and tells
//! the result with [`Machine::on`]. The driver of the process talks to Kafka; a test may simulate
//! it.

use std::time::Duration;

use uuid::Uuid;

pub use super::events::{Action, Event, PartitionOffsets, Range, Refusal};
use super::found::Found;
use crate::spool::{Identity, Positions, Seq};

/// Records of one transaction at most.
pub const TRANSACTION_MAX_RECORDS: u64 = 10_000;
/// After a failed transaction the next one is so many times smaller, down to one record: where the way to
/// Kafka is slow, each attempt costs its whole time-out. Each success doubles it again.
const SHRINK: u64 = 8;
/// Transactions that must succeed before a size that was refused is tried again.
const REFUSED_SIZE_PATIENCE: u32 = 100;
/// Waiting before attempt 2, 3, 4 … to reach Kafka again: doubled from the first to the second.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Backoff,
    Connect,
    ListOffsets,
    ReadBack(Vec<Range>),
    Renew(Seq),
    Begin,
    Publish,
}

/// The publisher's knowledge and its next step.
#[derive(Debug)]
pub struct Machine {
    step: Step,
    /// Failures since Kafka was last reached.
    failures: u32,
    watermark: Seq,
    identities: Vec<Identity>,
    /// The identity the present producer is connected for.
    connected: Option<Uuid>,
    /// Whether [`Action::Begin`] was done, for this topic.
    begun: bool,
    /// Whether no record of this spool can be anywhere, as long as it has not begun.
    unused: bool,
    positions: Positions,
    /// Ends of the ranges last read: become positions once all that was found lies below the watermark.
    read_through: Option<Positions>,
    found: Found,
    /// Most records of the next transaction.
    records: u64,
    /// The largest size not refused, while the reason of a refusal is not found.
    refused: Option<RefusedSize>,
    /// A record that was refused alone: to be quarantined once the topic was read back.
    condemned: Option<(Seq, Refusal)>,
}

#[derive(Debug, Clone, Copy)]
struct RefusedSize {
    records: u64,
    successes: u32,
}

impl Machine {
    /// A machine for a spool as it was opened: `positions` are those stored for it; `unused` says that no
    /// record of it can be anywhere.
    pub fn new(unused: bool, watermark: Seq, identities: Vec<Identity>, positions: Positions) -> Self {
        Self {
            step: Step::Connect,
            failures: 0,
            watermark,
            identities,
            connected: None,
            begun: false,
            unused,
            positions,
            read_through: None,
            found: Found::default(),
            records: TRANSACTION_MAX_RECORDS,
            refused: None,
            condemned: None,
        }
    }

    /// What to do now.
    pub fn next(&self) -> Action {
        match &self.step {
            Step::Backoff => Action::Backoff(backoff(self.failures)),
            Step::Connect => Action::Connect { spool: self.identity().0 },
            Step::ListOffsets => Action::ListOffsets,
            Step::ReadBack(ranges) => Action::ReadBack(ranges.clone()),
            Step::Begin => Action::Begin { positions: self.positions.clone(), unused: self.unused },
            Step::Renew(first_seq) => Action::Renew { first_seq: *first_seq },
            Step::Publish => {
                if let Some((seq, reason)) = &self.condemned {
                    return Action::Quarantine { seq: *seq, reason: reason.clone() };
                }
                Action::Publish { from: self.watermark, below: self.identity().1, records: self.records }
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
                self.positions.clear();
                self.step = Step::ListOffsets;
            }
            Event::Connected => {
                self.connected = Some(self.identity().0);
                self.step = Step::ListOffsets;
            }
            Event::Offsets(offsets) => self.plan(&offsets),
            Event::ReadBack(found) => self.take(found),
            Event::Renewed(identities) => {
                self.identities = identities;
                // Fenced under the name that publishes next, and read back once more.
                self.step = Step::Connect;
            }
            Event::Quarantined { until } => {
                if self.condemned.take().is_some() {
                    // The cause is found: full transactions again.
                    self.refused = None;
                    self.records = TRANSACTION_MAX_RECORDS;
                }
                self.advance(until);
            }
            Event::Idle => self.failures = 0,
            Event::Committed { until, next } => {
                self.failures = 0;
                if next.iter().any(|(at, next)| self.positions.get(at).is_some_and(|known| next < known)) {
                    // The topic was made anew: no offset of the old one says anything about this one.
                    self.positions.values_mut().for_each(|position| *position = 0);
                    self.read_through = None;
                }
                // What was found ahead may lie before these offsets, and must be found again after a crash.
                if self.found.highest().is_none_or(|highest| highest < until) {
                    self.positions.extend(next);
                }
                self.grow();
                self.advance(until);
            }
            Event::Refused { seq, records, reason } => {
                if records <= 1 {
                    self.condemned = Some((seq, reason));
                }
                self.records = (records / 2).max(1);
                self.refused = Some(RefusedSize { records: self.records, successes: 0 });
                // Kafka was reached; halving bounds the attempts.
                self.failures = 0;
                self.fail();
            }
            Event::Doubt { records } => {
                if records > 0 {
                    self.records = (records / SHRINK).max(1);
                }
                self.fail();
            }
        }
    }

    /// The next sequence number to publish.
    pub fn watermark(&self) -> Seq {
        self.watermark
    }

    /// Offsets below which no record at or above the watermark is.
    pub fn positions(&self) -> &Positions {
        &self.positions
    }

    /// Where a reading notes what it finds; from `next_seq` on the spool has given out no number.
    pub fn nothing_found(&self, next_seq: Seq) -> Found {
        Found::new(self.watermark, next_seq, &self.identities)
    }

    /// Whether a record was found in the topic when it was last read.
    pub fn is_published(&self, seq: Seq) -> bool {
        self.found.contains(seq)
    }

    /// Whether the producer is connected and nothing is in doubt.
    pub fn is_ready(&self) -> bool {
        self.step == Step::Publish
    }

    /// The name under which a sequence number is published: `bridge_spool` and `bridge_seq`.
    pub fn name(&self, seq: Seq) -> (Uuid, u64) {
        let (uuid, _, first) = self.identity_at(seq);
        (uuid, seq - first + 1)
    }

    /// Failures since Kafka was last reached.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    fn fail(&mut self) {
        self.connected = None;
        self.failures = self.failures.saturating_add(1);
        self.step = if self.failures == 1 { Step::Connect } else { Step::Backoff };
    }

    /// The identity that publishes at the watermark, and the end of its range.
    fn identity(&self) -> (Uuid, Seq) {
        let (uuid, end, _) = self.identity_at(self.watermark);
        (uuid, end)
    }

    fn identity_at(&self, seq: Seq) -> (Uuid, Seq, Seq) {
        let at = self.identities.partition_point(|identity| identity.first_seq <= seq).saturating_sub(1);
        let end = self.identities.get(at + 1).map_or(Seq::MAX, |next| next.first_seq);
        self.identities.get(at).map_or((Uuid::nil(), end, 1), |identity| (identity.uuid, end, identity.first_seq))
    }

    /// Decides what must be read back.
    fn plan(&mut self, offsets: &[PartitionOffsets]) {
        let ends: Positions = offsets.iter().map(|at| (at.partition, at.high)).collect();
        if self.unused {
            self.positions = ends;
            self.take(Found::default());
            return;
        }
        if self.positions.iter().any(|(at, position)| ends.get(at).is_none_or(|end| position > end)) {
            // The topic was made anew: no offset of the old one says anything about this one, also where it
            // has grown beyond. What is stored must not outlive the next transaction.
            self.positions.clear();
            self.begun = false;
        }
        self.positions = offsets
            .iter()
            .map(|at| {
                // Nothing stored (a copy of this spool may have published), or a partition that is new
                // since then: from the time of the spool's creation on. Offsets that retention removed: from
                // the earliest record on.
                let stored = self.positions.get(&at.partition);
                (at.partition, stored.map_or(at.start.max(at.low), |stored| at.low.max(*stored)))
            })
            .collect();
        let ranges: Vec<Range> = ends
            .iter()
            .map(|(&partition, &to)| Range { partition, from: self.positions[&partition], to })
            .filter(|range| range.from < range.to)
            .collect();
        self.read_through = Some(ends);
        if ranges.is_empty() {
            self.take(Found::default());
        } else {
            self.step = Step::ReadBack(ranges);
        }
    }

    /// Goes on with what was found in the topic.
    fn take(&mut self, found: Found) {
        self.step = match (found.foreign_from(), self.begun) {
            (Some(first_seq), _) => Step::Renew(first_seq),
            (None, false) => Step::Begin,
            (None, true) => Step::Publish,
        };
        if found.foreign_from().is_some() {
            // What asks for a new identity must be found again, if taking it fails.
            self.read_through = None;
        }
        self.found = found;
        if self.condemned.as_ref().is_some_and(|(seq, _)| *seq != self.watermark || self.found.contains(*seq)) {
            self.condemned = None;
        }
        self.settle();
    }

    fn advance(&mut self, watermark: Seq) {
        self.watermark = watermark;
        self.settle();
        if self.connected.is_some_and(|connected| connected != self.identity().0) {
            self.step = Step::Connect;
        }
    }

    /// Once nothing that was found lies ahead, the next reading may start where the last one ended.
    fn settle(&mut self) {
        if self.found.highest().is_none_or(|highest| highest < self.watermark)
            && let Some(ends) = self.read_through.take()
        {
            for (partition, end) in ends {
                let position = self.positions.entry(partition).or_insert(end);
                *position = end.max(*position);
            }
        }
    }

    /// Lets transactions grow again after a success.
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
