use super::*;
use crate::events::recall::limits::{BESIDE_BODY_MAX_BYTES, BODY_FACTOR};
use crate::webhook::{Apps, verify};
use proptest::prelude::*;

const QUERY: &str = "SdkAppid=1&CallbackCommand=OfficialAccount.CallbackAfterMsgWithDraw";

fn read(body: &[u8]) -> Result<Option<Recall<'_>>, RecallError> {
    let apps = Apps::parse("1", true).unwrap();
    parse(&verify(QUERY.as_bytes(), &apps, 0, 60, |_| true).unwrap(), body)
}

fn recall(body: &str) -> (String, Vec<String>, Option<i64>) {
    match read(body.as_bytes()).unwrap() {
        Some(recall) => (
            recall.official_account().to_owned(),
            recall.msg_keys().map(str::to_owned).collect(),
            recall.event_time_ms(),
        ),
        None => panic!("empty: {body}"),
    }
}

fn with_time(time: &str) -> Option<i64> {
    recall(&format!(r#"{{"Official_Account":"a","WithdrawMsgList":[{{"MsgKey":"k"}}],"EventTime":{time}}}"#)).2
}

#[test]
fn keys_are_distinct_in_order_of_first_appearance() {
    let body =
        r#"{"Official_Account":"a","WithdrawMsgList":[{"MsgKey":"k"},{"MsgKey":"j"},{"MsgKey":"k"},{"MsgKey":"i"}]}"#;
    assert_eq!(recall(body).1, ["k", "j", "i"]);
}

#[test]
fn a_valid_event_time_is_used_and_an_invalid_one_refuses_nothing() {
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
fn unused_fields_need_not_be_text() {
    let body = b"{\"\\ud800\":1,\"\xff\":\"\xff\",\"Official_Account\":\"a\",\"EventTime\":\"\xff\",\
        \"WithdrawMsgList\":[{\"\\udc00\":1,\"\xfe\":\"\xfe\",\"MsgKey\":\"k\"}],\"\xff\":2}";
    let Some(recall) = read(body).unwrap() else { panic!("empty") };
    assert_eq!((recall.official_account(), recall.event_time_ms()), ("a", None));
    assert_eq!(recall.msg_keys().collect::<Vec<_>>(), ["k"]);
    for broken in [
        &b"{\"Official_Account\":\"\xff\",\"WithdrawMsgList\":[]}"[..],
        br#"{"Official_Account":"\ud800","WithdrawMsgList":[]}"#,
        br#"{"Official_Account":"a","WithdrawMsgList":[{"MsgKey":"\ud800"}]}"#,
    ] {
        assert!(matches!(read(broken), Err(RecallError::Json(_))), "{}", broken.escape_ascii());
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
        (r#"{"Official_Account":"a","WithdrawMsgList":[{"MsgKey":"k"},{"MsgKey":""}]}"#, "WithdrawMsgList[1].MsgKey"),
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
fn the_account_is_read_from_an_invalid_recall_too() {
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
    assert_eq!(read(br#"{"Official_Account":"a","WithdrawMsgList":[]}"#), Ok(None));
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

fn with(account: &str, keys: &[&str]) -> String {
    let list: Vec<_> = keys.iter().map(|key| serde_json::json!({ "MsgKey": key })).collect();
    serde_json::json!({ "Official_Account": account, "WithdrawMsgList": list }).to_string()
}

#[test]
fn values_at_a_limit_are_accepted_and_values_above_it_refused() {
    let text = |length: usize| "k".repeat(length);
    let numbered = |count: usize| (0..count).map(|n| format!("{n}_{}", text(34))).collect::<Vec<_>>();
    let keys = |count: usize| numbered(count);
    for (account, keys, says) in [
        (text(1024), vec![text(1)], None),
        (text(1025), vec![text(1)], Some("Official_Account: 1025 bytes, over 1024")),
        (text(1), vec![text(32_768)], None),
        (text(1), vec![text(1), text(32_769)], Some("WithdrawMsgList[1].MsgKey: over 32768 bytes")),
        (text(48), keys(1000), None),
        (text(48), keys(1001), Some("WithdrawMsgList: over 1000 keys")),
        (text(1), vec![text(1); 1001], Some("WithdrawMsgList: over 1000 keys")),
        (text(1024), keys(900), Some("its records would have")),
        ("\u{1}".repeat(1024), vec![text(1); 1], None),
        (text(32_000), keys(1800), Some("Official_Account: 32000 bytes")),
    ] {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let body = with(&account, &keys);
        let fault = read(body.as_bytes()).err().map(|fault| fault.to_string());
        assert_eq!(fault.is_some(), says.is_some(), "{fault:?}");
        assert!(says.is_none_or(|says| fault.as_deref().unwrap_or_default().contains(says)), "{says:?} {fault:?}");
    }
}

#[test]
fn an_error_quotes_a_short_part_of_the_body() {
    let body = format!(r#"{{"Official_Account":"a","WithdrawMsgList":"{}"}}"#, "公".repeat(20_000));
    assert!(read(body.as_bytes()).unwrap_err().to_string().len() < 500);
}

proptest! {
    #[test]
    fn accepted_records_are_not_larger_than_their_estimate(
        account in "\\PC{1,40}|[\\x00-\\x1f\"\\\\]{1,40}",
        keys in prop::collection::vec("\\PC{1,40}|[\\x00-\\x1f\"\\\\]{1,40}", 1..9),
        beside in prop::option::of("\\PC{1,16}|[\\x00-\\x1f]{1,64}"),
    ) {
        let counted = records_bytes(&account, keys.iter().map(String::as_str), &[beside.as_deref(); 2]);
        let mut encoded = Vec::new();
        for msg_key in &keys {
            let event = crate::events::recall::RecalledMessage {
                sdk_app_id: u64::MAX,
                official_account: &account,
                msg_key,
                recalled_at_ms: Some(253_402_300_799_999),
                received_at_ms: 253_402_300_799_999,
                opt_platform: beside.as_deref(),
                client_ip: beside.as_deref(),
                traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            };
            event.encode(&mut encoded);
        }
        prop_assert!(encoded.len() <= counted, "{} {counted}", encoded.len());
    }
}

#[test]
fn the_maximum_size_of_a_record_follows_the_maximum_size_of_a_body() {
    assert_eq!(crate::events::record_bytes_max(0), BESIDE_BODY_MAX_BYTES);
    assert_eq!(crate::events::record_bytes_max(1000), 1000 * BODY_FACTOR + BESIDE_BODY_MAX_BYTES);
}
