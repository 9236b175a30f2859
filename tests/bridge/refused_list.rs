//! Every refusal of a webhook that names the recall command is in the refused journal, and `refused list` shows it.

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::Value;

use crate::bridge::{APP, Bridge, Setup, TOKEN, eventually};
use crate::cli::{expect, json, malformed, only_spool, run, stale, stderr, stop};
use crate::mock::Kafka;
use crate::sender::{Sender, query_at, recall_body, signed_query, unix_now};

const COMMAND: &str = recall_bridge::events::RECALL_COMMAND;

fn sender(bridge: &Bridge) -> Sender {
    Sender::new(&bridge.url(), APP, TOKEN)
}

/// All entries of the journal.
#[track_caller]
pub fn refused(setup: &Setup) -> Vec<Value> {
    json(&only_spool(setup), 0, &["refused", "list", "--json"])
}

fn field(entries: &[Value], name: &str) -> Vec<Value> {
    entries.iter().map(|entry| entry[name].clone()).collect()
}

#[test]
fn refusals_without_a_valid_sign_are_listed_without_a_body() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let sender = sender(&bridge);
    let body = recall_body("#TOA#_1", &["1_1_1"]);
    let signed = signed_query(APP, TOKEN);
    let wrong = signed_query(APP, "another-token");
    for (query, outcome, code) in [
        (wrong.clone(), "bad_sign", 120_007),
        (format!("SdkAppid={APP}&CallbackCommand={COMMAND}"), "bad_sign", 120_007),
        (signed.replace(&APP.to_string(), "77"), "unknown_app", 120_006),
        (format!("CallbackCommand={COMMAND}"), "bad_query", 120_005),
        (format!("{signed}&SdkAppid=1"), "bad_query", 120_005),
        (signed.replace("OfficialAccount.", "OfficialAccount%2E") + "&CallbackCommand=x", "bad_query", 120_005),
    ] {
        let before = refused(bridge.setup()).len();
        assert_eq!(sender.post(&query, body.clone()).code(), code, "{query}");
        let entries = refused(bridge.setup());
        assert_eq!(entries.len(), before + 1, "{query}: {entries:?}");
        let last = entries.last().unwrap();
        assert_eq!((&last["outcome"], &last["authentic"]), (&outcome.into(), &false.into()), "{last}");
        assert_eq!((&last["account"], &last["replayable"]), (&Value::Null, &false.into()), "{last}");
        assert_eq!(last["body_bytes"], body.len(), "{last}");
        assert!(!last["reason"].as_str().unwrap().is_empty(), "{last}");
        assert!(!last.to_string().contains("Sign="), "{last}");
    }
    let entries = refused(bridge.setup());
    assert_eq!(field(&entries, "id"), [1, 2, 3, 4, 5, 6]);
    assert_eq!(field(&entries, "app"), [APP.into(), APP.into(), 77.into(), Value::Null, APP.into(), APP.into()]);
    // What does not name the recall command is not listed, whatever is wrong with it.
    for query in [
        "",
        "CallbackCommand=C2C.CallbackAfterSendMsg",
        "SdkAppid=77&CallbackCommand=x",
        &wrong.replace(COMMAND, "C2C.CallbackAfterSendMsg"),
    ] {
        assert!(!sender.post(query, "{}").is_ok());
    }
    assert_eq!(refused(bridge.setup()).len(), 6);
    let status = bridge.status();
    assert_eq!((&status["refused"]["entries"], &status["refused"]["by_outcome"]["bad_query"]), (&6.into(), &3.into()));
}

#[test]
fn authentic_refusals_are_listed_with_account_and_keys() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    assert_eq!(stale(&bridge, "#TOA#_1", &["1_1_1", "2_1_1"]), 120_008);
    let old = query_at(APP, TOKEN, COMMAND, unix_now() - 200_000);
    assert_eq!(sender(&bridge).post(&old, recall_body("#TOA#_2", &["3_1_1"])).code(), 120_015);
    assert_eq!(malformed(&bridge, r##"{"Official_Account":"#TOA#_3","WithdrawMsgList":[{"MsgKey":""}]}"##), 120_009);
    let entries = refused(bridge.setup());
    assert_eq!(field(&entries, "outcome"), ["stale", "expired", "malformed"]);
    assert_eq!(field(&entries, "authentic"), [true, true, true]);
    assert_eq!(field(&entries, "account"), ["#TOA#_1", "#TOA#_2", "#TOA#_3"]);
    assert_eq!(field(&entries, "quarantine_id"), [1, 2, 3]);
    assert_eq!(entries[0]["msg_keys"], serde_json::json!(["1_1_1", "2_1_1"]));
    let skew = entries[0]["skew_seconds"].as_i64().unwrap();
    assert!((3600..3700).contains(&skew), "{skew}");
    let table = run(bridge.setup(), 0, &["refused", "list"]);
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.contains("1_1_1 2_1_1") && table.contains("expired"), "{table}");
}
