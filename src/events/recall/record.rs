//! From a recalled message to the bytes that Kafka gets.

use std::io::Write as _;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::record::{header, wire};

/// `UUIDv5(NAMESPACE_URL, "urn:recall-bridge:event")`, RFC 9562 section 5.5.
const NAMESPACE: Uuid = Uuid::from_u128(0x1550_42e4_d14e_51a0_9d89_925f_3601_4ef8);
/// Times without and with a fraction of seconds, in RFC 3339.
const SECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(0));
const MILLIS: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
/// The `ce_type` of the records.
pub const EVENT_TYPE: &str = "tencent.chat.official_account.message_recalled.v1";

/// One recalled message.
#[derive(Debug, Clone, Copy)]
pub struct RecalledMessage<'a> {
    /// The app.
    pub sdk_app_id: u64,
    /// The account, opaque; the record's key.
    pub official_account: &'a str,
    /// The message, opaque.
    pub msg_key: &'a str,
    /// When it was recalled, UNIX milliseconds.
    pub recalled_at_ms: Option<i64>,
    /// When the webhook was received, UNIX milliseconds; the record's timestamp.
    pub received_at_ms: i64,
    /// What the recall was made with.
    pub opt_platform: Option<&'a str>,
    /// Where it came from.
    pub client_ip: Option<&'a str>,
    /// W3C Trace Context of the request.
    pub traceparent: Option<&'a str>,
}

impl RecalledMessage<'_> {
    /// Appends the encoded record to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let event_id = event_id(self.sdk_app_id, self.official_account, self.msg_key);
        let mut id = Uuid::encode_buffer();
        let event_id: &str = event_id.hyphenated().encode_lower(&mut id);
        let recalled_at = self.recalled_at_ms.and_then(time).map(|at| MILLIS.timestamp_to_string(&at));
        wire::begin(out, self.received_at_ms);
        wire::field(out, |out| out.extend_from_slice(self.official_account.as_bytes()));
        wire::field(out, |out| self.write_value(out, event_id, recalled_at.as_deref()));
        let mut add = |name: &str, value: &str| {
            wire::field(out, |out| out.extend_from_slice(name.as_bytes()));
            wire::field(out, |out| out.extend_from_slice(value.as_bytes()));
        };
        add(header::SPEC_VERSION, "1.0");
        add(header::ID, event_id);
        add(header::SOURCE, &format!("/tencent-chat/apps/{}", self.sdk_app_id));
        add(header::TYPE, EVENT_TYPE);
        add(header::SUBJECT, self.msg_key);
        if let Some(recalled_at) = &recalled_at {
            add(header::TIME, recalled_at);
        }
        add(header::CONTENT_TYPE, "application/json");
        if let Some(traceparent) = self.traceparent {
            add(header::TRACEPARENT, traceparent);
        }
    }

    /// Appends the value: one JSON object, whose fields are in the order of the schema.
    ///
    /// A derived serializer takes three times as long, and this is the largest part of a record's cost.
    fn write_value(&self, out: &mut Vec<u8>, event_id: &str, recalled_at: Option<&str>) {
        // Writing to memory cannot fail, and neither can a string or a number as JSON.
        let text = |out: &mut Vec<u8>, text: Option<&str>| drop(serde_json::to_writer(out, &text));
        out.extend_from_slice(br#"{"schema_version":1,"event_id":""#);
        out.extend_from_slice(event_id.as_bytes());
        out.extend_from_slice(br#"","sdk_app_id":"#);
        drop(serde_json::to_writer(&mut *out, &self.sdk_app_id));
        out.extend_from_slice(br#","official_account":"#);
        text(out, Some(self.official_account));
        out.extend_from_slice(br#","msg_key":"#);
        text(out, Some(self.msg_key));
        out.extend_from_slice(br#","message_sent_at":"#);
        match message_sent_at(self.msg_key) {
            Some(at) => quoted(out, |out| drop(SECONDS.print_timestamp(&at, out))),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(br#","recalled_at":"#);
        match recalled_at {
            Some(at) => quoted(out, |out| out.extend_from_slice(at.as_bytes())),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(br#","received_at":"#);
        // The clock of a machine is within the range.
        let received_at = time(self.received_at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        quoted(out, |out| drop(MILLIS.print_timestamp(&received_at, out)));
        out.extend_from_slice(br#","opt_platform":"#);
        text(out, self.opt_platform);
        out.extend_from_slice(br#","client_ip":"#);
        text(out, self.client_ip);
        out.push(b'}');
    }

    /// What tells this recall from every other one: the first 128 bits of SHA-256 over app, length of the
    /// account, account, and key. The published `event_id` does not: account `x` with key `y/z` has the
    /// same one as account `x/y` with key `z`, and who took the second for a repeat would lose it.
    pub fn content_hash(&self) -> [u8; 16] {
        let account = self.official_account.as_bytes();
        let hash = Sha256::new()
            .chain_update(self.sdk_app_id.to_be_bytes())
            .chain_update((account.len() as u64).to_be_bytes())
            .chain_update(account)
            .chain_update(self.msg_key)
            .finalize();
        let mut first = [0; 16];
        first.copy_from_slice(&hash[..16]);
        first
    }
}

/// The same for every delivery of the same recall: `UUIDv5` of `{app}/{account}/{key}`. Two recalls can have the
/// same one where an account or a key holds a `/`.
pub fn event_id(sdk_app_id: u64, official_account: &str, msg_key: &str) -> Uuid {
    let mut app = [0; 20];
    let mut rest = app.as_mut_slice();
    let _ = write!(rest, "{sdk_app_id}");
    let unused = rest.len();
    // `Uuid::new_v5` has a SHA-1 of its own, which does not use the processor's instructions and takes ten times as long.
    let hash = Sha1::new()
        .chain_update(NAMESPACE.as_bytes())
        .chain_update(&app[..app.len() - unused])
        .chain_update("/")
        .chain_update(official_account)
        .chain_update("/")
        .chain_update(msg_key)
        .finalize();
    let mut first = [0; 16];
    first.copy_from_slice(&hash[..16]);
    uuid::Builder::from_sha1_bytes(first).into_uuid()
}

/// When the message was sent, from a key of the shape `<seq>_<random>_<unix seconds>`.
pub fn message_sent_at(msg_key: &str) -> Option<Timestamp> {
    let mut parts = msg_key.split('_');
    let (seq, random, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if parts.next().is_some() || ![seq, random, seconds].into_iter().all(digits) {
        return None;
    }
    time(seconds.parse::<i64>().ok()?.checked_mul(1000)?)
}

/// RFC 3339 has years of four digits.
fn time(ms: i64) -> Option<Timestamp> {
    const LAST_MS: i64 = 253_402_300_799_999;
    const FIRST_MS: i64 = -62_135_596_800_000;
    // The type's own range ends a day early, so that any time zone fits.
    (FIRST_MS..=LAST_MS).contains(&ms).then(|| Timestamp::from_millisecond(ms).ok()).flatten()
}

/// Appends text that needs no escapes as JSON.
fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::super::limits::{BESIDE_BODY_MAX_BYTES, BODY_FACTOR};
    use super::*;
    use crate::record::Record;
    use proptest::prelude::*;

    fn sample() -> RecalledMessage<'static> {
        RecalledMessage {
            sdk_app_id: 1_400_000_001,
            official_account: "#TOA#_123",
            msg_key: "71_1_1698741698",
            recalled_at_ms: Some(1_670_574_414_123),
            received_at_ms: 1_670_574_414_180,
            opt_platform: Some("RESTAPI"),
            client_ip: Some("127.0.0.1"),
            traceparent: None,
        }
    }

    #[test]
    fn the_namespace_and_the_sample_id_are_those_of_the_contract() {
        assert_eq!(NAMESPACE, Uuid::new_v5(&Uuid::NAMESPACE_URL, b"urn:recall-bridge:event"));
        let id = event_id(1_400_000_001, "#TOA#_123", "71_1_1698741698");
        assert_eq!(id.to_string(), "ca32d5e7-07c8-5653-9baa-ddf3ff26851e");
    }

    #[test]
    fn the_sample_gives_the_value_and_headers_of_the_contract() {
        let mut bytes = Vec::new();
        sample().encode(&mut bytes);
        let record = Record::decode(&bytes).unwrap();
        assert_eq!(record.key, b"#TOA#_123");
        assert_eq!(record.timestamp_ms, 1_670_574_414_180);
        assert_eq!(
            std::str::from_utf8(record.value).unwrap(),
            r##"{"schema_version":1,"event_id":"ca32d5e7-07c8-5653-9baa-ddf3ff26851e","sdk_app_id":1400000001,"official_account":"#TOA#_123","msg_key":"71_1_1698741698","message_sent_at":"2023-10-31T08:41:38Z","recalled_at":"2022-12-09T08:26:54.123Z","received_at":"2022-12-09T08:26:54.180Z","opt_platform":"RESTAPI","client_ip":"127.0.0.1"}"##
        );
        let headers: Vec<_> =
            record.headers().map(|(name, value)| (name, std::str::from_utf8(value).unwrap())).collect();
        assert_eq!(
            headers,
            [
                ("ce_specversion", "1.0"),
                ("ce_id", "ca32d5e7-07c8-5653-9baa-ddf3ff26851e"),
                ("ce_source", "/tencent-chat/apps/1400000001"),
                ("ce_type", "tencent.chat.official_account.message_recalled.v1"),
                ("ce_subject", "71_1_1698741698"),
                ("ce_time", "2022-12-09T08:26:54.123Z"),
                ("content-type", "application/json"),
            ]
        );
    }

    #[test]
    fn recalls_that_share_an_event_id_have_identities_of_their_own() {
        let event = |sdk_app_id, official_account, msg_key| RecalledMessage {
            sdk_app_id,
            official_account,
            msg_key,
            ..sample()
        };
        let all = [
            event(1, "x", "y/z"),
            event(1, "x/y", "z"),
            event(1, "x/y/z", ""),
            event(1, "", "x/y/z"),
            event(1, "x", "yz"),
            event(1, "xy", "z"),
            event(2, "x", "y/z"),
            event(11, "x", "y/z"),
        ];
        assert_eq!(event_id(1, "x", "y/z"), event_id(1, "x/y", "z"));
        let identities: std::collections::BTreeSet<_> = all.iter().map(RecalledMessage::content_hash).collect();
        assert_eq!(identities.len(), all.len());
        let repeated = RecalledMessage { received_at_ms: 7, client_ip: None, traceparent: Some("t"), ..all[0] };
        assert_eq!(repeated.content_hash(), all[0].content_hash());
    }

    proptest! {
        /// `check-config` compares the bound with what Kafka takes.
        #[test]
        fn no_record_is_larger_than_its_bound(
            account in "\\PC{1,80}|[\\x00-\\x1f\"\\\\]{1,80}",
            msg_key in "\\PC{1,80}|[\\x00-\\x1f\"\\\\]{1,80}",
            times in 1_usize..100,
        ) {
            let (account, msg_key) = (account.repeat(times), msg_key.repeat(times));
            let body = serde_json::json!({ "Official_Account": account, "WithdrawMsgList": [{ "MsgKey": msg_key }] });
            let event = RecalledMessage {
                sdk_app_id: u64::MAX,
                official_account: &account,
                msg_key: &msg_key,
                opt_platform: Some(&"\u{1}".repeat(64)),
                client_ip: Some(&"\u{1}".repeat(64)),
                traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
                ..sample()
            };
            let mut bytes = Vec::new();
            event.encode(&mut bytes);
            // Lengths are four bytes here, more than in Kafka. What the publisher adds: two headers. What
            // Kafka adds: 61 bytes for a batch, and some for the record.
            let added = "bridge_spool".len() + 36 + "bridge_seq".len() + 20 + 16 + 61 + 21;
            let body = u64::try_from(body.to_string().len()).unwrap();
            let bound = body * BODY_FACTOR + BESIDE_BODY_MAX_BYTES;
            prop_assert!(u64::try_from(bytes.len() + added).unwrap() <= bound);
        }
    }

    #[test]
    fn an_unknown_field_is_null_and_has_no_header() {
        let mut bytes = Vec::new();
        let event = RecalledMessage {
            msg_key: "opaque",
            recalled_at_ms: None,
            opt_platform: None,
            client_ip: None,
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ..sample()
        };
        event.encode(&mut bytes);
        let record = Record::decode(&bytes).unwrap();
        let value: serde_json::Value = serde_json::from_slice(record.value).unwrap();
        for field in ["message_sent_at", "recalled_at", "opt_platform", "client_ip"] {
            assert!(value[field].is_null(), "{field}");
        }
        assert!(record.headers().all(|(name, _)| name != header::TIME));
        assert_eq!(record.headers().last().unwrap().0, header::TRACEPARENT);
    }

    #[test]
    fn a_sent_time_is_derived_from_keys_of_its_shape_only() {
        for (key, time) in [
            ("71_1_1698741698", Some("2023-10-31T08:41:38Z")),
            ("0_0_0", Some("1970-01-01T00:00:00Z")),
            ("1_2_99999999999999999999", None),
            ("1_2_999999999999", None),
            ("1_2", None),
            ("1_2_3_4", None),
            ("a_2_3", None),
            ("_2_3", None),
            ("1_2_-3", None),
        ] {
            assert_eq!(message_sent_at(key).map(|at| format!("{at:.0}")).as_deref(), time, "{key}");
        }
    }
}
