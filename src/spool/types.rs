//! The terms in which the spool speaks with the other rooms.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::shares::{Share, ShareUsage};

/// A sequence number of this spool, counted from 1 over all its identities.
pub type Seq = u64;

/// The next offset to read, by partition.
pub type Positions = BTreeMap<i32, i64>;

/// Under which name a range of sequence numbers is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The first sequence number of this identity; its `bridge_seq` is 1.
    pub first_seq: Seq,
    /// The `bridge_spool` of its records.
    pub uuid: Uuid,
}

impl Identity {
    /// The `bridge_spool` and the `bridge_seq` of an event.
    pub fn name(identities: &[Self], seq: Seq) -> Option<(Uuid, u64)> {
        let identity = identities.iter().rev().find(|identity| identity.first_seq <= seq)?;
        Some((identity.uuid, seq - identity.first_seq + 1))
    }

    /// The UUID that events from `first_seq` on get when they cannot keep their name. It follows from the
    /// name and the first event, so that copies of a spool that hold the same events take the same one, and
    /// go on fencing each other and finding each other's records. Where there is no event yet, there is
    /// nothing that both could publish.
    pub fn renewed(identities: &[Self], first_seq: Seq, event: Option<&[u8]>) -> Uuid {
        match (Self::name(identities, first_seq), event) {
            (Some((uuid, _)), Some(event)) => {
                let name = [&first_seq.to_be_bytes(), event].concat();
                Uuid::new_v5(&uuid, &name)
            }
            _ => Uuid::now_v7(),
        }
    }

    /// When the name was taken, by the clock of then, in UNIX milliseconds: a UUID of version 7 tells it
    /// (RFC 9562). None for a name of an earlier release (version 4) and for a derived one (version 5).
    pub fn taken_at_ms(&self) -> Option<i64> {
        if self.uuid.get_version_num() != 7 {
            return None;
        }
        let (seconds, nanos) = self.uuid.get_timestamp()?.to_unix();
        i64::try_from(seconds * 1000 + u64::from(nanos / 1_000_000)).ok()
    }
}

/// How far the spool has come, all from one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// The next sequence number to give out.
    pub next_seq: Seq,
    /// The next sequence number to publish; below it all is in Kafka or in quarantine.
    pub watermark: Seq,
    /// `next_seq` when the process opened the spool.
    pub opened_next_seq: Seq,
    /// `watermark` when the process opened the spool.
    pub opened_watermark: Seq,
    /// Records moved to quarantine since then.
    pub quarantined: u64,
}

impl Progress {
    /// Events waiting to be published.
    pub fn depth(&self) -> u64 {
        self.next_seq - self.watermark
    }
    /// Events that waited when the process opened the spool.
    pub fn recovered(&self) -> u64 {
        self.opened_next_seq - self.opened_watermark
    }
    /// Events accepted since then.
    pub fn accepted(&self) -> u64 {
        self.next_seq - self.opened_next_seq
    }
    /// Records known to be in Kafka since then.
    pub fn published(&self) -> u64 {
        self.watermark - self.opened_watermark - self.quarantined
    }
}

/// A watermark to store, with the positions in the topic that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// The next sequence number to publish.
    pub watermark: Seq,
    /// The topic of the positions.
    pub topic: Arc<str>,
    /// Offsets below which no record at or above the watermark can be; partitions not named keep
    /// what they have.
    pub positions: Positions,
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
        (self.detail.len() + self.query.len() + self.body.len()) as u64
    }
}

/// Numbers for status and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of unpublished payload, and what of the quarantine counts as such.
    pub bytes: u64,
    /// Their bound.
    pub max_bytes: u64,
    /// Whether deliveries are refused because of it.
    pub full: bool,
    /// Entries in quarantine.
    pub quarantine_events: u64,
    /// Their bytes.
    pub quarantine_bytes: u64,
    /// Their bound.
    pub quarantine_max_bytes: u64,
    /// The same by share.
    pub quarantine_shares: [ShareUsage; Share::ALL.len()],
}

/// The memory for events accepted lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecentUsage {
    /// How long an event is remembered; zero: not at all.
    pub window: Duration,
    /// How far back it reaches: the window, unless there was no room for all of it.
    pub covers: Duration,
    /// Events remembered.
    pub ids: u64,
    /// Memory taken, in bytes.
    pub bytes: u64,
    /// Events not added since the start, because they were there.
    pub repeats: u64,
}
