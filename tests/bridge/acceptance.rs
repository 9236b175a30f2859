//! Log lines and metrics about refused webhooks of a published command, and about the start.

use std::collections::BTreeMap;

use recall_bridge::events::RECALL_COMMAND;
use reqwest::Method;

use crate::bridge::{APP, Bridge, TOKEN};
use crate::mock::Kafka;
use crate::raw;
use crate::sender::{Sender, query_at, recall_body, signed_query, unix_now};

const DAY: i64 = 24 * 60 * 60;

/// The counts of `published_command_webhooks_total` above 0.
fn counted(bridge: &Bridge) -> BTreeMap<String, f64> {
    let start = "recall_bridge_published_command_webhooks_total{outcome=\"";
    let name = |key: &str| Some(key.strip_prefix(start)?.strip_suffix("\"}")?.to_owned());
    bridge.metrics().iter().filter(|(_, count)| **count > 0.0).filter_map(|(key, n)| Some((name(key)?, *n))).collect()
}

#[test]
fn webhooks_that_name_a_published_command_are_counted_by_outcome() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env("BRIDGE_MAX_BODY_BYTES", 1024).start();
    assert!(counted(&bridge).is_empty());
    let labels = bridge.metrics().keys().filter(|key| key.contains("published_command_webhooks_total{")).count();
    assert_eq!(labels, recall_bridge::ingest::Outcome::ALL.len(), "every outcome starts at 0");

    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    let recall = signed_query(APP, TOKEN);
    let body = |key: &str| recall_body("#TOA#_1", &[key]);
    let late = |seconds| query_at(APP, TOKEN, RECALL_COMMAND, unix_now() - seconds);
    sender.post(&recall, body("1_1_1"));
    sender.post(&recall, body("1_1_1"));
    sender.post(&recall, r#"{"Official_Account":"a","WithdrawMsgList":[]}"#);
    sender.post(&recall, "{}");
    sender.post(&recall, "x".repeat(1025));
    sender.post(&late(600), body("2_1_1"));
    sender.post(&late(2 * DAY), body("3_1_1"));
    sender.post(&signed_query(APP, "wrong"), body("4_1_1"));
    sender.post(&signed_query(1, TOKEN), body("5_1_1"));
    sender.post(&format!("CallbackCommand={RECALL_COMMAND}"), body("6_1_1"));
    sender.request(Method::POST, &format!("wrong/path?{recall}"));
    sender.request(Method::GET, &format!("?{recall}"));
    // Those of scanners and of other commands are not counted.
    sender.request(Method::POST, "");
    sender.request(Method::GET, "?SdkAppid=1&Sign=2");
    sender.request(Method::GET, &format!("{RECALL_COMMAND}?x={RECALL_COMMAND}"));
    sender.post(&query_at(APP, TOKEN, "C2C.CallbackAfterSendMsg", unix_now()), "{}");
    sender.post(&query_at(APP, "wrong", "C2C.CallbackAfterSendMsg", unix_now()), "{}");
    raw::exchange(&bridge, &format!("{RECALL_COMMAND}\r\n\r\n"));
    let expected = [
        ("accepted", 1.0),
        ("bad_query", 1.0),
        ("bad_sign", 1.0),
        ("duplicate", 1.0),
        ("empty", 1.0),
        ("expired", 1.0),
        ("malformed", 1.0),
        ("method_not_allowed", 1.0),
        ("not_found", 1.0),
        ("stale", 1.0),
        ("too_large", 1.0),
        ("unknown_app", 1.0),
    ];
    assert_eq!(counted(&bridge), expected.map(|(outcome, count)| (outcome.to_owned(), count)).into());
}

#[test]
fn without_acceptances_a_line_names_the_main_outcome_and_the_next_step() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let right = Sender::new(&bridge.url(), APP, TOKEN);
    assert!(!right.post(&query_at(APP, "wrong", "C2C.CallbackAfterSendMsg", unix_now()), "{}").is_ok());
    let wrong = Sender::new(&bridge.url(), APP, "wrong");
    for key in ["1_1_1", "2_1_1", "3_1_1"] {
        assert!(!wrong.recall("#TOA#_1", &[key]).is_ok());
    }
    let line = bridge.process.wait_for_line("none_accepted");
    assert_eq!((&line["level"], &line["outcome"]), (&"WARN".into(), &"bad_sign".into()), "{line}");
    assert_eq!(line["refused"], 1, "{line}");
    assert!(line["next_step"].as_str().unwrap().contains("BRIDGE_APPS"), "{line}");
    right.acknowledged("#TOA#_1", &["4_1_1"]);
    let line = bridge.process.wait_for_line("accepted_again");
    assert_eq!((&line["refused"], &line["outcome"]), (&3.into(), &"bad_sign".into()), "{line}");
    let lines = bridge.process.log_lines();
    let warnings = lines.iter().filter(|line| line.contains("none_accepted")).count();
    assert_eq!(warnings, 1, "the next line comes after a minute");
}

#[test]
fn the_start_writes_one_line_with_the_settings_and_no_secret() {
    let kafka = Kafka::start();
    let setup = kafka.setup().env("BRIDGE_APPS", format!("{APP}:{TOKEN}|old-token,7:{TOKEN}"));
    let mut bridge = setup.env("KAFKA_MESSAGE_MAX_BYTES", 100_000).start();
    let line = bridge.process.wait_for_line("started");
    assert_eq!(line["version"], env!("CARGO_PKG_VERSION"));
    assert!(line["commit"].is_string() && line["dir"].as_str().unwrap().contains("spool"), "{line}");
    let expected = [("topic", "official-account.recalls"), ("delivery", "exactly_once")];
    for (field, value) in expected {
        assert_eq!(line[field], value, "{line}");
    }
    assert_eq!((&line["brokers"], &line["waiting"]), (&kafka.address().into(), &0.into()), "{line}");
    assert_eq!(line["apps"], format!("7 {APP}"), "{line}");
    let warning = bridge.process.wait_for_line("setting_risky");
    assert_eq!((&warning["level"], &warning["event"]), (&"WARN".into(), &"setting_risky".into()), "{warning}");
    assert!(warning["fix"].as_str().unwrap().starts_with("set KAFKA_MESSAGE_MAX_BYTES="), "{warning}");
    // The mock cluster does not show the settings of a topic.
    bridge.process.wait_for_line("topic_not_checked");
    bridge.kill();
    let log = bridge.process.log_lines().join("\n");
    assert!(!log.contains(TOKEN) && !log.contains("old-token"), "{log}");
    assert_eq!(log.matches("KAFKA_MESSAGE_MAX_BYTES=").count(), 1, "each warning is written once: {log}");
}

#[test]
fn a_start_names_the_backlog_of_the_previous_process() {
    let kafka = Kafka::start();
    kafka.down();
    let mut bridge = kafka.setup().start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["1_1_1", "2_1_1"]);
    bridge.kill();
    let bridge = bridge.restart();
    assert_eq!(bridge.process.wait_for_line("started")["waiting"], 2);
}
