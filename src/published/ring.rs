//! The records that this process published last.

use std::collections::VecDeque;
use std::sync::Arc;

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

#[derive(Debug, Default)]
struct RingState {
    records: VecDeque<PublishedRecord>,
    accounts: BusyAccounts,
}

impl PublishedRing {
    /// The number of records that the ring keeps.
    pub const LEN: usize = RECORDS_MAX;

    /// Counts the records of a committed transaction, and keeps the last ones whose place is known. `place` returns
    /// partition and offset of the record at an index.
    pub fn add(&self, records: &[((Uuid, u64), Record<'_>)], place: impl Fn(usize) -> Option<(i32, i64)>, now_ms: i64) {
        let kept = records.len().saturating_sub(RECORDS_MAX);
        let published_at = clock::iso8601(now_ms);
        let newest: Vec<PublishedRecord> = records
            .iter()
            .enumerate()
            .skip(kept)
            .filter_map(|(index, ((bridge_spool, bridge_seq), record))| {
                let (partition, offset) = place(index)?;
                let header =
                    |wanted| record.headers().find(|(name, _)| *name == wanted).map_or(&b""[..], |(_, value)| value);
                Some(PublishedRecord {
                    published_at: published_at.clone(),
                    published_at_ms: now_ms,
                    partition,
                    offset,
                    account: shown(record.key),
                    msg_key: shown(header(SUBJECT)),
                    event_id: shown(header(ID)),
                    bridge_spool: *bridge_spool,
                    bridge_seq: *bridge_seq,
                    lag_ms: now_ms.saturating_sub(record.timestamp_ms).max(0),
                })
            })
            .collect();
        let mut state = self.0.lock();
        for (_, record) in records {
            state.accounts.count(record.key);
        }
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
