//! The webhook commands that the bridge publishes, one module for each.
//!
//! A module says everything about its command: name, body, records, limits, event id, `ce_type`, sample body. All
//! others use it through [`EventKind`]: `ingest`, `quarantine`, the metrics, `send`, `explain`, `tail --verify`,
//! `check-config`. To publish another command, add its module and its line in [`ALL`], its schema in `docs/`, and its
//! requests in `tests/vectors`.

mod commands;
mod kind;
mod loose;
pub mod recall;
pub mod stored;
#[cfg(test)]
mod vectors;

use std::borrow::Cow;

use serde_json::Value;

pub use commands::{OTHER_COMMANDS, unpublished};
pub use kind::{EventKind, Messages, Origin};
pub use recall::{COMMAND as RECALL_COMMAND, RecallError};

/// The published commands.
pub const ALL: &[&dyn EventKind] = &[&recall::RecallKind];

/// The kind of a command, if it is published.
pub fn find(command: &str) -> Option<&'static dyn EventKind> {
    ALL.iter().copied().find(|kind| kind.command() == command)
}

/// The published command that an undocumented one is similar to. The vendor may have renamed the command; its webhooks
/// would then be acknowledged and lost.
pub fn near_miss(command: &str) -> Option<&'static str> {
    commands::near_miss(command, ALL.iter().map(|kind| kind.command()))
}

/// Whether a command is published.
pub fn is_published(command: &str) -> bool {
    find(command).is_some()
}

/// The account in a stored body, of any published command.
pub fn account(body: &[u8]) -> Option<Cow<'_, str>> {
    ALL.iter().find_map(|kind| kind.account(body))
}

/// The keys of the messages in a body, of any published command.
pub fn keys(body: &[u8]) -> Vec<Cow<'_, str>> {
    ALL.iter().map(|kind| kind.keys(body)).find(|keys| !keys.is_empty()).unwrap_or_default()
}

/// The maximum size of a record of any command; see [`EventKind::record_bytes_max`].
pub fn record_bytes_max(body_bytes_max: u64) -> u64 {
    ALL.iter().map(|kind| kind.record_bytes_max(body_bytes_max)).max().unwrap_or(0)
}

/// Checks a record of any published command; see [`EventKind::check`].
///
/// # Errors
/// The first field or header that is wrong.
pub fn check(record: &Value) -> Result<(), String> {
    let [first, rest @ ..] = ALL else { return Err("no command is published".to_owned()) };
    let by_type = |kind: &&&dyn EventKind| record["headers"]["ce_type"] == kind.event_type();
    rest.iter().find(by_type).unwrap_or(first).check(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;
    use crate::webhook::{Apps, verify};

    #[test]
    fn the_sample_of_every_command_becomes_records_that_pass_its_check() {
        for kind in ALL {
            let query = format!("SdkAppid=1&CallbackCommand={}", kind.command());
            let apps = Apps::parse("1", true).unwrap();
            let verified = verify(query.as_bytes(), &apps, 0, 60, is_published).unwrap();
            let body = kind.sample_body("#TOA#_1", &["1_1_1".to_owned(), "2_2_2".to_owned()], 1_670_574_414_123);
            let body = body.to_string();
            assert_eq!(account(body.as_bytes()).as_deref(), Some("#TOA#_1"));
            assert_eq!(keys(body.as_bytes()), ["1_1_1", "2_2_2"]);
            let messages = kind.parse(&verified, body.as_bytes()).unwrap().unwrap();
            assert_eq!(messages.count(), 2);
            let origin = Origin::new(&verified, 1_670_574_414_180, None);
            assert_ne!(messages.content_hash(0, &origin), messages.content_hash(1, &origin));
            for index in 0..2 {
                let mut bytes = Vec::new();
                messages.encode(index, &origin, &mut bytes);
                let record = Record::decode(&bytes).unwrap();
                let text = |bytes: &[u8]| Value::from(String::from_utf8(bytes.to_vec()).unwrap());
                let headers: serde_json::Map<_, _> =
                    record.headers().map(|(name, value)| (name.to_owned(), text(value))).collect();
                assert_eq!(headers["ce_type"], kind.event_type());
                let value: Value = serde_json::from_slice(record.value).unwrap();
                let shown = serde_json::json!({ "key": text(record.key), "value": value, "headers": headers });
                assert_eq!(check(&shown), Ok(()));
                assert!(u64::try_from(bytes.len()).unwrap() <= record_bytes_max(body.len() as u64));
            }
            assert_eq!(near_miss(&kind.command().to_uppercase()), Some(kind.command()));
        }
    }
}
