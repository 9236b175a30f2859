//! Entries and records as JSON and as text, for people and scripts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::kind::{EntryKind, account, kind};
pub use crate::clock::iso8601 as time;
use crate::record::Record;
use crate::spool::StoredEntry;

/// One entry in one line, without query and body.
pub fn summary(entry: &StoredEntry) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("id".to_owned(), entry.id.into());
    fields.insert("at".to_owned(), time(entry.at_ms).into());
    fields.insert("reason".to_owned(), entry.reason.label().into());
    fields.insert("detail".to_owned(), entry.detail.clone().into());
    fields.insert("account".to_owned(), account(entry).into());
    fields.insert("bytes".to_owned(), entry.body.len().into());
    fields.insert("bridge_spool".to_owned(), entry.name.map(|(uuid, _)| uuid.to_string()).into());
    fields.insert("bridge_seq".to_owned(), entry.name.map(|(_, seq)| seq).into());
    fields
}

/// A whole entry. The entry can be restored from this value. It contains no Sign and no token, as the spool does not.
pub fn whole(entry: &StoredEntry) -> Map<String, Value> {
    let mut fields = summary(entry);
    fields.insert("at_ms".to_owned(), entry.at_ms.into());
    fields.insert("query".to_owned(), entry.query.clone().into());
    put_bytes(&mut fields, "body", &entry.body);
    if kind(entry) == EntryKind::Record
        && let Ok(record) = Record::decode(&entry.body)
    {
        fields.insert("record".to_owned(), self::record(&record).into());
    }
    fields
}

/// A record, readable.
pub fn record(record: &Record<'_>) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("timestamp_ms".to_owned(), record.timestamp_ms.into());
    put_bytes(&mut fields, "key", record.key);
    let mut headers = Map::new();
    for (name, value) in record.headers() {
        put_bytes(&mut headers, name, value);
    }
    fields.insert("headers".to_owned(), headers.into());
    match serde_json::from_slice::<Value>(record.value) {
        Ok(value) => drop(fields.insert("value".to_owned(), value)),
        Err(_) => put_bytes(&mut fields, "value", record.value),
    }
    fields
}

/// Bytes under their name if they are text, else as Base64 under `{name}_base64`.
pub fn put_bytes(fields: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => fields.insert(name.to_owned(), text.into()),
        Err(_) => fields.insert(format!("{name}_base64"), json!(STANDARD.encode(bytes))),
    };
}

/// `1 entry`, `2 entries`.
pub fn entries(count: u64) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") }
}

/// Untrusted text on one line, with control characters escaped.
pub fn plain(text: &str) -> String {
    crate::escape::plain(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_come_as_base64_and_can_be_had_again() {
        let mut entry = StoredEntry {
            id: 3,
            at_ms: 1_670_574_414_180,
            reason: "malformed".into(),
            detail: "d".to_owned(),
            query: "q".to_owned(),
            body: b"\xff\x00".to_vec(),
            name: None,
        };
        let shown = whole(&entry);
        assert_eq!(STANDARD.decode(shown["body_base64"].as_str().unwrap()).unwrap(), entry.body);
        assert!(!shown.contains_key("body"));
        assert_eq!(shown["at"], "2022-12-09T08:26:54.180Z");
        entry.body = b"{\"Official_Account\":\"a\"".to_vec();
        let shown = whole(&entry);
        assert_eq!((&shown["body"], &shown["account"]), (&"{\"Official_Account\":\"a\"".into(), &Value::Null));
    }
}
