//! The body of a recall.
//!
//! Source: Tencent Cloud Chat webhook documentation, "after an official account's message is
//! recalled".

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::Value;

use super::Verified;
use super::body_fields::{self, Fields};

/// Milliseconds of the years 1 to 9999, the range of RFC 3339.
const TIMES_MS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;
/// Some senders put it before JSON; RFC 8259 lets a receiver ignore it.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// What a valid body says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body<'b> {
    /// `WithdrawMsgList` is `[]`: nothing was recalled.
    Empty,
    /// Messages were recalled.
    Recall(Recall<'b>),
}

/// Messages of one official account that were recalled together. Only [`parse`] builds one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recall<'b> {
    official_account: Cow<'b, str>,
    msg_keys: Vec<Cow<'b, str>>,
    event_time_ms: Option<i64>,
}

impl Recall<'_> {
    /// `Official_Account`, not empty, otherwise opaque.
    pub fn official_account(&self) -> &str {
        &self.official_account
    }

    /// Every `MsgKey` once, in the order of first appearance; at least one, none empty.
    pub fn msg_keys(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.msg_keys.iter().map(AsRef::as_ref)
    }

    /// `EventTime`, in UNIX milliseconds, where it is there and can be a time.
    pub fn event_time_ms(&self) -> Option<i64> {
        self.event_time_ms
    }
}

/// Why an authentic body is no valid recall.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// Not JSON, or a field of another type.
    #[error(
        "body: {0}; expected {{\"CallbackCommand\":…,\"Official_Account\":\"…\",\"WithdrawMsgList\":[{{\"MsgKey\":\"…\"}}],\"EventTime\":ms}}"
    )]
    Json(String),
    /// The body contradicts the query.
    #[error("CallbackCommand: the body says another command than the query")]
    OtherCommand,
    /// No account.
    #[error("Official_Account: {0}; expected a string that is not empty")]
    Account(&'static str),
    /// No list.
    #[error("WithdrawMsgList: missing; expected an array of objects with a MsgKey")]
    NoList,
    /// A key that names no message.
    #[error("WithdrawMsgList[{0}].MsgKey: empty; expected a string that is not empty")]
    EmptyKey(usize),
}

/// Reads the body of a verified recall. Unknown fields are ignored; a missing command is that of
/// the query; an `EventTime` that cannot be a time is none, because the recall still counts.
///
/// # Errors
/// The first fault, which names the field.
pub fn parse<'b>(verified: &Verified<'_>, body: &'b [u8]) -> Result<Body<'b>, BodyFault> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let raw: Fields<'b> = body_fields::read(body).map_err(|error| BodyFault::Json(error.to_string()))?;
    if raw.command.is_some_and(|command| command != verified.command()) {
        return Err(BodyFault::OtherCommand);
    }
    let official_account = raw.official_account.ok_or(BodyFault::Account("missing"))?;
    if official_account.is_empty() {
        return Err(BodyFault::Account("empty"));
    }
    let list = raw.list.ok_or(BodyFault::NoList)?;
    if list.is_empty() {
        return Ok(Body::Empty);
    }
    if let Some(index) = list.iter().position(|msg_key| msg_key.is_empty()) {
        return Err(BodyFault::EmptyKey(index));
    }
    let event_time_ms = raw.event_time.as_ref().and_then(time_ms);
    Ok(Body::Recall(Recall { official_account, msg_keys: distinct(list), event_time_ms }))
}

/// The account that a body names, where that can be read: also of one that is no valid recall.
pub fn account(body: &[u8]) -> Option<Cow<'_, str>> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    match body_fields::read(body) {
        Ok(fields) => fields.official_account,
        Err(_) => match serde_json::from_slice::<Value>(body).ok()?.get_mut("Official_Account")?.take() {
            Value::String(account) => Some(account.into()),
            _ => None,
        },
    }
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

/// Documented as an integer of milliseconds, seen as a string of digits.
fn time_ms(value: &Value) -> Option<i64> {
    let ms = match value {
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?))?,
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok()?,
        _ => return None,
    };
    (ms >= 0 && TIMES_MS.contains(&ms)).then_some(ms)
}

fn whole(number: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "within the range checked just before")]
    (number.fract() == 0.0 && number.abs() < 9.0e15).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::super::{Apps, verify};
    use super::*;
    use proptest::prelude::*;

    const QUERY: &str = "SdkAppid=1&CallbackCommand=OfficialAccount.CallbackAfterMsgWithDraw";

    fn read(body: &[u8]) -> Result<Body<'_>, BodyFault> {
        let apps = Apps::parse("1", true).unwrap();
        parse(&verify(QUERY.as_bytes(), &apps, 0, 60).unwrap(), body)
    }

    fn recall(body: &str) -> (String, Vec<String>, Option<i64>) {
        match read(body.as_bytes()).unwrap() {
            Body::Recall(recall) => (
                recall.official_account().to_owned(),
                recall.msg_keys().map(str::to_owned).collect(),
                recall.event_time_ms(),
            ),
            Body::Empty => panic!("empty: {body}"),
        }
    }

    fn with_time(time: &str) -> Option<i64> {
        recall(&format!(r#"{{"Official_Account":"a","WithdrawMsgList":[{{"MsgKey":"k"}}],"EventTime":{time}}}"#)).2
    }

    #[test]
    fn keys_are_distinct_in_order_of_first_appearance() {
        let body = r#"{"Official_Account":"a","WithdrawMsgList":[{"MsgKey":"k"},{"MsgKey":"j"},{"MsgKey":"k"},{"MsgKey":"i"}]}"#;
        assert_eq!(recall(body).1, ["k", "j", "i"]);
    }

    #[test]
    fn an_event_time_is_taken_where_it_can_be_a_time_and_never_refused() {
        for (time, ms) in [
            ("1670574414123", Some(1_670_574_414_123)),
            ("\"1670574414123\"", Some(1_670_574_414_123)),
            ("1670574414123.0", Some(1_670_574_414_123)),
            ("0", Some(0)),
            ("253402300799999", Some(253_402_300_799_999)),
            ("253402300800000", None),
            ("-1", None),
            ("1e300", None),
            ("1.5", None),
            ("\"\"", None),
            ("\"soon\"", None),
            ("\"99999999999999999999\"", None),
            ("null", None),
            ("{}", None),
            ("[1]", None),
            ("true", None),
            ("1e999", None),
            ("-1e999", None),
            (r#""\ud800""#, None),
            (r#"{"\ud800":["\udfff",1e999]}"#, None),
            ("1670574414123,\"EventTime\":1670574414123", None),
            ("null,\"EventTime\":1670574414123", None),
        ] {
            assert_eq!(with_time(time), ms, "{time}");
        }
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(with_time(&deep), None);
    }

    #[test]
    fn what_is_not_asked_for_need_not_be_text() {
        let body = b"{\"\\ud800\":1,\"\xff\":\"\xff\",\"Official_Account\":\"a\",\"EventTime\":\"\xff\",\
            \"WithdrawMsgList\":[{\"\\udc00\":1,\"\xfe\":\"\xfe\",\"MsgKey\":\"k\"}],\"\xff\":2}";
        let Body::Recall(recall) = read(body).unwrap() else { panic!("empty") };
        assert_eq!((recall.official_account(), recall.event_time_ms()), ("a", None));
        assert_eq!(recall.msg_keys().collect::<Vec<_>>(), ["k"]);
        for broken in [
            &b"{\"Official_Account\":\"\xff\",\"WithdrawMsgList\":[]}"[..],
            br#"{"Official_Account":"\ud800","WithdrawMsgList":[]}"#,
            br#"{"Official_Account":"a","WithdrawMsgList":[{"MsgKey":"\ud800"}]}"#,
        ] {
            assert!(matches!(read(broken), Err(BodyFault::Json(_))), "{}", broken.escape_ascii());
        }
    }

    #[test]
    fn tolerates_a_byte_order_mark_null_command_and_deep_unknown_fields() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let body = format!(
            "\u{feff}{{\"CallbackCommand\":null,\"New\":{deep},\"Official_Account\":\"\\u0040TOA#_\\u516c\",\"WithdrawMsgList\":[{{\"MsgKey\":\"k\",\"More\":1}}]}}"
        );
        assert_eq!(recall(&body).0, "@TOA#_公");
    }

    #[test]
    fn each_fault_names_its_field() {
        for (body, says) in [
            ("", "body"),
            ("[]", "body"),
            ("{\"Official_Account\":\"\u{1}\"}", "body"),
            (r#"{"CallbackCommand":7}"#, "body"),
            (r#"{"CallbackCommand":"C2C.x","Official_Account":"a","WithdrawMsgList":[]}"#, "CallbackCommand"),
            ("{}", "Official_Account"),
            (r#"{"Official_Account":"","WithdrawMsgList":[]}"#, "Official_Account"),
            (r#"{"Official_Account":"a"}"#, "WithdrawMsgList"),
            (r#"{"Official_Account":"a","WithdrawMsgList":null}"#, "WithdrawMsgList"),
            (
                r#"{"Official_Account":"a","WithdrawMsgList":[{"MsgKey":"k"},{"MsgKey":""}]}"#,
                "WithdrawMsgList[1].MsgKey",
            ),
            (r#"{"Official_Account":"a","WithdrawMsgList":[{}]}"#, "MsgKey"),
            (r#"{"Official_Account":"a","WithdrawMsgList":["k"]}"#, "body"),
            (r#"{"Official_Account":"a","WithdrawMsgList":[["k"]]}"#, "body"),
            (r#"{"Official_Account":"a","WithdrawMsgList":[{"MsgKey":"k","MsgKey":"j"}]}"#, "MsgKey"),
            (r#"{"Official_Account":"a","Official_Account":"b","WithdrawMsgList":[]}"#, "Official_Account"),
            (r#"[null,"a",[{"MsgKey":"k"}],1]"#, "body"),
        ] {
            let fault = read(body.as_bytes()).unwrap_err().to_string();
            assert!(fault.contains(says), "{body}: {fault}");
        }
    }

    #[test]
    fn the_account_is_found_in_what_is_no_valid_recall_too() {
        for body in [
            r#"{"Official_Account":"a"}"#,
            r#"{"Official_Account":"a","WithdrawMsgList":7}"#,
            r#"{"CallbackCommand":7,"Official_Account":"\u0061","WithdrawMsgList":[]}"#,
        ] {
            assert!(read(body.as_bytes()).is_err(), "{body}");
            assert_eq!(account(body.as_bytes()).as_deref(), Some("a"), "{body}");
        }
        for body in [r#"{"Official_Account":7}"#, "[]", "{", ""] {
            assert_eq!(account(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn an_empty_list_is_empty() {
        assert_eq!(read(br#"{"Official_Account":"a","WithdrawMsgList":[]}"#), Ok(Body::Empty));
    }

    proptest! {
        #[test]
        fn never_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&body);
        }

        #[test]
        fn any_account_and_keys_come_through(account in ".{1,20}", keys in prop::collection::vec(".{1,10}", 1..20)) {
            let list: Vec<_> = keys.iter().map(|key| serde_json::json!({ "MsgKey": key })).collect();
            let body = serde_json::json!({ "Official_Account": account, "WithdrawMsgList": list }).to_string();
            let (read_account, read_keys, _) = recall(&body);
            prop_assert_eq!(read_account, account);
            let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
            prop_assert_eq!(read_keys.iter().collect::<std::collections::BTreeSet<_>>(), distinct.clone());
            prop_assert_eq!(read_keys.len(), distinct.len());
        }
    }
}
