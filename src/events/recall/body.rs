//! The body of a recall.
//!
//! Source: Tencent Cloud Chat webhook documentation, "after an official account's message is
//! recalled".

use std::borrow::Cow;
use std::collections::HashSet;

use super::fields::{self, BodyFields};
use super::limits::{ACCOUNT_MAX_BYTES, MSG_KEY_MAX_BYTES, MSG_KEYS_MAX, RECORDS_MAX_BYTES, records_bytes};
use crate::webhook::Verified;

/// Maximum length of serde's error text: it quotes unexpected values of any length.
const JSON_FAULT_MAX_CHARS: usize = 120;
/// Some senders write a byte order mark before JSON; RFC 8259 allows a receiver to ignore it.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Messages of one official account that were recalled together. Only `parse` creates it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recall<'b> {
    official_account: Cow<'b, str>,
    msg_keys: Vec<Cow<'b, str>>,
    event_time_ms: Option<i64>,
}

impl Recall<'_> {
    /// `Official_Account`; not empty.
    pub fn official_account(&self) -> &str {
        &self.official_account
    }

    /// Every `MsgKey` once, in the order of first appearance; at least one, each not empty.
    pub fn msg_keys(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.msg_keys.iter().map(AsRef::as_ref)
    }

    /// A `MsgKey` by index; empty if the index is too large.
    pub(super) fn msg_key(&self, index: usize) -> &str {
        self.msg_keys.get(index).map_or("", AsRef::as_ref)
    }

    /// `EventTime`, in UNIX milliseconds, if it is present and valid.
    pub fn event_time_ms(&self) -> Option<i64> {
        self.event_time_ms
    }
}

/// Why an authentic body is not a valid recall.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecallError {
    /// Not JSON, or a field has a wrong type.
    #[error(
        "body: {0}; expected {{\"CallbackCommand\":…,\"Official_Account\":\"…\",\"WithdrawMsgList\":[{{\"MsgKey\":\"…\"}}],\"EventTime\":ms}}"
    )]
    Json(String),
    /// The body contradicts the query.
    #[error("CallbackCommand: the body names another command than the query")]
    OtherCommand,
    /// The account is missing or empty.
    #[error("Official_Account: {0}; expected a string that is not empty")]
    Account(&'static str),
    /// `WithdrawMsgList` is missing.
    #[error("WithdrawMsgList: missing; expected an array of objects with a MsgKey")]
    NoList,
    /// A key is empty.
    #[error("WithdrawMsgList[{0}].MsgKey: empty; expected a string that is not empty")]
    EmptyKey(usize),
    /// The account exceeds its limit.
    #[error("Official_Account: {0} bytes, over {ACCOUNT_MAX_BYTES}")]
    LongAccount(usize),
    /// A key exceeds its limit.
    #[error("WithdrawMsgList[{0}].MsgKey: over {MSG_KEY_MAX_BYTES} bytes")]
    LongKey(usize),
    /// The number of keys exceeds its limit.
    #[error("WithdrawMsgList: over {MSG_KEYS_MAX} keys")]
    ManyKeys,
    /// The records of the webhook would exceed their limit.
    #[error("WithdrawMsgList: its records would have {0} bytes, over {RECORDS_MAX_BYTES}")]
    LargeRecords(usize),
}

/// Reads the body of a verified recall. Returns `None` if `WithdrawMsgList` is empty. Unknown fields are ignored. The
/// command may be missing. An invalid `EventTime` counts as missing, because the recall is still valid.
///
/// # Errors
/// The first invalid field, or the first limit that is exceeded.
pub(super) fn parse<'b>(verified: &Verified<'_>, body: &'b [u8]) -> Result<Option<Recall<'b>>, RecallError> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let raw: BodyFields<'b> = fields::read(body)
        .map_err(|error| RecallError::Json(error.to_string().chars().take(JSON_FAULT_MAX_CHARS).collect()))?;
    if raw.command.is_some_and(|command| command != verified.command()) {
        return Err(RecallError::OtherCommand);
    }
    let official_account = raw.official_account.ok_or(RecallError::Account("missing"))?;
    if official_account.is_empty() {
        return Err(RecallError::Account("empty"));
    }
    if official_account.len() > ACCOUNT_MAX_BYTES {
        return Err(RecallError::LongAccount(official_account.len()));
    }
    let list = raw.list.ok_or(RecallError::NoList)?;
    if list.is_empty() {
        return Ok(None);
    }
    if list.len() > MSG_KEYS_MAX {
        return Err(RecallError::ManyKeys);
    }
    if let Some(index) = list.iter().position(|msg_key| msg_key.is_empty()) {
        return Err(RecallError::EmptyKey(index));
    }
    if let Some(index) = list.iter().position(|msg_key| msg_key.len() > MSG_KEY_MAX_BYTES) {
        return Err(RecallError::LongKey(index));
    }
    let msg_keys = distinct(list);
    let beside = [verified.client_ip(), verified.opt_platform()];
    let bytes = records_bytes(&official_account, msg_keys.iter().map(AsRef::as_ref), &beside);
    if bytes > RECORDS_MAX_BYTES {
        return Err(RecallError::LargeRecords(bytes));
    }
    Ok(Some(Recall { official_account, msg_keys, event_time_ms: raw.event_time_ms }))
}

/// Returns the account of a body, also of one that is not a valid recall.
pub(super) fn account(body: &[u8]) -> Option<Cow<'_, str>> {
    fields::account(body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body))
}

/// Returns the keys of a body, also of one that is not a valid recall.
pub(super) fn keys(body: &[u8]) -> Vec<Cow<'_, str>> {
    let fields = fields::read(body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body));
    fields.ok().and_then(|fields| fields.list).map_or_else(Vec::new, distinct)
}

fn distinct(mut keys: Vec<Cow<'_, str>>) -> Vec<Cow<'_, str>> {
    if keys.len() > 1 {
        let mut seen = HashSet::with_capacity(keys.len());
        let first: Vec<bool> = keys.iter().map(|key| seen.insert(key.as_ref())).collect();
        let mut first = first.into_iter();
        keys.retain(|_| first.next().unwrap_or(true));
    }
    keys
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
