//! The terms in which the spool speaks with the other rooms.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::quarantine::{Share, ShareUsage};

/// A sequence number of this spool, counted from 1 over all its identities.
pub type Seq = u64;

/// The id of an event, by which a duplicate is recognized.
pub type EventId = [u8; 16];

/// The id of an event that is added whatever was accepted before.
pub(super) const NO_ID: EventId = [0; 16];

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

/// The memory of the deduplication window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedupUsage {
    /// How long an event is remembered; zero: not at all.
    pub window: Duration,
    /// How far back it reaches: the window, unless there was no room for all of it.
    pub covers: Duration,
    /// Events remembered.
    pub ids: u64,
    /// Memory taken, in bytes.
    pub bytes: u64,
    /// Duplicates since the start: events that were not added.
    pub duplicates: u64,
}

/// Proof that a delivery is on the disk: only a commit that returned makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durable {
    /// Whether it was there before: the sender has sent it again.
    pub(super) duplicate: bool,
    pub(super) until: Seq,
}

impl Durable {
    /// Whether all of its events were accepted within the deduplication window, so that none of them was added.
    pub fn is_duplicate(self) -> bool {
        self.duplicate
    }

    /// All of its events have sequence numbers below this one.
    pub fn until(self) -> Seq {
        self.until
    }
}
