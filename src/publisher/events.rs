//! The messages between the machine and the driver.

use std::time::Duration;

use uuid::Uuid;

use super::recovered::RecoveredSet;
use crate::spool::{Identity, NextOffsets, QuarantineReason, Seq};

/// An action that the machine asks the driver to execute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Wait. No producer is connected.
    Backoff(Duration),
    /// Discard the producer, create a new one for this spool identity, and fence the old one
    /// (`init_transactions`).
    Connect {
        /// The identity that names the transactions.
        spool: Uuid,
    },
    /// Get the first offset and the high watermark of every partition of the topic.
    ListOffsets,
    /// Before the first transaction of this process: store the next offsets, durably.
    Begin {
        /// The start of the next reconciliation.
        next_offsets: NextOffsets,
        /// The offsets skip the current content of the topic, because no record of this spool can be in it. This is
        /// true only until the spool has accepted an event: after that, a copy of it may have published.
        unused: bool,
    },
    /// Reconcile: read these ranges in `read_committed`, after the last stable offset has passed their ends, and
    /// add every sequence number of this spool to
    /// [`Machine::nothing_found`](super::machine::Machine::nothing_found).
    Reconcile(Vec<Range>),
    /// Take a new identity for the events from `first_seq` on.
    Renew {
        /// The first sequence number of the new identity.
        first_seq: Seq,
    },
    /// Move this poison record to quarantine, and the published sequence past it.
    Quarantine {
        /// The sequence number of the record, which is the next to publish.
        seq: Seq,
        /// Why Kafka rejected it.
        reason: PoisonReason,
    },
    /// Publish events `from ..`, below `below`, at most `records` of them, in one transaction;
    /// skip those that [`Machine::is_published`](super::machine::Machine::is_published).
    Publish {
        /// The first sequence number.
        from: Seq,
        /// The end of this identity's range.
        below: Seq,
        /// The maximum number of records.
        records: u64,
    },
}

/// The result of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The backoff is over, or the offsets of [`Action::Begin`] are stored.
    Done,
    /// The producer is connected and fenced.
    Connected,
    /// The spool accepted an event before [`Action::Begin`] was executed; nothing is stored.
    Used,
    /// The offsets of every partition.
    Offsets(Vec<PartitionOffsets>),
    /// All ranges were read; this is the recovered set.
    Reconciled(RecoveredSet),
    /// The spool has these identities now.
    Renewed(Vec<Identity>),
    /// The events before `until` are in quarantine.
    Quarantined {
        /// The sequence number after the last of them.
        until: Seq,
    },
    /// The backlog is empty.
    Idle,
    /// All events below `until` are committed.
    Committed {
        /// The sequence number after the last one of the transaction.
        until: Seq,
        /// The offset after the last record of each partition that got one, from delivery reports.
        next: NextOffsets,
    },
    /// Kafka rejected a record of a transaction permanently.
    Rejected {
        /// The first rejected record.
        seq: Seq,
        /// Records in the transaction.
        records: u64,
        /// Kafka's reason.
        reason: PoisonReason,
    },
    /// Any other error: the outcome of the transaction, if one was open, is unknown.
    UnknownOutcome {
        /// Records in the transaction; 0 if none was started.
        records: u64,
    },
}

/// Why Kafka rejected a record permanently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoisonReason {
    /// The reason label of the quarantine entry.
    pub reason: QuarantineReason,
    /// Kafka's error text.
    pub detail: String,
}

/// The offsets of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionOffsets {
    /// The partition.
    pub partition: i32,
    /// The first offset that the partition still holds.
    pub low: i64,
    /// The high watermark: the next offset to be written.
    pub high: i64,
    /// Records below it are older than the spool; `low` if that is unknown.
    pub start: i64,
}

/// Offsets of one partition to read, `from..to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The partition.
    pub partition: i32,
    /// The first offset.
    pub from: i64,
    /// The offset after the last.
    pub to: i64,
}
