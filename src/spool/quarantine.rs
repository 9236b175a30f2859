//! The terms of the quarantine: reasons, entries, their counts, and who has a share of it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use uuid::Uuid;

/// The reason of an authentic delivery that is no valid recall, or is over a bound.
pub const MALFORMED: &str = "malformed";
/// The reason of a delivery from outside the time window. Anybody can make these who has once seen a signed
/// request, by sending it again with any body.
pub const STALE: &str = "stale";
/// The reason of one from more than a day away.
pub const EXPIRED: &str = "expired";
/// The reason of a delivery of a command that looks like a published one.
pub const NEAR_MISS: &str = "near_miss";
/// Names an entry for as long as the spool exists: numbers are never given out again.
pub type QuarantineId = i64;

/// How much there is of one reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Entries.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Entries by reason.
pub type Tallies = BTreeMap<Cow<'static, str>, Tally>;

/// An entry as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its number.
    pub id: QuarantineId,
    /// When it was put there, in UNIX milliseconds.
    pub at_ms: i64,
    /// Why, as one word.
    pub reason: String,
    /// Why, as a sentence.
    pub detail: String,
    /// The query without Sign; empty for a record.
    pub query: String,
    /// The raw body, or the encoded record.
    pub body: Vec<u8>,
    /// Under which `bridge_spool` and `bridge_seq` it would have been published, for a record.
    pub name: Option<(Uuid, u64)>,
}

impl StoredEntry {
    /// As [`QuarantineEntry::bytes`].
    pub fn bytes(&self) -> u64 {
        bytes(&self.detail, &self.query, &self.body)
    }
}

/// What is kept of a delivery or record that cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineEntry {
    /// When, in UNIX milliseconds.
    pub at_ms: i64,
    /// Why, as one word: an outcome label or a Kafka error.
    pub reason: &'static str,
    /// Why, as a sentence.
    pub detail: String,
    /// The query without Sign; empty for a record that Kafka refused.
    pub query: String,
    /// The raw body, or the encoded record that Kafka refused.
    pub body: Vec<u8>,
}

impl QuarantineEntry {
    /// Bytes that count against the bound.
    pub fn bytes(&self) -> u64 {
        bytes(&self.detail, &self.query, &self.body)
    }
}

fn bytes(detail: &str, query: &str, body: &[u8]) -> u64 {
    (detail.len() + query.len() + body.len()) as u64
}

/// Counts an entry.
pub(super) fn count(tallies: &mut Tallies, entry: &QuarantineEntry) {
    let tally = tallies.entry(Cow::Borrowed(entry.reason)).or_default();
    tally.events += 1;
    tally.bytes += entry.bytes();
}

/// Counts entries that left; their reason's tally goes with the last of them.
pub(super) fn discount(tallies: &mut Tallies, left: &[(String, u64)]) {
    for (reason, bytes) in left {
        let Some(tally) = tallies.get_mut(reason.as_str()) else { continue };
        tally.events = tally.events.saturating_sub(1);
        tally.bytes = tally.bytes.saturating_sub(*bytes);
        if tally.events == 0 {
            tallies.remove(reason.as_str());
        }
    }
}

/// A part of the quarantine, by why entries are in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Authentic, but no valid recall.
    Malformed,
    /// Outside the time window.
    Stale,
    /// More than a day away.
    Expired,
    /// Of a command that looks like a published one.
    NearMiss,
    /// Of the publisher: what Kafka refused, damaged rows, and what another release has left.
    Refused,
}

impl Share {
    /// All of them; the index of one is its place here.
    pub const ALL: [Self; 5] = [Self::Malformed, Self::Stale, Self::Expired, Self::NearMiss, Self::Refused];

    /// The label value in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => MALFORMED,
            Self::Stale => STALE,
            Self::Expired => EXPIRED,
            Self::NearMiss => NEAR_MISS,
            Self::Refused => "refused",
        }
    }

    pub(super) fn of(reason: &str) -> Self {
        Self::ALL.into_iter().find(|share| share.label() == reason).unwrap_or(Self::Refused)
    }
}

/// How much of a share is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareUsage {
    /// Which.
    pub share: Share,
    /// Bytes of its entries.
    pub bytes: u64,
    /// Their bound.
    pub max_bytes: u64,
}
