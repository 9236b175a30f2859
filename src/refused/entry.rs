//! One refused webhook.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::body::KeptBody;
use crate::spool::QuarantineId;
use crate::{events, webhook};

/// The id of an entry: 1, 2, 3 … in the order of refusal. Ids are not used again, and may have gaps after a restart.
pub type RefusedId = u64;

/// Limits of the fields, in bytes. A longer text is cut.
const REASON_MAX_BYTES: usize = 512;
const QUERY_MAX_BYTES: usize = 1024;
const ACCOUNT_MAX_BYTES: usize = 1024;
const KEY_MAX_BYTES: usize = 256;
const REQUEST_ID_MAX_BYTES: usize = 128;
/// Limit of the keys that are listed.
const KEYS_MAX: usize = 20;
/// A larger body is not kept: the webhook can then not be replayed.
const BODY_MAX_BYTES: usize = 256 << 10;
/// Appended to a text that was cut.
const CUT: &str = "…";

/// What the `Sign` of a refused webhook proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nothing: anyone can send it. No body was read.
    Unauthentic,
    /// The `Sign` is right, and its time is outside the time window: it can be a replay of a captured request.
    OutsideWindow,
    /// The `Sign` is right, and its time too.
    Authentic,
}

impl Standing {
    /// Whether the `Sign` is right.
    pub fn is_authentic(self) -> bool {
        self != Self::Unauthentic
    }
}

/// The facts of a refusal, as the webhook listener knows them.
#[derive(Debug)]
pub struct RefusedFacts<'a> {
    /// When the webhook arrived, in UNIX milliseconds.
    pub at_ms: i64,
    /// The label of the outcome.
    pub outcome: &'static str,
    /// The `ErrorInfo` of the response.
    pub reason: &'a str,
    /// What the `Sign` proves.
    pub standing: Standing,
    /// Now minus `RequestTime`, in seconds, if the webhook is authentic.
    pub skew_seconds: Option<i64>,
    /// The query as sent.
    pub query: &'a [u8],
    /// The complete body, if it was read.
    pub body: Option<&'a [u8]>,
    /// The size of the body in bytes, if it is known.
    pub body_bytes: Option<u64>,
    /// The quarantine entry that has the body.
    pub quarantine: Option<QuarantineId>,
    /// The header `traceparent`.
    pub traceparent: Option<&'a str>,
    /// The header `X-Request-Id`.
    pub request_id: Option<&'a str>,
    /// The address of the peer.
    pub peer: Option<IpAddr>,
}

/// A refused webhook. It has neither a token nor a `Sign`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedEntry {
    /// Its id.
    pub id: RefusedId,
    /// When the webhook arrived, in UNIX milliseconds.
    pub at_ms: i64,
    /// The label of the outcome.
    pub outcome: Cow<'static, str>,
    /// The `ErrorInfo` of the response.
    pub reason: String,
    /// What the `Sign` proves.
    pub standing: Standing,
    /// Now minus `RequestTime`, in seconds, if the webhook is authentic.
    pub skew_seconds: Option<i64>,
    /// The app that the query names.
    pub app: Option<u64>,
    /// `Official_Account`, if the body was read.
    pub account: Option<String>,
    /// The `MsgKey`s, if the body was read; at most 20.
    pub keys: Vec<String>,
    /// Their number.
    pub keys_total: u64,
    /// The query without `Sign`.
    pub query: String,
    /// The size of the body in bytes, if it is known.
    pub body_bytes: Option<u64>,
    /// The body, if the webhook is authentic and not in quarantine.
    pub body: Option<KeptBody>,
    /// The quarantine entry that has the body.
    pub quarantine: Option<QuarantineId>,
    /// The header `traceparent`, if it is valid.
    pub traceparent: Option<String>,
    /// The header `X-Request-Id`.
    pub request_id: Option<String>,
    /// The address of the peer.
    pub peer: Option<IpAddr>,
    /// Its replay.
    #[serde(skip)]
    pub replayed: Option<Replayed>,
}

/// The replay of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// When, in UNIX milliseconds.
    pub at_ms: i64,
    /// New events.
    pub records: u64,
    /// Recalls that were accepted before, and were not added.
    pub duplicates: u64,
    /// The spool UUID.
    pub bridge_spool: Uuid,
    /// The sequence number of the first new event; the others follow.
    pub bridge_seq: u64,
}

impl RefusedEntry {
    /// An entry of these facts, with every field within its limit.
    pub fn new(id: RefusedId, facts: &RefusedFacts<'_>) -> Self {
        let body = facts.body.filter(|_| facts.standing.is_authentic());
        let all: Vec<_> = body.map(events::keys).unwrap_or_default();
        let kept = body.filter(|body| facts.quarantine.is_none() && body.len() <= BODY_MAX_BYTES);
        Self {
            id,
            at_ms: facts.at_ms,
            outcome: Cow::Borrowed(facts.outcome),
            reason: cut(facts.reason, REASON_MAX_BYTES),
            standing: facts.standing,
            skew_seconds: facts.skew_seconds,
            app: webhook::glance(facts.query).sdk_app_id,
            account: body.and_then(events::account).map(|account| cut(&account, ACCOUNT_MAX_BYTES)),
            keys: all.iter().take(KEYS_MAX).map(|key| cut(key, KEY_MAX_BYTES)).collect(),
            keys_total: all.len() as u64,
            query: query(facts.query, kept.is_some()),
            body_bytes: body.map(|body| body.len() as u64).or(facts.body_bytes),
            body: kept.map(KeptBody::new),
            quarantine: facts.quarantine,
            traceparent: facts.traceparent.and_then(webhook::traceparent).map(str::to_owned),
            request_id: facts.request_id.map(|id| cut(id, REQUEST_ID_MAX_BYTES)),
            peer: facts.peer,
            replayed: None,
        }
    }

    /// Its size in memory, in bytes, approximately.
    pub fn cost(&self) -> usize {
        let texts = [&self.account, &self.traceparent, &self.request_id];
        size_of::<Self>()
            + self.reason.len()
            + self.query.len()
            + texts.into_iter().flatten().map(String::len).sum::<usize>()
            + self.keys.iter().map(|key| key.len() + size_of::<String>()).sum::<usize>()
            + self.body.as_ref().map_or(0, KeptBody::len)
    }
}

/// The query without `Sign`. `whole`: the parameters that a replay needs are behind others in some queries, so the
/// query is not cut.
fn query(query: &[u8], whole: bool) -> String {
    let kept = webhook::without_sign(query);
    if whole { kept } else { cut(&kept, QUERY_MAX_BYTES) }
}

pub(super) fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let mut end = bytes_max - CUT.len();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{CUT}", &text[..end])
}
