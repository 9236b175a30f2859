//! `quarantine requeue` and `drop`, with a running and with a stopped node. Both are safe to repeat.

use std::process::Command;

use rusqlite::params;
use serde_json::{Value, json};

use crate::bridge::{APP, Bridge, Setup, TOKEN, eventually};
use crate::cli::{entries, expect, json, malformed, only_spool, run, stale, stderr, stdout, stop};
use crate::mock::Kafka;
use crate::process::Start as _;
use crate::sender::{Sender, unix_now};
use crate::topic::{Record, prove};

/// An address without a listener.
const NO_KAFKA: &str = "127.0.0.1:1";

#[track_caller]
fn assert_accounts(bridge: &Bridge) {
    let metrics = bridge.metrics();
    let at = |name: &str| metrics[&format!("recall_bridge_{name}")];
    assert_eq!(
        at("spool_recovered_events") + at("events_accepted_total"),
        at("records_published_total") + at("records_quarantined_total") + at("spool_events")
    );
}

fn keys(records: &[Record]) -> Vec<&str> {
    records.iter().map(Record::msg_key).collect()
}

#[test]
fn a_requeued_stale_webhook_is_published_exactly_once() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let before = unix_now();
    assert_eq!(stale(&bridge, "#TOA#_1", &["1_1_1698741698", "2_1_1698741698"]), 120_008);
    assert_eq!(stale(&bridge, "#TOA#_2", &["3_1_1698741698"]), 120_008);
    let received_at = json(bridge.setup(), 0, &["quarantine", "show", "--json", "1"])[0]["at"].clone();
    bridge.wait_published();
    assert!(kafka.records().is_empty(), "unsigned bodies were published");

    let setup = only_spool(bridge.setup());
    let said = run(&setup, 0, &["quarantine", "requeue", "1"]);
    let uuid = bridge.status()["spool_uuid"].as_str().unwrap().to_owned();
    assert!(said.contains(&format!("requeued as bridge_seq 1-2 of {uuid}\n")), "{said}");
    bridge.wait_published();
    assert_accounts(&bridge);
    assert_eq!((bridge.metric("events_accepted_total"), bridge.metric("records_published_total")), (2.0, 2.0));
    assert_eq!((bridge.metric("quarantine_events"), entries(&setup)), (1.0, vec![(2, "stale".to_owned())]));
    let records = kafka.records();
    prove(&records);
    assert_eq!(keys(&records), ["1_1_1698741698", "2_1_1698741698"]);
    for record in &records {
        assert_eq!((record.key.as_str(), &record.value["official_account"]), ("#TOA#_1", &"#TOA#_1".into()));
        assert_eq!(record.value["received_at"], received_at, "when it was received is not when it was requeued");
        assert!(record.timestamp_ms >= before * 1000, "past its retention on arrival: {}", record.timestamp_ms);
        assert_eq!(record.headers["ce_id"], record.value["event_id"].as_str().unwrap());
    }

    for _ in 0..2 {
        let again = run(&setup, 0, &["quarantine", "requeue", "1"]);
        assert!(again.contains("gone"), "{again}");
    }
    let mixed = json(&setup, 1, &["quarantine", "requeue", "--json", "1", "2", "2", "99"]);
    let results: Vec<_> =
        mixed.iter().map(|line| (line["id"].as_i64().unwrap(), line["result"].as_str().unwrap())).collect();
    assert_eq!(results, [(1, "gone"), (2, "requeued"), (99, "unknown")]);
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    assert_eq!(records.len(), 3, "a number that was given twice, or an entry that was requeued before, is doubled");
    assert_eq!(entries(&setup), []);
    assert_eq!(bridge.status()["quarantine"], json!({}));
}

#[test]
fn a_requeued_poison_record_is_published_unchanged() {
    let kafka = Kafka::start();
    let small = kafka.setup().env("KAFKA_MESSAGE_MAX_BYTES", 2000);
    let mut bridge = small.start();
    let large = "large".repeat(600);
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["before_1_1", &large, "after_1_1"]);
    bridge.wait_published();
    let refused = json(&small, 0, &["quarantine", "show", "--json", "1"]).remove(0);
    // The cause persists, so the record returns to quarantine under a new id. The test does not wait for it.
    run(&small, 0, &["quarantine", "requeue", "1"]);
    sender.acknowledged("#TOA#_1", &["next_1_1"]);
    bridge.wait_published();
    assert_eq!(entries(&small), [(2, "kafka_too_large".to_owned())]);
    assert_accounts(&bridge);
    assert_eq!(bridge.metric("records_quarantined_total"), 2.0);
    stop(&mut bridge);

    bridge = small.without("KAFKA_MESSAGE_MAX_BYTES").start();
    let said = run(bridge.setup(), 0, &["quarantine", "requeue", "2"]);
    let uuid = refused["bridge_spool"].as_str().unwrap();
    assert!(said.contains(&format!("requeued as bridge_seq 6 of {uuid}; was 4 of {uuid}")), "{said}");
    let logged = bridge.process.wait_for_line("entry_requeued");
    assert_eq!((&logged["was_seq"], &logged["bridge_seq"]), (&4.into(), &6.into()), "who misses 4 finds it");
    bridge.wait_published();
    assert_accounts(&bridge);
    let records = kafka.records();
    let mut seqs: Vec<u64> = records.iter().map(Record::seq).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, [1, 3, 5, 6], "2 and 4 were refused, 6 is the number that it got for good");
    let record = records.iter().find(|record| record.seq() == 6).unwrap();
    let was = &refused["record"];
    assert_eq!((&Value::from(record.key.as_str()), &record.value), (&was["key"], &was["value"]));
    let mut headers = json!(record.headers);
    for added in ["bridge_spool", "bridge_seq"] {
        headers.as_object_mut().unwrap().remove(added);
    }
    assert_eq!(headers, was["headers"]);
    assert!(record.timestamp_ms > was["timestamp_ms"].as_i64().unwrap());
}

#[test]
fn a_stopped_node_publishes_requeued_entries_after_its_start() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["1_1_1"]);
    stale(&bridge, "#TOA#_1", &["2_1_1"]);
    stale(&bridge, "#TOA#_1", &["3_1_1"]);
    bridge.wait_published();
    for round in [1, 2] {
        if round == 1 {
            stop(&mut bridge);
        } else {
            bridge.kill();
        }
        let setup = only_spool(bridge.setup());
        let output = setup.run(&["quarantine", "requeue", &round.to_string()]);
        expect(&output, 0);
        assert!(stderr(&output).contains("publishes the requeued entries after its next start"), "{output:?}");
        assert!(stdout(&output).contains(&format!("bridge_seq {}", round + 1)), "{output:?}");
        assert!(run(&setup, 0, &["quarantine", "requeue", &round.to_string()]).contains("gone"));
        bridge = bridge.restart();
        bridge.wait_published();
        assert_accounts(&bridge);
    }
    let records = kafka.records();
    prove(&records);
    assert_eq!(keys(&records), ["1_1_1", "2_1_1", "3_1_1"]);
    assert_eq!(bridge.metric("spool_identity_renewals_total"), 0.0);
}

#[test]
fn an_unpublishable_entry_stays_in_quarantine_with_a_reason() {
    let setup = Setup::new(NO_KAFKA);
    let mut bridge = setup.start();
    malformed(&bridge, "{\"Official_Account\":\"#TOA#_1\"}");
    stale(&bridge, "#TOA#_1", &[]);
    // What a damaged disk leaves, what a later release knows, and what an earlier one has kept.
    let database = crate::spool::open(&setup.spool_dir());
    let other = "SdkAppid=1&CallbackCommand=C2C.CallbackAfterSendMsg";
    for (reason, query) in [("damaged", ""), ("of_tomorrow", ""), ("stale", other)] {
        let insert = "INSERT INTO quarantine (at_ms, reason, detail, query, body) VALUES (1, ?1, 'd', ?2, x'00ff')";
        database.execute(insert, params![reason, query]).unwrap();
        database.execute("UPDATE progress SET quarantine_events = quarantine_events + 1, quarantine_bytes = quarantine_bytes + 3 + length(?1)", [query]).unwrap();
    }
    let all = ["quarantine", "requeue", "--json", "1", "2", "3", "4", "5"];
    for running in [true, false] {
        if !running {
            bridge.kill();
        }
        let results = json(&setup, 1, &all);
        assert_eq!(results.len(), 5, "{results:?}");
        let why: Vec<&str> = results.iter().map(|line| line["why"].as_str().unwrap()).collect();
        for (why, expected) in why.iter().zip([
            "WithdrawMsgList: missing",
            "recalls nothing",
            "corrupted bytes of the spool cannot be published; export",
            "of_tomorrow",
            "C2C.CallbackAfterSendMsg",
        ]) {
            assert!(why.contains(expected), "{why}");
        }
        assert!(results.iter().all(|line| line["result"] == "kept"), "{results:?}");
        assert_eq!(entries(&setup).len(), 5);
    }
    // They can be dropped, each of them.
    run(&setup, 0, &["quarantine", "drop", "1", "2", "3", "4", "5"]);
    assert_eq!(entries(&setup), []);
}

#[test]
fn a_filter_changes_exactly_the_entries_that_it_listed_before() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    let setup = only_spool(bridge.setup());
    stale(&bridge, "#TOA#_it's", &["1_1_1"]);
    malformed(&bridge, "no");
    stale(&bridge, "#TOA#_it's", &["2_1_1"]);
    stale(&bridge, "#TOA#_2", &["3_1_1"]);
    let filter = ["quarantine", "requeue", "--reason", "stale", "--account", "#TOA#_it's", "--since", "1h"];
    let preview = run(&setup, 0, &filter);
    assert!(preview.contains("2 entries; nothing was changed"), "{preview}");
    let shown: Vec<&str> =
        preview.lines().skip(1).take(2).map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(shown, ["1", "3"], "{preview}");
    assert_eq!(entries(&setup).len(), 4);

    // Somebody who was not seen comes in between.
    stale(&bridge, "#TOA#_it's", &["4_1_1"]);
    let confirm = preview.lines().last().unwrap().trim();
    assert!(
        confirm.starts_with("recall-bridge quarantine requeue ") && confirm.ends_with(" --through 3 --yes"),
        "{confirm}"
    );
    let shell = |line: &str| {
        let bin = std::path::Path::new(env!("CARGO_BIN_EXE_recall-bridge")).parent().unwrap();
        Command::new("/bin/sh")
            .args(["-c", line])
            .env_clear()
            .env("PATH", bin)
            .env("BRIDGE_SPOOL_DIR", setup.spool_dir())
            .run()
            .unwrap()
    };
    let done = shell(confirm);
    expect(&done, 0);
    assert_eq!(stdout(&done).lines().count(), 2, "{done:?}");
    assert_eq!(entries(&setup).iter().map(|(id, _)| *id).collect::<Vec<_>>(), [2, 4, 5]);
    let again = shell(confirm);
    expect(&again, 0);
    assert_eq!(stdout(&again), "");
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    assert_eq!(keys(&records), ["1_1_1", "2_1_1"]);

    // The same for a script, on a stopped node, and dropping.
    stop(&mut bridge);
    let dir = setup.spool_dir();
    let lines = json(&setup, 0, &["quarantine", "drop", "--reason", "stale", "--json", "--dir", dir.to_str().unwrap()]);
    let (last, shown) = lines.split_last().unwrap();
    assert_eq!(shown.iter().map(|entry| entry["id"].as_i64().unwrap()).collect::<Vec<_>>(), [4, 5]);
    assert_eq!((&last["matching"], &last["changed"]), (&2.into(), &false.into()));
    let confirm: Vec<&str> = last["confirm"].as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect();
    assert_eq!(confirm[0], "recall-bridge");
    let dropped = run(&setup.clone().env("BRIDGE_SPOOL_DIR", "/nonexistent"), 0, &confirm[1..]);
    assert_eq!(dropped.matches("dropped").count(), 2, "{dropped}");
    assert_eq!(entries(&setup), [(2, "malformed".to_owned())]);
    let none = run(&setup, 0, &["quarantine", "drop", "--reason", "stale"]);
    assert!(none.contains("no entries; nothing was changed"), "{none}");
}

#[test]
fn an_incomplete_command_line_changes_nothing() {
    let bridge = Setup::new(NO_KAFKA).start();
    malformed(&bridge, "no");
    for args in [
        &["drop"][..],
        &["drop", "--reason", "malformed", "--yes"],
        &["drop", "--yes"],
        &["drop", "0"],
        &["drop", "1", "--reason", "malformed"],
        &["requeue"],
    ] {
        let output = bridge.setup().run(&[&["quarantine"], args].concat());
        expect(&output, 2);
        assert!(stderr(&output).starts_with("error:"), "{output:?}");
    }
    assert_eq!(entries(bridge.setup()).len(), 1);
}

#[test]
fn entries_without_space_in_the_spool_stay_in_quarantine() {
    let kafka = Kafka::start();
    let small = kafka.setup().env("KAFKA_MESSAGE_MAX_BYTES", 2000).env("BRIDGE_SPOOL_MAX_BYTES", 1 << 20);
    let mut bridge = small.start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["large".repeat(600)]);
    bridge.wait_published();
    kafka.down();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    let recall = |number: u32| sender.recall("#TOA#_1", &[format!("{number}_{}", "k".repeat(300))]);
    let refused = (0..10_000).map(recall).find(|answer| !answer.is_ok()).expect("the spool has a bound");
    assert_eq!((refused.status, refused.code()), (503, 120_010), "{refused:?}");
    for running in [true, false] {
        if !running {
            bridge.kill();
        }
        let kept = small.run(&["quarantine", "requeue", "1"]);
        expect(&kept, 1);
        assert!(stdout(&kept).contains("kept: the spool is full"), "{kept:?}");
        assert_eq!(entries(&small).len(), 1);
    }
    kafka.up();
    bridge = bridge.restart();
    // The bytes are freed with the watermark, which is stored a little later.
    eventually("the spool has room", || (bridge.metric("spool_bytes") < 1.0).then_some(()));
    run(&small, 0, &["quarantine", "requeue", "1"]);
}
