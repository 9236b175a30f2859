//! Tests that a webhook is accepted or refused as one unit.

use std::collections::BTreeSet;

use crate::bridge::{APP, TOKEN};
use crate::mock::Kafka;
use crate::sender::{Sender, recall_body, signed_query};
use crate::topic::{Record, prove};

#[test]
fn ten_keys_of_one_recall_are_ten_ordered_records_on_one_partition() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for account in ["#TOA#_1", "@TOA#_2", "#TOA#_公告"] {
        let keys: Vec<String> = (0..10).map(|key| format!("{key}_{account}_1698741698")).collect();
        sender.acknowledged(account, &keys);
        let records = kafka.topic().read_until("the account's records", |records| {
            records.iter().filter(|record| record.key == account).count() == 10
        });
        let records: Vec<&Record> = records.iter().filter(|record| record.key == account).collect();
        let partitions: BTreeSet<i32> = records.iter().map(|record| record.partition).collect();
        assert_eq!(partitions.len(), 1);
        assert!(records.iter().map(|record| record.msg_key()).eq(&keys), "{records:?}");
        let first = records[0].seq();
        assert!(records.iter().map(|record| record.seq()).eq(first..first + 10), "{records:?}");
        assert!(records.iter().all(|record| record.timestamp_ms == records[0].timestamp_ms));
    }
    prove(&kafka.records());
}

#[test]
fn a_key_repeated_within_one_recall_counts_once() {
    let kafka = Kafka::start();
    // This does not depend on the deduplication window.
    for window in [600, 0] {
        let bridge = kafka.setup().env("BRIDGE_DEDUP_WINDOW_SECONDS", window).start();
        let sender = Sender::new(&bridge.url(), APP, TOKEN);
        sender.acknowledged("#TOA#_1", &["a_1_1", "b_1_1", "a_1_1", "a_1_1", "c_1_1", "b_1_1"]);
        bridge.wait_published();
        assert_eq!(bridge.metric("events_accepted_total"), 3.0);
        assert_eq!(bridge.metric("duplicate_events_total"), 0.0);
    }
    let records = kafka.records();
    prove(&records);
    let keys: Vec<&str> = records.iter().map(Record::msg_key).collect();
    assert_eq!(keys, ["a_1_1", "b_1_1", "c_1_1", "a_1_1", "b_1_1", "c_1_1"]);
}

#[test]
fn a_recall_with_one_faulty_key_publishes_none_of_its_keys() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    assert_eq!(sender.recall("#TOA#_1", &["good_1_1", "", "good_2_1"]).code(), 120_009);
    sender.acknowledged("#TOA#_1", &["after_1_1"]);
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    assert_eq!(records.iter().map(Record::msg_key).collect::<Vec<_>>(), ["after_1_1"]);
}

#[test]
fn a_valid_traceparent_is_passed_on() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for (key, trace) in [("1_1_1", TRACE), ("2_1_1", "nonsense")] {
        let body = recall_body("#TOA#_1", &[key]);
        assert!(sender.post_with(&[("traceparent", trace)], &signed_query(APP, TOKEN), body).is_ok());
    }
    let records = kafka.topic().read_count(2);
    assert_eq!(records[0].headers["traceparent"], TRACE);
    assert!(!records[1].headers.contains_key("traceparent"));
}
