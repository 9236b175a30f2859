//! The records that this process published last.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;
use uuid::Uuid;

use super::accounts::{AccountVolume, BusyAccounts};
use super::text::shown;
use crate::clock;
use crate::record::Record;
use crate::record::header::{ID, SUBJECT};

/// Records in memory; at most about 450 KiB.
const RECORDS_MAX: usize = 200;

/// The time between two transactions that each fill the ring.
const FILL_INTERVAL: Duration = Duration::from_millis(100);

/// A published record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublishedRecord {
    /// When its transaction was committed, in ISO 8601.
    pub published_at: String,
    /// The same in UNIX milliseconds.
    pub published_at_ms: i64,
    /// The partition.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
    /// The account.
    pub account: String,
    /// The MsgKey.
    pub msg_key: String,
    /// The event id.
    pub event_id: String,
    /// The header `bridge_spool`.
    pub bridge_spool: Uuid,
    /// The header `bridge_seq`.
    pub bridge_seq: u64,
    /// Milliseconds from receipt to the commit.
    pub lag_ms: i64,
}

/// The last published records, and the accounts with the most of them. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct PublishedRing(Arc<Mutex<RingState>>);

impl PublishedRecord {
    /// A record with its `bridge_spool` and `bridge_seq`, its partition and offset, and the time of the commit.
    pub fn new(
        (bridge_spool, bridge_seq): (Uuid, u64),
        record: &Record<'_>,
        (partition, offset): (i32, i64),
        now_ms: i64,
    ) -> Self {
        let header = |wanted| record.headers().find(|(name, _)| *name == wanted).map_or(&b""[..], |(_, value)| value);
        Self {
            published_at: clock::iso8601(now_ms),
            published_at_ms: now_ms,
            partition,
            offset,
            account: shown(record.key),
            msg_key: shown(header(SUBJECT)),
            event_id: shown(header(ID)),
            bridge_spool,
            bridge_seq,
            lag_ms: now_ms.saturating_sub(record.timestamp_ms).max(0),
        }
    }
}

#[derive(Debug, Default)]
struct RingState {
    records: VecDeque<PublishedRecord>,
    /// When one transaction last filled the ring.
    filled_at: Option<Instant>,
    accounts: BusyAccounts,
}

impl PublishedRing {
    /// The number of records that the ring keeps.
    pub const LEN: usize = RECORDS_MAX;

    /// Counts the records of a committed transaction by their accounts.
    pub fn count<'k>(&self, accounts: impl Iterator<Item = &'k [u8]>) {
        let mut state = self.0.lock();
        accounts.for_each(|account| state.accounts.count(account));
    }

    /// Whether the newest records of a committed transaction are to be [kept](Self::keep): of transactions that alone
    /// fill the ring, one every 100 ms is enough.
    pub fn is_due(&self, records: usize) -> bool {
        let mut state = self.0.lock();
        let is_due = records < RECORDS_MAX || state.filled_at.is_none_or(|at| at.elapsed() >= FILL_INTERVAL);
        if is_due && records >= RECORDS_MAX {
            state.filled_at = Some(Instant::now());
        }
        is_due
    }

    /// Keeps the newest records of a committed transaction.
    pub fn keep(&self, newest: Vec<PublishedRecord>) {
        let mut state = self.0.lock();
        state.records.extend(newest);
        let surplus = state.records.len().saturating_sub(RECORDS_MAX);
        state.records.drain(..surplus);
    }

    /// The last records, newest first.
    pub fn newest(&self, limit: usize) -> Vec<PublishedRecord> {
        self.0.lock().records.iter().rev().take(limit).cloned().collect()
    }

    /// The accounts with the most records since the start of the process, highest first.
    pub fn accounts(&self, limit: usize) -> Vec<AccountVolume> {
        self.0.lock().accounts.top(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_transactions_are_always_kept_and_large_ones_at_intervals() {
        let ring = PublishedRing::default();
        assert!(ring.is_due(RECORDS_MAX), "nothing was kept yet");
        assert!(ring.is_due(1) && ring.is_due(RECORDS_MAX - 1));
        ring.0.lock().filled_at = Instant::now().checked_sub(FILL_INTERVAL);
        assert!(ring.is_due(RECORDS_MAX + 1));
        ring.0.lock().filled_at = Some(Instant::now() + FILL_INTERVAL);
        assert!(!ring.is_due(RECORDS_MAX) && ring.is_due(1));
    }
}
