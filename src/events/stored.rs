//! Reads events from the spool, in either of their two forms.
//!
//! | first byte | form |
//! |---|---|
//! | 1 | a whole record ([`Record`]); for what is published again, and in spools of earlier releases |
//! | 2 | the *fields* of an event: the tag of its command, then the bytes of [`EventKind::expand`] |
//!
//! Fields take a fifth of the space of the record. The publisher expands them. The same fields always become the same
//! record, in each release: after a crash, the publisher compares the records in the topic with those of the spool. A
//! command whose records change needs another tag.

use super::{ALL, EventKind};
use crate::record::wire::FIELDS;
use crate::record::{DecodeError, Record};

/// The record of a stored event. `buffer` holds it if the event is stored as fields.
///
/// # Errors
/// The bytes are not an event of this release or an earlier one.
pub fn record<'b>(event: &'b [u8], buffer: &'b mut Vec<u8>) -> Result<Record<'b>, DecodeError> {
    let Some((kind, fields)) = of_fields(event)? else { return Record::decode(event) };
    buffer.clear();
    kind.expand(fields, buffer)?;
    Record::decode(buffer)
}

/// Appends the encoded record of a stored event.
///
/// # Errors
/// The bytes are not an event of this release or an earlier one.
pub fn append_record(event: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    if let Some((kind, fields)) = of_fields(event)? {
        return kind.expand(fields, out);
    }
    Record::decode(event)?;
    out.extend_from_slice(event);
    Ok(())
}

/// The command of an event that is stored as fields, and the fields.
type OfKind<'e> = (&'static dyn EventKind, &'e [u8]);

/// `None`: the event is stored as a record.
fn of_fields(event: &[u8]) -> Result<Option<OfKind<'_>>, DecodeError> {
    let [FIELDS, rest @ ..] = event else { return Ok(None) };
    let (tag, fields) = rest.split_first().ok_or(DecodeError)?;
    let kind = ALL.iter().copied().find(|kind| kind.tag() == *tag).ok_or(DecodeError)?;
    Ok(Some((kind, fields)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::recall::RecalledMessage;
    use proptest::prelude::*;

    /// In hex.
    const STORED: &str = "02016499fef584010000014e7253000000002b99fef584010000070023544f41235f310f0037315f315f31363938\
                          373431363938070052455354415049ffffffff";
    const VALUE: &str = r##"{"schema_version":1,"event_id":"261bb752-43cc-5b4d-bf12-07ab1d605263","sdk_app_id":1400000001,"official_account":"#TOA#_1","msg_key":"71_1_1698741698","message_sent_at":"2023-10-31T08:41:38Z","recalled_at":"2022-12-09T08:26:54.123Z","received_at":"2022-12-09T08:26:54.180Z","opt_platform":"RESTAPI","client_ip":null}"##;

    #[test]
    fn every_command_has_a_tag_of_its_own() {
        let tags: std::collections::BTreeSet<_> = ALL.iter().map(|kind| kind.tag()).collect();
        assert_eq!(tags.len(), ALL.len());
    }

    /// The bytes of release 0.1.0: a spool that holds them must become the same records in each later release.
    #[test]
    fn the_fields_of_an_earlier_release_become_the_same_record() {
        let message = RecalledMessage {
            sdk_app_id: 1_400_000_001,
            official_account: "#TOA#_1",
            msg_key: "71_1_1698741698",
            recalled_at_ms: Some(1_670_574_414_123),
            received_at_ms: 1_670_574_414_180,
            opt_platform: Some("RESTAPI"),
            client_ip: None,
            traceparent: None,
        };
        let mut stored = Vec::new();
        message.store(&mut stored);
        assert_eq!(hex::encode(&stored), STORED);
        let mut buffer = Vec::new();
        let record = record(&stored, &mut buffer).unwrap();
        assert_eq!((record.key, record.timestamp_ms), (&b"#TOA#_1"[..], 1_670_574_414_180));
        assert_eq!(std::str::from_utf8(record.value).unwrap(), VALUE);
        let headers: Vec<_> =
            record.headers().map(|(name, value)| (name, std::str::from_utf8(value).unwrap())).collect();
        assert_eq!(
            headers,
            [
                ("ce_specversion", "1.0"),
                ("ce_id", "261bb752-43cc-5b4d-bf12-07ab1d605263"),
                ("ce_source", "/tencent-chat/apps/1400000001"),
                ("ce_type", "tencent.chat.official_account.message_recalled.v1"),
                ("ce_subject", "71_1_1698741698"),
                ("ce_time", "2022-12-09T08:26:54.123Z"),
                ("content-type", "application/json"),
            ]
        );
    }

    proptest! {
        #[test]
        fn fields_become_the_record_that_the_message_has(
            account in "\\PC{1,20}", msg_key in "\\PC{1,40}", app in any::<u64>(), at in any::<i64>(),
            recalled in any::<Option<i64>>(), platform in ".{0,9}", trace in any::<bool>(),
        ) {
            let message = RecalledMessage {
                sdk_app_id: app, official_account: &account, msg_key: &msg_key, recalled_at_ms: recalled,
                received_at_ms: at, opt_platform: Some(&platform), client_ip: None,
                traceparent: trace.then_some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            };
            let (mut whole, mut stored, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
            message.encode(&mut whole);
            message.store(&mut stored);
            prop_assert_eq!(record(&stored, &mut buffer).unwrap(), Record::decode(&whole).unwrap());
            let mut appended = Vec::new();
            append_record(&stored, &mut appended).unwrap();
            append_record(&whole, &mut appended).unwrap();
            prop_assert_eq!(appended, [whole.as_slice(), &whole].concat());
            for end in 0..stored.len() {
                prop_assert!(append_record(&stored[..end], &mut Vec::new()).is_err(), "cut at {}", end);
            }
        }

        #[test]
        fn other_bytes_are_not_an_event(tag in 2_u8.., bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut out = Vec::new();
            prop_assert!(append_record(&[&[FIELDS, tag], bytes.as_slice()].concat(), &mut out).is_err());
            let _ = append_record(&[&[FIELDS, 1], bytes.as_slice()].concat(), &mut out);
        }
    }
}
