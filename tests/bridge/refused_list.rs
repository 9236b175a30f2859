//! Every refusal of a webhook that names the recall command is in the refused journal, and `refused list` shows it.

use std::io::Write as _;

use rustix::process::Signal;
use serde_json::Value;

use crate::bridge::{APP, Bridge, Setup, TOKEN, eventually};
use crate::cli::{expect, json, malformed, only_spool, run, stale, stderr};
use crate::mock::Kafka;
use crate::raw;
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
    // Requests that do not name the recall command are never listed.
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

#[test]
fn refusals_of_the_request_itself_are_listed() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env("BRIDGE_ACK_TIMEOUT_MS", 300).env("BRIDGE_MAX_BODY_BYTES", 1024).start();
    let (query, body) = (signed_query(APP, TOKEN), recall_body("#TOA#_1", &["1_1_1"]));
    let large = recall_body("#TOA#_1", &["k".repeat(2000)]);
    assert_eq!(raw::exchange(&bridge, &raw::request(&query, &large)).code(), 120_004);
    let chunked =
        format!("{}800\r\n{}\r\n0\r\n\r\n", raw::head(&query, "Transfer-Encoding: chunked\r\n"), "x".repeat(2048));
    assert_eq!(raw::exchange(&bridge, &chunked).code(), 120_004);
    assert_eq!(
        raw::exchange(&bridge, &raw::request(&query, &body).replacen("POST /", "POST /other", 1)).code(),
        120_001
    );
    assert_eq!(raw::exchange(&bridge, &raw::request(&query, &body).replacen("POST", "PUT", 1)).code(), 120_002);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = format!("Content-Length: 500\r\nX-Request-Id: balancer-1\r\ntraceparent: {trace}\r\n");
    assert_eq!(raw::exchange(&bridge, &(raw::head(&query, &headers) + "{")).code(), 120_012);
    let mut gone = raw::connect(&bridge);
    gone.write_all((raw::head(&query, "Content-Length: 500\r\n") + "{").as_bytes()).unwrap();
    drop(gone);
    let entries = eventually("all refusals are listed", || {
        let entries = refused(bridge.setup());
        (entries.len() == 6).then_some(entries)
    });
    let outcomes = ["too_large", "too_large", "not_found", "method_not_allowed", "timeout", "client_gone"];
    assert_eq!(field(&entries, "outcome"), outcomes);
    assert!(entries.iter().all(|entry| entry["authentic"] == true && entry["replayable"] == false), "{entries:?}");
    assert_eq!((&entries[4]["request_id"], &entries[4]["traceparent"]), (&"balancer-1".into(), &trace.into()));
    for entry in &entries {
        let id = entry["id"].to_string();
        let kept = json(&only_spool(bridge.setup()), 1, &["refused", "replay", "--json", &id]);
        assert_eq!(kept[0]["result"], "kept", "{kept:?}");
    }
}

#[test]
fn a_webhook_during_the_shutdown_is_listed_and_kept_for_a_replay() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().env("BRIDGE_DRAIN_SECONDS", 5).start();
    bridge.process.signal(Signal::TERM);
    eventually("it drains", || (bridge.ops_get("/readyz").0 == 503).then_some(()));
    assert_eq!(sender(&bridge).recall("#TOA#_1", &["1_1_1"]).code(), 120_003);
    assert_eq!(sender(&bridge).post(&signed_query(APP, "wrong"), "{}").code(), 120_003);
    assert_eq!(bridge.process.wait_exit(crate::bridge::PATIENCE), 0);
    let entries = refused(bridge.setup());
    assert_eq!((entries.len(), &entries[0]["outcome"]), (1, &"draining".into()), "{entries:?}");
    assert_eq!((&entries[0]["account"], &entries[0]["replayable"]), (&"#TOA#_1".into(), &true.into()));
    let bridge = bridge.restart();
    assert_eq!(sender(&bridge).post(&signed_query(APP, "wrong"), "{}").code(), 120_007);
    assert_eq!(field(&refused(bridge.setup()), "id"), [1, 3], "id 2 was in memory only");
    run(bridge.setup(), 0, &["refused", "replay", "1"]);
    bridge.wait_published();
    assert_eq!(kafka.records().len(), 1);
}

#[test]
fn filters_match_entries_that_meet_all_conditions() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    for account in ["#TOA#_1", "#TOA#_2", "#TOA#_1"] {
        assert_eq!(stale(&bridge, account, &["1_1_1"]), 120_008);
    }
    assert_eq!(sender(&bridge).post(&signed_query(APP, "wrong"), "{}").code(), 120_007);
    let listed = |args: &[&str]| {
        let listed = json(bridge.setup(), 0, &[&["refused", "list", "--json"], args].concat());
        listed.iter().map(|entry| entry["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(listed(&[]), [1, 2, 3, 4]);
    assert_eq!(listed(&["--outcome", "bad_sign"]), [4]);
    assert_eq!(listed(&["--account", "#TOA#_1"]), [1, 3]);
    assert_eq!(listed(&["--account", "#TOA#_1", "--through", "2"]), [1]);
    assert_eq!(listed(&["--key", "1_1_1", "--outcome", "stale"]), [1, 2, 3]);
    assert_eq!(listed(&["--key", "other"]), [0; 0]);
    assert_eq!(listed(&["--since", "1h"]), [1, 2, 3, 4]);
    assert_eq!(listed(&["--since", "2099-01-01T00:00:00Z"]), [0; 0]);
    expect(&bridge.setup().run(&["refused", "list", "--since", "yesterday"]), 2);
    let nothing = Setup::new("127.0.0.1:1").run(&["refused", "list"]);
    expect(&nothing, 75);
    assert!(stderr(&nothing).contains("no spool exists"), "{nothing:?}");
}

#[test]
fn hostile_text_is_escaped_and_no_secret_is_shown() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    stale(&bridge, "\u{1b}[2J\u{202e}a\nb", &["k\u{9b}31m", "2", "3"]);
    let signed = signed_query(APP, TOKEN);
    let sign = signed.split("Sign=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    for query in [
        signed.replace("Sign=", "sign="),
        signed.replace("Sign=", "S%69gn=") + "&SdkAppid=9",
        signed.replace("SdkAppid=14", "SdkAppid=15"),
        format!("CallbackCommand={COMMAND}&Sign={sign}&Sign={}", sign.to_uppercase()),
        format!("CallbackCommand={COMMAND}&x=%1b%5b2J\u{202e}{sign}"),
    ] {
        assert!(!sender(&bridge).post(&query, "{}").is_ok(), "{query}");
    }
    let setup = bridge.setup();
    let mut all = String::new();
    for args in [&["refused", "list"][..], &["refused", "list", "--json"]] {
        all += &run(setup, 0, args);
    }
    for id in 1..=6 {
        all += &run(setup, 1, &["explain", "--refused", &id.to_string()]);
        all += &run(setup, 1, &["explain", "--json", "--refused", &id.to_string()]);
    }
    let preview = run(setup, 0, &["refused", "replay", "--outcome", "stale"]);
    assert!(preview.contains("--outcome stale --through 1 --yes"), "{preview}");
    all += &preview;
    let shown = all.clone();
    for file in std::fs::read_dir(setup.spool_dir()).unwrap() {
        let path = file.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("refused.") {
            all += &std::fs::read_to_string(path).unwrap();
        }
    }
    all += &bridge.ops_get("/status").1;
    let lower = all.to_lowercase();
    assert!(!lower.contains(&sign) && !all.contains(TOKEN) && !all.contains("Sign="), "{all}");
    let log = bridge.process.log_of("delivery_refused");
    assert!(log.iter().all(|line| !line.to_string().to_lowercase().contains(&sign)), "{log:?}");
    assert!(!shown.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{shown:?}");
    assert!(log.iter().all(|line| line["refused"].is_u64()), "{log:?}");
}

#[test]
fn explain_names_the_check_that_failed() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    stale(&bridge, "#TOA#_1", &["1_1_1"]);
    sender(&bridge).post(&signed_query(APP, "wrong"), "{}");
    let setup = only_spool(bridge.setup());
    let explain = |id: &str| json(&setup, 1, &["explain", "--json", "--refused", id]).remove(0);
    let (late, wrong) = (explain("1"), explain("2"));
    assert_eq!(
        (&late["check"], &late["app"], &late["error_code"]),
        (&"RequestTime".into(), &APP.into(), &120_008.into())
    );
    assert!(late["skew_seconds"].as_i64().unwrap() >= 3600, "{late}");
    assert!(late["why"].as_str().unwrap().contains("behind this receiver's clock"), "{late}");
    assert_eq!(
        (&wrong["check"], &wrong["outcome"], &wrong["authentic"]),
        (&"Sign".into(), &"bad_sign".into(), &false.into())
    );
    let text = run(&setup, 1, &["explain", "--refused", "1"]);
    assert!(text.contains("skew_seconds") && text.contains("#TOA#_1") && text.contains("refused replay"), "{text}");
    let unknown = setup.run(&["explain", "--refused", "99"]);
    expect(&unknown, 75);
    assert!(stderr(&unknown).contains("no entry 99"), "{unknown:?}");

    let of_url = |url: &str| bridge.setup().run(&["explain", "--json", "--url", url]);
    let url = |token: &str| format!("http://bridge/?{}", signed_query(APP, token));
    expect(&of_url(&url(TOKEN)), 0);
    let forged = of_url(&url("wrong"));
    expect(&forged, 1);
    let forged: Value = serde_json::from_slice(&forged.stdout).unwrap();
    assert_eq!((&forged["check"], &forged["app"]), (&"Sign".into(), &APP.into()));
    expect(&of_url("http://bridge/other?x=1"), 1);
    for unreadable in ["", "not a url", "/?SdkAppid=1", "http://", "ftp://bridge/", "mailto:a"] {
        expect(&of_url(unreadable), 2);
    }
    expect(&bridge.setup().run(&["explain"]), 2);
}
