//! Records as JSON.

use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use serde_json::{Value, json};

use crate::clock;

/// A record as `tail --json` prints it and as the verification reads it. Bytes that are not UTF-8 are replaced.
pub(in crate::commands) fn as_json(message: &BorrowedMessage<'_>) -> Value {
    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let headers: serde_json::Map<String, Value> = message
        .headers()
        .into_iter()
        .flat_map(|headers| headers.iter())
        .map(|header| (header.key.to_owned(), text(header.value).into()))
        .collect();
    let value = message
        .payload()
        .map(|payload| serde_json::from_slice(payload).unwrap_or_else(|_| Value::from(text(Some(payload)))));
    json!({
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp_ms": message.timestamp().to_millis(),
        "timestamp": message.timestamp().to_millis().map(clock::iso8601),
        "key": text(message.key()),
        "headers": headers,
        "value": value,
    })
}
