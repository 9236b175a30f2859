//! Entries as commands, pages and scripts see them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::entry::{RefusedEntry, RefusedId, Replayed, cut};
use super::left_out::LeftOut;
use crate::spool::QuarantineId;

/// Limit of the query, in bytes.
const QUERY_MAX_BYTES: usize = 1024;

/// An entry without its body. Times are RFC 3339 with milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedView {
    /// Its id.
    pub id: RefusedId,
    /// When the webhook arrived.
    pub at: String,
    /// The label of the outcome.
    pub outcome: String,
    /// The `ErrorInfo` of the response.
    pub reason: String,
    /// Whether its `Sign` is right.
    pub authentic: bool,
    /// Now minus `RequestTime`, in seconds, when it arrived.
    pub skew_seconds: Option<i64>,
    /// The app that the query names.
    pub app: Option<u64>,
    /// `Official_Account`, if the body was read.
    pub account: Option<String>,
    /// The `MsgKey`s, if the body was read; at most 20.
    pub msg_keys: Vec<String>,
    /// Their number.
    pub msg_keys_total: u64,
    /// The quarantine entry that has the body.
    pub quarantine_id: Option<QuarantineId>,
    /// Whether `refused replay` has what it needs, and has not been used yet.
    pub replayable: bool,
    /// Its replay.
    pub replayed: Option<ReplayedView>,
    /// The size of the body in bytes, if it is known.
    pub body_bytes: Option<u64>,
    /// The query without `Sign`.
    pub query: String,
    /// The address of the peer.
    pub peer: Option<String>,
    /// The header `X-Request-Id`.
    pub request_id: Option<String>,
    /// The header `traceparent`, if it is valid.
    pub traceparent: Option<String>,
}

/// The replay of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayedView {
    /// When.
    pub at: String,
    /// New events.
    pub records: u64,
    /// Recalls that were accepted before.
    pub duplicates: u64,
    /// The spool UUID.
    pub bridge_spool: Uuid,
    /// The sequence number of the first new event.
    pub bridge_seq: u64,
}

impl From<&RefusedEntry> for RefusedView {
    fn from(entry: &RefusedEntry) -> Self {
        let has_body = entry.body.is_some() || entry.quarantine.is_some();
        Self {
            id: entry.id,
            at: time(entry.at_ms),
            outcome: entry.outcome.clone().into_owned(),
            reason: entry.reason.clone(),
            authentic: entry.standing.is_authentic(),
            skew_seconds: entry.skew_seconds,
            app: entry.app,
            account: entry.account.clone(),
            msg_keys: entry.keys.clone(),
            msg_keys_total: entry.keys_total,
            quarantine_id: entry.quarantine,
            replayable: has_body && entry.replayed.is_none(),
            replayed: entry.replayed.as_ref().map(ReplayedView::from),
            body_bytes: entry.body_bytes,
            query: cut(&entry.query, QUERY_MAX_BYTES),
            peer: entry.peer.map(|peer| peer.to_string()),
            request_id: entry.request_id.clone(),
            traceparent: entry.traceparent.clone(),
        }
    }
}

impl From<&Replayed> for ReplayedView {
    fn from(replayed: &Replayed) -> Self {
        let Replayed { at_ms, records, duplicates, bridge_spool, bridge_seq } = *replayed;
        Self { at: time(at_ms), records, duplicates, bridge_spool, bridge_seq }
    }
}

/// The journal in a few numbers, for `/status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RefusedSummary {
    /// Entries in memory.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Entries by outcome; an outcome without entries is left out.
    pub by_outcome: BTreeMap<String, u64>,
    /// Entries with a valid `Sign`.
    pub authentic: u64,
    /// Entries that `refused replay` can publish.
    pub replayable: u64,
    /// When the newest entry arrived.
    pub last_at: Option<String>,
    /// Entries that are missing since the start of the process, by reason.
    pub left_out: BTreeMap<&'static str, u64>,
}

impl RefusedSummary {
    /// Counts these entries.
    pub(super) fn new<'e>(
        entries: impl Iterator<Item = &'e RefusedEntry>,
        left_out: [u64; LeftOut::ALL.len()],
    ) -> Self {
        let reasons = LeftOut::ALL.into_iter().map(LeftOut::label);
        let mut summary = Self { left_out: reasons.zip(left_out).collect(), ..Self::default() };
        let mut last = None;
        for entry in entries {
            summary.entries += 1;
            summary.bytes += entry.cost() as u64;
            match summary.by_outcome.get_mut(entry.outcome.as_ref()) {
                Some(count) => *count += 1,
                None => drop(summary.by_outcome.insert(entry.outcome.clone().into_owned(), 1)),
            }
            summary.authentic += u64::from(entry.standing.is_authentic());
            summary.replayable +=
                u64::from(entry.replayed.is_none() && (entry.body.is_some() || entry.quarantine.is_some()));
            last = last.max(Some(entry.at_ms));
        }
        summary.last_at = last.map(time);
        summary
    }
}

/// RFC 3339 with milliseconds; the number if the year has not four digits.
fn time(unix_ms: i64) -> String {
    Timestamp::from_millisecond(unix_ms).map_or_else(|_| unix_ms.to_string(), |time| format!("{time:.3}"))
}
