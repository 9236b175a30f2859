//! The names of accounts and recalls, and the conversion of a record into its numbers.

use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use recall_bridge::events::recall::event_id;
use recall_bridge::record::{BRIDGE_SEQ, BRIDGE_SPOOL};
use serde::Deserialize;

use crate::bridge::APP;
use crate::seen::Sighting;

const ACCOUNT: &str = "#TOA#_torture-";
const SENT_AT: &str = "1698741698";

pub(crate) fn account_name(account: usize) -> String {
    format!("{ACCOUNT}{account}")
}

pub(crate) fn msg_key(account: usize, recall: usize) -> String {
    format!("{recall}_{account}_{SENT_AT}")
}

/// The fields of a record's value that identify the recall.
#[derive(Deserialize)]
struct Value<'a> {
    event_id: &'a str,
    sdk_app_id: u64,
    official_account: &'a str,
    msg_key: &'a str,
}

/// Returns the recall of a record, or an error if the senders cannot have sent it.
pub(crate) fn sighting(message: &BorrowedMessage<'_>) -> Result<Sighting, String> {
    read(message).map_err(|why| format!("{}@{}: {why}", message.partition(), message.offset()))
}

fn read(message: &BorrowedMessage<'_>) -> Result<Sighting, String> {
    let key = message.key().and_then(|key| std::str::from_utf8(key).ok()).ok_or("no key")?;
    let payload = message.payload().ok_or("no value")?;
    let value: Value<'_> = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
    if value.sdk_app_id != APP || value.official_account != key {
        return Err(format!("app {} and account {} under key {key}", value.sdk_app_id, value.official_account));
    }
    let id = event_id(APP, key, value.msg_key).to_string();
    if value.event_id != id || header(message, "ce_id") != Some(&id) {
        return Err(format!("event_id {} instead of {id}", value.event_id));
    }
    let account: usize =
        key.strip_prefix(ACCOUNT).and_then(|number| number.parse().ok()).ok_or("an account of no sender")?;
    let recall = value.msg_key.split('_').next().and_then(|number| number.parse().ok()).ok_or("a key of no sender")?;
    if value.msg_key != msg_key(account, recall) {
        return Err(format!("recall {} in account {key}", value.msg_key));
    }
    let spool = header(message, BRIDGE_SPOOL).and_then(|text| text.parse().ok()).ok_or("no bridge_spool")?;
    let seq = header(message, BRIDGE_SEQ).and_then(|text| text.parse().ok()).ok_or("no bridge_seq")?;
    Ok(Sighting { partition: message.partition(), offset: message.offset(), account, recall, spool, seq })
}

fn header<'a>(message: &'a BorrowedMessage<'_>, name: &str) -> Option<&'a str> {
    let header = message.headers()?.iter().find(|header| header.key == name)?;
    std::str::from_utf8(header.value?).ok()
}
