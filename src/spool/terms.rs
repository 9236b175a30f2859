//! Types that the spool exchanges with other modules.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::quarantine::{Share, ShareUsage};

/// A sequence number of this spool, counted from 1 across all its identities.
pub type Seq = u64;

/// The id of an event. Duplicates have the same id.
pub type EventId = [u8; 16];

/// The id of an event without deduplication.
pub(super) const NO_ID: EventId = [0; 16];

/// The next offset to read, by partition.
pub type NextOffsets = BTreeMap<i32, i64>;

/// The spool UUID of a range of sequence numbers.
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

    /// The UUID of the events from `first_seq` on after an identity change. It is derived from the old UUID and the
    /// first event, so copies of a spool with the same events take the same UUID, fence each other and find each
    /// other's records. Without an event, copies have nothing to publish in common, and the UUID is random.
    pub fn renewed(identities: &[Self], first_seq: Seq, event: Option<&[u8]>) -> Uuid {
        match (Self::name(identities, first_seq), event) {
            (Some((uuid, _)), Some(event)) => {
                let name = [&first_seq.to_be_bytes(), event].concat();
                Uuid::new_v5(&uuid, &name)
            }
            _ => Uuid::now_v7(),
        }
    }

    /// When the UUID was created, by the wall clock, in UNIX milliseconds: a UUID of version 7 contains it (RFC
    /// 9562). None for UUIDs of an earlier release (version 4) and derived ones (version 5).
    pub fn taken_at_ms(&self) -> Option<i64> {
        if self.uuid.get_version_num() != 7 {
            return None;
        }
        let (seconds, nanos) = self.uuid.get_timestamp()?.to_unix();
        i64::try_from(seconds * 1000 + u64::from(nanos / 1_000_000)).ok()
    }
}

/// The sequence numbers of the spool at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// The sequence number of the next accepted event.
    pub next_seq: Seq,
    /// The published sequence: all events below it are in Kafka or in quarantine.
    pub published_end: Seq,
    /// `next_seq` when the process opened the spool.
    pub opened_next_seq: Seq,
    /// `published_end` when the process opened the spool.
    pub opened_watermark: Seq,
    /// Records moved to quarantine since then.
    pub quarantined: u64,
}

impl Progress {
    /// Unpublished events.
    pub fn depth(&self) -> u64 {
        self.next_seq - self.published_end
    }
    /// Unpublished events when the process opened the spool.
    pub fn recovered(&self) -> u64 {
        self.opened_next_seq - self.opened_watermark
    }
    /// Events accepted since then.
    pub fn accepted(&self) -> u64 {
        self.next_seq - self.opened_next_seq
    }
    /// Records known to be in Kafka since then.
    pub fn published(&self) -> u64 {
        self.published_end - self.opened_watermark - self.quarantined
    }
}

/// A published sequence to store, with its next offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// The next sequence number to publish.
    pub published_end: Seq,
    /// The topic of the next offsets.
    pub topic: Arc<str>,
    /// Next offsets: no record of an unpublished event is below them. Partitions that are not named keep theirs.
    pub next_offsets: NextOffsets,
}

/// Values for `/status` and the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of unpublished payload, including the part of the quarantine that counts as such.
    pub bytes: u64,
    /// Their limit.
    pub max_bytes: u64,
    /// Whether webhooks are refused because of it.
    pub full: bool,
    /// Entries in quarantine.
    pub quarantine_events: u64,
    /// Their bytes.
    pub quarantine_bytes: u64,
    /// Their limit.
    pub quarantine_max_bytes: u64,
    /// The same by share.
    pub quarantine_shares: [ShareUsage; Share::ALL.len()],
}

/// The memory of the deduplication window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedupUsage {
    /// Length of the window; zero: deduplication is off.
    pub window: Duration,
    /// The time within which duplicates are recognized: the window, or less if the limit of ids was reached.
    pub covers: Duration,
    /// Number of ids.
    pub ids: u64,
    /// Allocated memory, in bytes.
    pub bytes: u64,
    /// Duplicates since the start.
    pub duplicates: u64,
}

/// An encoded event with its id for deduplication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentifiedEvent {
    /// Its bytes.
    pub event: Vec<u8>,
    /// Its id.
    pub id: EventId,
}

/// The events of a replayed webhook that were added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The sequence number of the first one; the next one if no event was added.
    pub first_seq: Seq,
    /// Their number. All others are duplicates.
    pub events: u64,
}

/// Proof that a webhook is on the disk: only a successful commit creates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durable {
    /// Whether all its events are duplicates.
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
