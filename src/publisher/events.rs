//! What machine and driver tell each other.

use std::time::Duration;

use uuid::Uuid;

use super::found::Found;
use crate::spool::{Identity, Positions, Seq};

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Wait; nothing is open.
    Backoff(Duration),
    /// Throw the producer away, make a new one for this spool identity, and fence the old one
    /// (`init_transactions`).
    Connect {
        /// The identity that names the transactions.
        spool: Uuid,
    },
    /// Ask for the first and the next offset of every partition of the topic, uncommitted records
    /// counted.
    ListOffsets,
    /// Before the first transaction of this process: store the positions, durably.
    Begin {
        /// Where the next reading begins.
        positions: Positions,
        /// They leave out what is in the topic already, because nothing of this spool can be: which holds
        /// only as long as it has accepted nothing. Otherwise a copy of it may have published.
        unused: bool,
    },
    /// Read these ranges in `read_committed`, once the last stable offset has passed their end,
    /// and note every sequence number of this spool in
    /// [`Machine::nothing_found`](super::machine::Machine::nothing_found).
    ReadBack(Vec<Range>),
    /// Take a new identity for the events from `first_seq` on.
    Renew {
        /// The first sequence number of the new identity.
        first_seq: Seq,
    },
    /// Move this record to quarantine, and the watermark behind it.
    Quarantine {
        /// Its sequence number, which is the watermark.
        seq: Seq,
        /// Why Kafka refused it.
        reason: Refusal,
    },
    /// Publish events `from ..`, below `below`, at most `records` of them, in one transaction;
    /// skip those that [`Machine::is_published`](super::machine::Machine::is_published).
    Publish {
        /// The first one.
        from: Seq,
        /// The end of this identity's range.
        below: Seq,
        /// The most to take.
        records: u64,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A backoff is over, or what [`Action::Begin`] names is stored.
    Done,
    /// The producer is connected and fenced.
    Connected,
    /// The spool has accepted something before [`Action::Begin`] was done; nothing is stored.
    Used,
    /// The offsets of every partition.
    Offsets(Vec<PartitionOffsets>),
    /// All ranges were read.
    ReadBack(Found),
    /// The spool has these identities now.
    Renewed(Vec<Identity>),
    /// What stood at the watermark is in quarantine.
    Quarantined {
        /// The sequence number behind it.
        until: Seq,
    },
    /// There was nothing to publish.
    Idle,
    /// All events below `until` are committed; `next` names the offset after the last record of
    /// each partition that got one.
    Committed {
        /// The sequence number after the last one of the transaction.
        until: Seq,
        /// Offsets from delivery reports.
        next: Positions,
    },
    /// Kafka refused a record of a transaction for good.
    Refused {
        /// The first refused one.
        seq: Seq,
        /// Records in the transaction.
        records: u64,
        /// What Kafka said.
        reason: Refusal,
    },
    /// Anything else: what became of a transaction, if one was open, is not known.
    Doubt {
        /// Records that were to be sent, 0 if it did not come to that.
        records: u64,
    },
}

/// Why Kafka refuses a record for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// One word.
    pub reason: &'static str,
    /// A sentence.
    pub detail: String,
}

/// The offsets of one partition: `low` is the first that is there, `high` the next to be written, and
/// between them `start` the first that can be a record of this spool, by the time of its creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionOffsets {
    /// The partition.
    pub partition: i32,
    /// First offset still there.
    pub low: i64,
    /// High watermark.
    pub high: i64,
    /// What lies below it is older than the spool; `low` where that is not known.
    pub start: i64,
}

/// Offsets of one partition to read: `from` up to, not including, `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The partition.
    pub partition: i32,
    /// The first offset.
    pub from: i64,
    /// The offset after the last.
    pub to: i64,
}
