//! Types of the quarantine: reasons, entries, counts, shares.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use uuid::Uuid;

use super::reason::QuarantineReason;

/// The id of an entry. Ids are never used again.
pub type QuarantineId = i64;

/// Receives the id of an entry that waits for its commit.
#[derive(Debug, Clone, Default)]
pub(super) struct IdCell(Arc<AtomicI64>);

impl IdCell {
    pub(super) fn set(&self, id: QuarantineId) {
        self.0.store(id, Relaxed);
    }

    /// The id of the last attempt to commit. The message about the commit orders this after [`set`](Self::set).
    pub(super) fn get(&self) -> QuarantineId {
        self.0.load(Relaxed)
    }
}

/// Entries of one reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Number of entries.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Entries by reason.
pub type Tallies = BTreeMap<QuarantineReason, Tally>;

/// A stored entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its id.
    pub id: QuarantineId,
    /// When it was stored, in UNIX milliseconds.
    pub at_ms: i64,
    /// The reason.
    pub reason: QuarantineReason,
    /// The reason, one sentence.
    pub detail: String,
    /// The query without Sign; empty for a record.
    pub query: String,
    /// The raw body, or the encoded record.
    pub body: Vec<u8>,
    /// For a record: its `bridge_spool` and `bridge_seq`.
    pub name: Option<(Uuid, u64)>,
}

impl StoredEntry {
    /// As [`QuarantineEntry::bytes`].
    pub fn bytes(&self) -> u64 {
        bytes(&self.detail, &self.query, &self.body)
    }
}

/// An entry to store: a webhook or record that cannot be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineEntry {
    /// The time, in UNIX milliseconds.
    pub at_ms: i64,
    /// The reason.
    pub reason: QuarantineReason,
    /// The reason, one sentence.
    pub detail: String,
    /// The query without Sign; empty for a record.
    pub query: String,
    /// The raw body, or the encoded record.
    pub body: Vec<u8>,
}

impl QuarantineEntry {
    /// Bytes that count against the limit.
    pub fn bytes(&self) -> u64 {
        bytes(&self.detail, &self.query, &self.body)
    }
}

fn bytes(detail: &str, query: &str, body: &[u8]) -> u64 {
    (detail.len() + query.len() + body.len()) as u64
}

/// Counts an entry.
pub(super) fn count(tallies: &mut Tallies, entry: &QuarantineEntry) {
    let tally = tallies.entry(entry.reason.clone()).or_default();
    tally.events += 1;
    tally.bytes += entry.bytes();
}

/// Subtracts removed entries. A reason without entries is removed.
pub(super) fn discount(tallies: &mut Tallies, left: &[(QuarantineReason, u64)]) {
    for (reason, bytes) in left {
        let Some(tally) = tallies.get_mut(reason) else { continue };
        tally.events = tally.events.saturating_sub(1);
        tally.bytes = tally.bytes.saturating_sub(*bytes);
        if tally.events == 0 {
            tallies.remove(reason);
        }
    }
}

/// A part of the quarantine, for one kind of reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Authentic webhooks that are not valid recalls.
    Malformed,
    /// Webhooks outside the time window.
    Stale,
    /// Webhooks more than a day away.
    Expired,
    /// Webhooks whose command is similar to a published one.
    NearMiss,
    /// Entries of the publisher (poison records, corrupted rows), and entries of other releases.
    Refused,
}

impl Share {
    /// All shares, by index.
    pub const ALL: [Self; 5] = [Self::Malformed, Self::Stale, Self::Expired, Self::NearMiss, Self::Refused];

    /// The label value in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Stale => "stale",
            Self::Expired => "expired",
            Self::NearMiss => "near_miss",
            Self::Refused => "refused",
        }
    }

    pub(super) fn of(reason: &QuarantineReason) -> Self {
        match reason {
            QuarantineReason::Malformed => Self::Malformed,
            QuarantineReason::Stale => Self::Stale,
            QuarantineReason::Expired => Self::Expired,
            QuarantineReason::NearMiss => Self::NearMiss,
            _ => Self::Refused,
        }
    }
}

/// Usage of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareUsage {
    /// The share.
    pub share: Share,
    /// Its bytes.
    pub bytes: u64,
    /// Its limit, in bytes.
    pub max_bytes: u64,
}
