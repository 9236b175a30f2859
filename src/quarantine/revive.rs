//! Converts an entry into its records.

use crate::events::{self, EventKind, Origin, RecallError};
use crate::record::{Record, restamp};
use crate::spool::{IdentifiedEvent, QuarantineReason, StoredEntry};
use crate::webhook::{self, QueryError};

use super::kind::{EntryKind, kind};

/// Why an entry cannot be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequeueError {
    /// Not a valid recall.
    #[error("it is not a valid recall: {0}")]
    Malformed(#[from] RecallError),
    /// The query was never verified.
    #[error("its query is not that of a webhook: {0}")]
    Query(#[from] QueryError),
    /// A webhook of a command that is not published.
    #[error("it is a webhook of {0}, which is not published")]
    OtherCommand(String),
    /// `WithdrawMsgList` is `[]`.
    #[error("it recalls nothing: WithdrawMsgList is empty")]
    Empty,
    /// The bytes are not a record.
    #[error("its bytes are not a record of this release")]
    NotARecord,
    /// Corrupted bytes.
    #[error("corrupted bytes of the spool cannot be published; export them and read what is intact")]
    Damaged,
    /// The reason is unknown to this release.
    #[error("this release does not know what an entry with the reason {0} holds")]
    UnknownReason(QuarantineReason),
}

/// The encoded events of an entry, in order; at least one.
///
/// Their timestamp in Kafka is `now_ms`, the time of requeuing: Kafka deletes by timestamp, and an old entry must
/// not exceed the retention on arrival. Everything else, including `received_at`, is as if the webhook had been
/// accepted in time. A poison record keeps key, value and headers byte for byte.
///
/// # Errors
/// See [`RequeueError`].
pub fn revive(entry: &StoredEntry, now_ms: i64) -> Result<Vec<Vec<u8>>, RequeueError> {
    let mut events = match kind(entry) {
        EntryKind::Delivery => encode(entry)?.into_iter().map(|revived| revived.event).collect(),
        EntryKind::Record => vec![entry.body.clone()],
        EntryKind::Damaged => return Err(RequeueError::Damaged),
        EntryKind::Other => return Err(RequeueError::UnknownReason(entry.reason.clone())),
    };
    for event in &mut events {
        Record::decode(event).map_err(|_| RequeueError::NotARecord)?;
        restamp(event, now_ms).map_err(|_| RequeueError::NotARecord)?;
    }
    Ok(events)
}

/// The encoded events of a webhook with their ids for deduplication, in order; at least one. As [`revive`], for an entry
/// with any reason.
///
/// # Errors
/// See [`RequeueError`].
pub fn revive_webhook(entry: &StoredEntry, now_ms: i64) -> Result<Vec<IdentifiedEvent>, RequeueError> {
    let mut events = encode(entry)?;
    for IdentifiedEvent { event, .. } in &mut events {
        restamp(event, now_ms).map_err(|_| RequeueError::NotARecord)?;
    }
    Ok(events)
}

/// The records of a webhook, as if it had been accepted in time.
fn encode(entry: &StoredEntry) -> Result<Vec<IdentifiedEvent>, RequeueError> {
    let verified = webhook::verified_before(&entry.query)?;
    let kind = kind_of(verified.command(), &entry.reason)
        .ok_or_else(|| RequeueError::OtherCommand(verified.command().to_owned()))?;
    let messages = kind.parse(&verified, &entry.body)?.ok_or(RequeueError::Empty)?;
    let origin = Origin::new(&verified, entry.at_ms, None);
    let encoded = (0..messages.count()).map(|index| {
        let mut event = Vec::new();
        messages.encode(index, &origin, &mut event);
        IdentifiedEvent { event, id: messages.content_hash(index, &origin) }
    });
    Ok(encoded.collect())
}

/// The kind of a command. A near miss that is requeued is an event of the published command that it is similar to.
fn kind_of(command: &str, reason: &QuarantineReason) -> Option<&'static dyn EventKind> {
    let similar =
        || events::near_miss(command).filter(|_| *reason == QuarantineReason::NearMiss).and_then(events::find);
    events::find(command).or_else(similar)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &str = "SdkAppid=7&CallbackCommand=OfficialAccount.CallbackAfterMsgWithDraw&ClientIP=1.2.3.4&OptPlatform=Web&RequestTime=1";
    const BODY: &str = r##"{"Official_Account":"#TOA#_1","WithdrawMsgList":[{"MsgKey":"k"},{"MsgKey":"j"},{"MsgKey":"k"}],"EventTime":1670574414123}"##;

    fn entry(reason: &str, query: &str, body: &[u8]) -> StoredEntry {
        StoredEntry {
            id: 1,
            at_ms: 1_670_574_414_180,
            reason: reason.into(),
            detail: String::new(),
            query: query.to_owned(),
            body: body.to_vec(),
            name: None,
        }
    }

    #[test]
    fn a_requeued_webhook_gives_the_original_record_except_its_timestamp() {
        for reason in ["stale", "malformed"] {
            let events = revive(&entry(reason, QUERY, BODY.as_bytes()), 99).unwrap();
            let records: Vec<_> = events.iter().map(|event| Record::decode(event).unwrap()).collect();
            assert_eq!(records.len(), 2);
            for (record, key) in records.iter().zip(["k", "j"]) {
                let value: serde_json::Value = serde_json::from_slice(record.value).unwrap();
                assert_eq!((record.timestamp_ms, record.key), (99, &b"#TOA#_1"[..]));
                assert_eq!((&value["msg_key"], &value["sdk_app_id"]), (&key.into(), &7.into()));
                assert_eq!(value["received_at"], "2022-12-09T08:26:54.180Z");
                assert_eq!(value["recalled_at"], "2022-12-09T08:26:54.123Z");
                assert_eq!((&value["client_ip"], &value["opt_platform"]), (&"1.2.3.4".into(), &"Web".into()));
            }
        }
    }

    #[test]
    fn a_near_miss_that_is_requeued_is_a_recall() {
        let query = QUERY.replace("WithDraw", "Withdraw");
        let body = BODY.replacen('{', r#"{"CallbackCommand":"OfficialAccount.CallbackAfterMsgWithdraw","#, 1);
        assert_eq!(revive(&entry("near_miss", &query, body.as_bytes()), 1).unwrap().len(), 2);
        let unfit = revive(&entry("stale", &query, body.as_bytes()), 1).unwrap_err().to_string();
        assert!(unfit.contains("Withdraw"), "{unfit}");
    }

    #[test]
    fn a_webhook_above_a_limit_names_the_limit() {
        let body =
            serde_json::json!({ "Official_Account": "x".repeat(32_000), "WithdrawMsgList": [{ "MsgKey": "k" }] });
        let unfit = revive(&entry("malformed", QUERY, body.to_string().as_bytes()), 1).unwrap_err().to_string();
        assert!(unfit.contains("Official_Account: 32000 bytes, over 1024"), "{unfit}");
    }

    #[test]
    fn a_refused_record_keeps_all_but_its_timestamp() {
        let before = revive(&entry("stale", QUERY, BODY.as_bytes()), 1).unwrap().remove(0);
        let after = revive(&entry("kafka_too_large", "", &before), 2).unwrap();
        let [after] = after.as_slice() else { panic!("{after:?}") };
        let (before, after) = (Record::decode(&before).unwrap(), Record::decode(after).unwrap());
        assert_eq!((after.timestamp_ms, after.key, after.value), (2, before.key, before.value));
        assert!(after.headers().eq(before.headers()));
    }

    #[test]
    fn a_webhook_that_gives_no_record_names_the_reason() {
        let other = QUERY.replace("OfficialAccount.CallbackAfterMsgWithDraw", "C2C.CallbackAfterSendMsg");
        let empty = br#"{"Official_Account":"a","WithdrawMsgList":[]}"#;
        for (reason, query, body, says) in [
            ("malformed", QUERY, &b"{"[..], "not a valid recall: body"),
            ("stale", QUERY, b"{}", "not a valid recall: Official_Account"),
            ("stale", &other, BODY.as_bytes(), "C2C.CallbackAfterSendMsg"),
            ("stale", QUERY, empty, "recalls nothing"),
            ("stale", "nothing", BODY.as_bytes(), "its query"),
            ("kafka_invalid", "", b"xyz", "not a record"),
            ("damaged", "", b"xyz", "corrupted"),
            ("of_tomorrow", "", b"xyz", "of_tomorrow"),
        ] {
            let unfit = revive(&entry(reason, query, body), 1).unwrap_err().to_string();
            assert!(unfit.contains(says), "{reason} {unfit}");
        }
    }
}
