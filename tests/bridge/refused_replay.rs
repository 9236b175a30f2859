//! `refused replay` publishes each refused recall once.

use serde_json::Value;

use crate::bridge::{APP, Bridge, TOKEN, eventually};
use crate::cli::{entries, expect, json, malformed, only_spool, run, stale, stderr, stop};
use crate::mock::Kafka;
use crate::refused_list::refused;
use crate::sender::{Sender, signed_query};
use crate::topic::{Record, prove};

fn sender(bridge: &Bridge) -> Sender {
    Sender::new(&bridge.url(), APP, TOKEN)
}

fn keys(kafka: &Kafka) -> Vec<String> {
    let records = kafka.records();
    prove(&records);
    records.iter().map(|record: &Record| record.msg_key().to_owned()).collect()
}

fn results(lines: &[Value]) -> Vec<(u64, &str)> {
    lines.iter().map(|line| (line["id"].as_u64().unwrap(), line["result"].as_str().unwrap())).collect()
}

#[test]
fn a_replayed_webhook_from_quarantine_is_published_exactly_once() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    assert_eq!(stale(&bridge, "#TOA#_1", &["1_1_1", "2_1_1"]), 120_008);
    assert_eq!(malformed(&bridge, "no JSON"), 120_009);
    let setup = only_spool(bridge.setup());
    let said = run(&setup, 0, &["refused", "replay", "1"]);
    let uuid = bridge.status()["spool_uuid"].as_str().unwrap().to_owned();
    assert!(said.contains(&format!("replayed: bridge_seq 1-2 of {uuid}")), "{said}");
    for _ in 0..2 {
        let again = json(&setup, 1, &["refused", "replay", "--json", "1", "2", "99"]);
        assert_eq!(results(&again), [(1, "before"), (2, "kept"), (99, "unknown")]);
        assert_eq!((&again[0]["bridge_seq"], &again[0]["records"]), (&1.into(), &2.into()));
    }
    bridge.wait_published();
    assert_eq!(keys(&kafka), ["1_1_1", "2_1_1"]);
    assert_eq!(entries(&setup), [(2, "malformed".to_owned())], "the entry left the quarantine in the same commit");
    assert_eq!(refused(bridge.setup())[0]["replayed"]["records"], 2);
    let metrics = bridge.metrics();
    let at = |name: &str| metrics[&format!("recall_bridge_{name}")];
    assert_eq!((at("events_accepted_total"), at("records_published_total"), at("spool_events")), (2.0, 2.0, 0.0));
    assert_eq!(bridge.process.wait_for_line("refused_replayed")["bridge_seq"], 1);
}

#[test]
fn recalls_that_were_accepted_before_are_not_published_again() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    assert_eq!(stale(&bridge, "#TOA#_1", &["1_1_1"]), 120_008);
    assert_eq!(stale(&bridge, "#TOA#_1", &["1_1_1", "2_1_1"]), 120_008);
    sender(&bridge).acknowledged("#TOA#_1", &["1_1_1"]);
    let done = json(bridge.setup(), 0, &["refused", "replay", "--json", "1", "2"]);
    assert_eq!((&done[0]["records"], &done[0]["duplicates"]), (&0.into(), &1.into()));
    assert_eq!((&done[1]["records"], &done[1]["duplicates"]), (&1.into(), &1.into()));
    // The replayed one is known from now on.
    sender(&bridge).acknowledged("#TOA#_1", &["2_1_1"]);
    bridge.wait_published();
    assert_eq!(keys(&kafka), ["1_1_1", "2_1_1"]);
    assert_eq!(entries(bridge.setup()), []);
}

#[test]
fn a_webhook_refused_for_space_is_replayed_when_space_is_free() {
    let kafka = Kafka::start();
    kafka.down();
    let bridge = kafka.setup().env("BRIDGE_SPOOL_MAX_BYTES", 1 << 20).start();
    let mut sent = Vec::new();
    for number in 0.. {
        let batch: Vec<String> = (0..10).map(|nth| format!("{number}_{nth}_1_{}", "k".repeat(3000))).collect();
        let answer = sender(&bridge).recall("#TOA#_1", &batch);
        sent.extend(batch);
        if !answer.is_ok() {
            assert_eq!(answer.code(), 120_010);
            break;
        }
    }
    let entry = refused(bridge.setup()).remove(0);
    assert_eq!((&entry["outcome"], &entry["msg_keys_total"]), (&"spool_full".into(), &10.into()), "{entry}");
    let still = json(bridge.setup(), 1, &["refused", "replay", "--json", "1"]);
    assert!(still[0]["why"].as_str().unwrap().contains("full"), "{still:?}");
    kafka.up();
    bridge.wait_published();
    let preview = json(bridge.setup(), 0, &["refused", "replay", "--outcome", "spool_full", "--json"]);
    assert_eq!((&preview[1]["matching"], &preview[1]["changed"]), (&1.into(), &false.into()), "{preview:?}");
    let confirm: Vec<&str> =
        preview[1]["confirm"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
    run(bridge.setup(), 0, &confirm[1..]);
    run(bridge.setup(), 0, &confirm[1..]);
    bridge.wait_published();
    assert_eq!(keys(&kafka), sent);
}

#[test]
fn a_webhook_that_the_disk_refused_is_replayed_when_the_disk_works() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().breakable().start();
    sender(&bridge).acknowledged("#TOA#_1", &["1_1_1"]);
    bridge.break_disk();
    assert_eq!(sender(&bridge).recall("#TOA#_1", &["2_1_1"]).code(), 120_011);
    let entry = refused(bridge.setup()).remove(0);
    assert_eq!((&entry["outcome"], &entry["account"]), (&"unavailable".into(), &"#TOA#_1".into()));
    bridge.mend_disk();
    eventually("the spool works", || (bridge.ops_get("/readyz").0 == 200).then_some(()));
    eventually("it is replayed", || bridge.setup().run(&["refused", "replay", "1"]).status.success().then_some(()));
    bridge.wait_published();
    assert_eq!(keys(&kafka), ["1_1_1", "2_1_1"]);
}

#[test]
fn a_stopped_node_publishes_replayed_entries_after_its_start() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    assert_eq!(stale(&bridge, "#TOA#_1", &["1_1_1"]), 120_008);
    sender(&bridge).post(&signed_query(APP, "wrong"), "{}");
    let running = refused(bridge.setup());
    stop(&mut bridge);
    let setup = only_spool(bridge.setup());
    assert_eq!(refused(&setup), running[..1], "the unauthentic one was in memory only");
    let replayed = setup.run(&["refused", "replay", "1"]);
    expect(&replayed, 0);
    assert!(stderr(&replayed).contains("after its next start"), "{replayed:?}");
    let again = json(&setup, 0, &["refused", "replay", "--json", "1"]);
    assert_eq!(results(&again), [(1, "before")]);
    bridge = bridge.restart();
    bridge.wait_published();
    assert_eq!(results(&json(&setup, 0, &["refused", "replay", "--json", "1"])), [(1, "before")]);
    assert_eq!(keys(&kafka), ["1_1_1"]);
}

#[test]
fn an_incomplete_command_line_changes_nothing() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    stale(&bridge, "#TOA#_1", &["1_1_1"]);
    for args in [
        &["refused", "replay"][..],
        &["refused", "replay", "--yes"],
        &["refused", "replay", "--outcome", "stale", "--yes"],
        &["refused", "replay", "1", "--outcome", "stale"],
        &["refused", "replay", "0"],
    ] {
        expect(&bridge.setup().run(args), 2);
    }
    assert_eq!(entries(bridge.setup()).len(), 1);
}
