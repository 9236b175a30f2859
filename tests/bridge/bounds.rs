//! Tests of the limits: the spool, the quarantine, and the timeout of a commit.

use std::io::Write as _;

use rusqlite::Connection;
use serde_json::Value;

use crate::bridge::{APP, Bridge, TOKEN, eventually};
use crate::mock::Kafka;
use crate::raw;
use crate::sender::{Sender, recall_body, signed_query};
use crate::topic::{Record, prove};

const MIB: u64 = 1 << 20;

fn counted(bridge: &Bridge, outcome: &str) -> f64 {
    bridge.metric(&format!("webhooks_total{{outcome=\"{outcome}\"}}"))
}

fn ready(bridge: &Bridge) -> (u16, Value) {
    let (status, text) = bridge.ops_get("/readyz");
    (status, serde_json::from_str(&text).expect("/readyz is JSON"))
}

#[test]
fn a_full_spool_refuses_at_once_says_so_and_recovers_when_kafka_appears() {
    let kafka = Kafka::start();
    kafka.down();
    let bridge = kafka.setup().env("BRIDGE_SPOOL_MAX_BYTES", MIB).start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    let key = |number: u64, nth: u64| format!("{number}_{nth}_1_{}", "k".repeat(3000));
    let mut accepted = Vec::new();
    let refused = loop {
        let number = accepted.len() as u64;
        let keys: Vec<String> = (0..10).map(|nth| key(number, nth)).collect();
        let answer = sender.recall("#TOA#_1", &keys);
        if !answer.is_ok() {
            break answer;
        }
        accepted.push(keys);
        assert_eq!(ready(&bridge).0, 200, "a node that accepts is ready, with or without Kafka");
    };
    assert!((2..1000).contains(&accepted.len()), "{} deliveries fitted into 1 MiB", accepted.len());
    assert_eq!((refused.status, refused.code()), (503, 120_010), "{refused:?}");
    let (status, answer) = ready(&bridge);
    assert_eq!(status, 503, "{answer}");
    assert!(answer["reasons"][0].as_str().unwrap().starts_with("spool full"), "{answer}");
    assert_eq!(bridge.ops_get("/livez").0, 200);
    assert_eq!(bridge.status()["ready"], false);
    assert_eq!(counted(&bridge, "spool_full"), 1.0);
    assert!(bridge.metric("spool_bytes") <= bridge.metric("spool_capacity_bytes"));

    kafka.up();
    eventually("the bridge is ready again", || (ready(&bridge).0 == 200).then_some(()));
    sender.acknowledged("#TOA#_1", &["after_1_1"]);
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    let expected: Vec<String> = accepted.into_iter().flatten().chain(["after_1_1".to_owned()]).collect();
    assert!(records.iter().map(Record::msg_key).eq(&expected), "what was refused is not published, the rest is");
    // The bytes are released when the published sequence is stored, some milliseconds later.
    eventually("the spool is empty", || (bridge.metric("spool_bytes") < 1.0).then_some(()));
}

#[test]
fn a_full_quarantine_refuses_only_webhooks_that_it_would_store() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env("BRIDGE_QUARANTINE_MAX_BYTES", 64 * 1024).start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    let malformed = "x".repeat(10_000);
    let mut kept = 0.0;
    let refused = loop {
        let answer = sender.post(&signed_query(APP, TOKEN), malformed.clone());
        if answer.code() != 120_009 {
            break answer;
        }
        kept += 1.0;
        assert!(kept < 10.0, "the bound is not kept");
    };
    assert_eq!((refused.status, refused.code()), (503, 120_010), "{refused:?}");
    assert_eq!((counted(&bridge, "malformed"), counted(&bridge, "spool_full")), (kept, 1.0));
    assert_eq!(bridge.metric("quarantine_events"), kept);
    assert!(bridge.metric("quarantine_bytes") <= 65536.0);
    assert_eq!(ready(&bridge).0, 200, "recalls are still accepted");
    sender.acknowledged("#TOA#_1", &["1_1_1"]);
}

/// Holds the spool's write lock. It has the effect of a disk on which a commit hangs.
fn hold_writes(bridge: &Bridge) -> Connection {
    let connection = crate::spool::open(&bridge.setup().spool_dir());
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    connection
}

/// Waits until the writer has stored the published sequence and removed the published rows. Otherwise it would time
/// out in that step before it starts with the next webhook.
fn wait_stored(bridge: &Bridge, published_end: u64) {
    let connection = crate::spool::open(&bridge.setup().spool_dir());
    eventually("what is published is removed from the file", || {
        let query = "SELECT watermark, (SELECT count(*) FROM event_group) FROM progress";
        let stored = connection.query_row(query, [], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?)));
        (stored.unwrap() == (published_end, 0)).then_some(())
    });
}

#[test]
fn nothing_is_acknowledged_before_its_commit() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env("BRIDGE_ACK_TIMEOUT_MS", 300).start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    eventually("the publisher is ready", || (bridge.metric("kafka_up") > 0.5).then_some(()));
    let held = hold_writes(&bridge);
    for number in 0..3 {
        let answer = sender.recall("#TOA#_1", &[format!("{number}_1_1")]);
        assert_eq!((answer.status, answer.code()), (503, 120_011), "{answer:?}");
        let malformed = sender.post(&signed_query(APP, TOKEN), "{");
        assert_eq!((malformed.status, malformed.code()), (503, 120_011), "{malformed:?}");
    }
    assert_eq!(counted(&bridge, "unavailable"), 6.0);
    assert_eq!(counted(&bridge, "accepted") + counted(&bridge, "malformed"), 0.0);
    assert_eq!(bridge.metric("events_accepted_total"), 0.0);
    held.execute_batch("ROLLBACK").unwrap();
    eventually("it is accepted again", || {
        sender
            .try_post(&signed_query(APP, TOKEN), recall_body("#TOA#_1", &["after_1_1"]))
            .unwrap()
            .is_ok()
            .then_some(())
    });
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    assert!(records.iter().any(|record| record.msg_key() == "after_1_1"));
}

#[test]
fn a_peer_that_leaves_during_a_commit_is_counted_once() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env("BRIDGE_ACK_TIMEOUT_MS", 4000).start();
    let held = hold_writes(&bridge);
    let mut stream = raw::connect(&bridge);
    let request = raw::request(&signed_query(APP, TOKEN), &recall_body("#TOA#_1", &["1_1_1"]));
    stream.write_all(request.as_bytes()).unwrap();
    drop(stream);
    held.execute_batch("ROLLBACK").unwrap();
    // A complete webhook may become durable although its sender is gone. Then it is accepted and published.
    let outcomes = eventually("it is counted", || {
        let outcomes = [counted(&bridge, "accepted"), counted(&bridge, "client_gone")];
        (outcomes.iter().sum::<f64>() > 0.5).then_some(outcomes)
    });
    assert_eq!(outcomes.iter().sum::<f64>(), 1.0);
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    assert!(records.len() <= 1 && (outcomes[0] < 0.5 || records.len() == 1), "{records:?}");
}

#[test]
fn a_commit_that_fails_answers_503_leaves_nothing_and_heals() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env("BRIDGE_ACK_TIMEOUT_MS", 10_000).start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["before_1_1"]);
    bridge.wait_published();
    wait_stored(&bridge, 2);
    let held = hold_writes(&bridge);
    // SQLite's busy timeout ends long before the deadline of the response.
    let answer = sender.recall("#TOA#_1", &["failed_1_1"]);
    assert_eq!((answer.status, answer.code()), (503, 120_011), "{answer:?}");
    let (status, why) = ready(&bridge);
    assert_eq!(status, 503, "{why}");
    assert!(why["reasons"][0].as_str().unwrap().starts_with("spool broken"), "{why}");
    held.execute_batch("ROLLBACK").unwrap();
    // A node that is not ready receives no webhooks, so it must detect the recovery itself.
    eventually("it is ready again without a delivery", || (ready(&bridge).0 == 200).then_some(()));
    sender.acknowledged("#TOA#_1", &["after_1_1"]);
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    assert_eq!(records.iter().map(Record::msg_key).collect::<Vec<_>>(), ["before_1_1", "after_1_1"]);
}

#[test]
fn an_unwritable_spool_at_the_first_connection_only_delays_publishing() {
    let kafka = Kafka::start();
    kafka.down();
    let bridge = kafka.setup().start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["before_1_1"]);
    let held = hold_writes(&bridge);
    kafka.up();
    eventually("the publisher meets the broken spool", || {
        bridge.status()["kafka"]["last_error"]["text"].as_str()?.contains("writing to the spool").then_some(())
    });
    held.execute_batch("ROLLBACK").unwrap();
    sender.acknowledged("#TOA#_1", &["after_1_1"]);
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    assert_eq!(records.iter().map(Record::msg_key).collect::<Vec<_>>(), ["before_1_1", "after_1_1"]);
}
