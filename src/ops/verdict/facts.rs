//! What the verdict is made of.

use std::time::Duration;

use crate::ops::status::KafkaStatus;

/// Outcomes that acknowledge a webhook of a published command.
const ACKNOWLEDGED: [&str; 4] = ["accepted", "accepted_unspooled", "duplicate", "empty"];
/// Outcomes that are neither: another command, and a captured `Sign` of another day.
const NEUTRAL: [&str; 2] = ["ignored", "expired"];
/// Refusals that no unauthenticated peer can cause. Each can be a lost recall.
const AUTHENTIC: [&str; 5] = ["stale", "malformed", "spool_full", "unavailable", "timeout"];
/// Refused webhooks that the quarantine keeps.
pub(super) const QUARANTINED: [&str; 2] = ["stale", "malformed"];

/// Whether an outcome acknowledges a webhook of a published command.
pub fn is_acknowledged(outcome: &str) -> bool {
    ACKNOWLEDGED.contains(&outcome)
}

/// Whether a webhook of a published command with this outcome may be a lost recall.
pub fn is_refused(outcome: &str) -> bool {
    !is_acknowledged(outcome) && !NEUTRAL.contains(&outcome)
}

/// The facts from which the verdict is derived.
#[derive(Debug, Clone)]
pub struct VerdictFacts<'a> {
    /// Now, in UNIX milliseconds.
    pub now_ms: i64,
    /// Whether the process is shutting down.
    pub draining: bool,
    /// Why webhooks cannot be accepted; without `draining`.
    pub reasons: &'a [String],
    /// Errors that do not prevent accepting webhooks.
    pub degraded: &'a [String],
    /// Unpublished events.
    pub depth: u64,
    /// Age of the oldest one.
    pub oldest_age: Duration,
    /// Bytes of unpublished payload.
    pub bytes: u64,
    /// Their limit.
    pub capacity_bytes: u64,
    /// The state of the publisher.
    pub kafka: &'a KafkaStatus,
    /// The webhooks of the last minutes.
    pub arrivals: &'a Arrivals,
    /// Entries in quarantine.
    pub quarantine_events: u64,
    /// Entries of the refused journal that can be replayed.
    pub replayable: u64,
}

/// Webhooks that name a published command, in the last minutes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Arrivals {
    /// The length of the window.
    pub window: Duration,
    /// Acknowledged webhooks.
    pub accepted: u64,
    /// Refused webhooks by outcome, without zeros.
    pub refused: Vec<(&'static str, u64)>,
    /// The first refusal after a window without one, in UNIX milliseconds.
    pub refusing_since_ms: Option<i64>,
    /// The last time that a webhook was accepted, in UNIX milliseconds.
    pub last_accepted_ms: Option<i64>,
    /// Bytes per second by which the backlog grows; `None` if it does not.
    pub growth_bytes_per_second: Option<f64>,
    /// Events per second by which the backlog shrinks; `None` if it does not.
    pub drain_events_per_second: Option<f64>,
}

impl Arrivals {
    pub(super) fn refused_total(&self) -> u64 {
        self.refused.iter().map(|(_, count)| count).sum()
    }

    fn authentic(&self) -> u64 {
        self.refused.iter().filter(|(outcome, _)| AUTHENTIC.contains(outcome)).map(|(_, count)| count).sum()
    }

    /// Whether recalls are probably being lost: an authentic webhook was refused, or half of all or more.
    pub(super) fn is_losing(&self) -> bool {
        let refused = self.refused_total();
        self.authentic() > 0 || (refused > 0 && refused >= self.accepted)
    }

    /// The most frequent refusal; of equals, one that is authentic.
    pub(super) fn cause(&self) -> Option<&'static str> {
        let losing = self.authentic() > 0 && self.refused_total() < self.accepted;
        let counted = self.refused.iter().filter(|(outcome, _)| !losing || AUTHENTIC.contains(outcome));
        counted.max_by_key(|(outcome, count)| (*count, AUTHENTIC.contains(outcome))).map(|(outcome, _)| *outcome)
    }
}
