//! Checks key, value and headers of one record.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::record::{EVENT_TYPE, event_id};
use crate::record::header;

/// The version of the value that this release writes and supports.
const SCHEMA_VERSION: u64 = 1;

/// Checks everything except the sequence numbers, and returns the first error. Unknown fields and headers are valid:
/// later releases may add some.
pub(super) fn check(record: &Value) -> Result<(), String> {
    let value = record["value"].as_object().ok_or("the value is not a JSON object")?;
    let number = |field| get(value, field)?.as_u64().ok_or_else(|| format!("{field} is not a whole number"));
    let text = |field| get(value, field)?.as_str().ok_or_else(|| format!("{field} is not a string"));
    let version = number("schema_version")?;
    if version != SCHEMA_VERSION {
        return Err(format!("schema_version is {version}; this release supports {SCHEMA_VERSION}"));
    }
    let app = number("sdk_app_id")?;
    let (account, msg_key) = (text("official_account")?, text("msg_key")?);
    if record["key"].as_str() != Some(account) {
        return Err("the key is not the official_account".to_owned());
    }
    let id = event_id(app, account, msg_key).to_string();
    if text("event_id")? != id {
        return Err("event_id does not match app, account and msg_key".to_owned());
    }
    time("received_at", text("received_at")?)?;
    for field in ["message_sent_at", "recalled_at"] {
        if let Some(text) = optional(value, field)? {
            time(field, text)?;
        }
    }
    for field in ["opt_platform", "client_ip"] {
        optional(value, field)?;
    }
    let headers = [
        (header::SPEC_VERSION, Some("1.0")),
        (header::ID, Some(&id)),
        (header::SOURCE, Some(&format!("/tencent-chat/apps/{app}"))),
        (header::TYPE, Some(EVENT_TYPE)),
        (header::SUBJECT, Some(msg_key)),
        (header::TIME, optional(value, "recalled_at")?),
        (header::CONTENT_TYPE, Some("application/json")),
    ];
    match headers.iter().find(|(name, expected)| record["headers"][*name].as_str() != *expected) {
        Some((name, Some(expected))) => Err(format!("the header {name} is not {expected}")),
        Some((name, None)) => Err(format!("the header {name} exists, but the value has no such time")),
        None => Ok(()),
    }
}

fn get<'v>(value: &'v Map<String, Value>, field: &str) -> Result<&'v Value, String> {
    value.get(field).ok_or_else(|| format!("the value has no {field}"))
}

/// Returns a string, or `None` for null.
fn optional<'v>(value: &'v Map<String, Value>, field: &str) -> Result<Option<&'v str>, String> {
    match get(value, field)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => Err(format!("{field} is neither a string nor null")),
    }
}

fn time(field: &str, text: &str) -> Result<(), String> {
    text.parse::<Timestamp>().map(drop).map_err(|_| format!("{field} is not an RFC 3339 time"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::record;
    use serde_json::json;

    #[test]
    fn every_invalid_or_missing_field_and_header_is_named() {
        let sound = record(1, "a", 0);
        assert_eq!(check(&sound), Ok(()));
        for (pointer, wrong, says) in [
            ("/value", json!("text"), "JSON object"),
            ("/key", json!("b"), "the key is not the official_account"),
            ("/value/schema_version", json!(2), "schema_version is 2"),
            ("/value/sdk_app_id", json!("1"), "sdk_app_id"),
            ("/value/msg_key", json!(7), "msg_key"),
            ("/value/event_id", json!("x"), "event_id"),
            ("/value/received_at", json!("yesterday"), "received_at"),
            ("/value/received_at", json!(null), "received_at"),
            ("/value/recalled_at", json!(1), "recalled_at"),
            ("/value/message_sent_at", json!("soon"), "message_sent_at"),
            ("/value/opt_platform", json!(1), "opt_platform"),
            ("/value/client_ip", json!([]), "client_ip"),
            ("/headers/ce_specversion", json!("1.1"), "ce_specversion"),
            ("/headers/ce_id", json!("x"), "ce_id"),
            ("/headers/ce_source", json!("/elsewhere"), "ce_source"),
            ("/headers/ce_type", json!("other"), "ce_type"),
            ("/headers/ce_subject", json!("j"), "ce_subject"),
            ("/headers/content-type", json!(null), "content-type"),
            ("/value/recalled_at", json!("2022-12-09T08:26:54.123Z"), "ce_time"),
        ] {
            let mut record = sound.clone();
            *record.pointer_mut(pointer).unwrap() = wrong;
            let fault = check(&record).unwrap_err();
            assert!(fault.contains(says), "{pointer}: {fault}");
        }
        let mut early = sound.clone();
        early["headers"]["ce_time"] = json!("2022-12-09T08:26:54.123Z");
        assert!(check(&early).unwrap_err().contains("ce_time"));
        for field in sound["value"].as_object().unwrap().keys() {
            let mut record = sound.clone();
            record["value"].as_object_mut().unwrap().remove(field);
            assert!(check(&record).unwrap_err().contains(&format!("no {field}")), "{field}");
        }
        let mut later = sound;
        later["value"]["of_tomorrow"] = json!(1);
        later["headers"]["of_tomorrow"] = json!("1");
        assert_eq!(check(&later), Ok(()));
    }
}
