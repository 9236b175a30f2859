//! Tests of a full, a too small and a read-only disk, on real file systems that are mounted for the test.

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::bridge::{APP, Bridge, PATIENCE, TOKEN, eventually};
use crate::mock::Kafka;
use crate::namespace::{read_only_disk, seen_by, small_disk};
use crate::sender::Sender;
use crate::topic::{Record, prove};

const MIB: u64 = 1 << 20;

fn ready(bridge: &Bridge) -> (u16, Value) {
    let (status, text) = bridge.ops_get("/readyz");
    (status, serde_json::from_str(&text).expect("/readyz is JSON"))
}

/// About 35 KB of payload.
fn batch() -> Vec<String> {
    (0..10).map(|nth| format!("{nth}_1_{}", "k".repeat(1000))).collect()
}

fn published(kafka: &Kafka) -> Vec<String> {
    let records = kafka.records();
    prove(&records);
    records.iter().map(|record| Record::msg_key(record).to_owned()).collect()
}

#[test]
fn a_full_disk_refuses_webhooks_until_space_returns() {
    let kafka = Kafka::start();
    kafka.down();
    let bridge = small_disk(kafka.setup(), 8 * MIB).start();
    let balloon = seen_by(&bridge).join("balloon");
    File::create(&balloon).unwrap().write_all(&vec![0; 3 << 20]).unwrap();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    let mut acknowledged: Vec<String> = Vec::new();
    let mut number = 0;
    let mut accepts = |keys: Vec<String>| {
        number += 1;
        let keys: Vec<String> = keys.iter().map(|key| format!("{number}_{key}")).collect();
        let answer = sender.recall("#TOA#_1", &keys);
        if answer.is_ok() {
            acknowledged.extend(keys);
            return true;
        }
        assert_eq!((answer.status, answer.code()), (503, 120_011), "{answer:?}");
        false
    };
    eventually("the disk is full", || (!accepts(batch())).then_some(()));
    let mut refused_in_a_row = 0;
    eventually("it is full for a small one, too", || {
        refused_in_a_row = if accepts(vec!["small".into()]) { 0 } else { refused_in_a_row + 1 };
        (refused_in_a_row > 5).then_some(())
    });
    // The bridge tests every second whether it can write again. Only a real write counts. The page of that test write
    // may still find space.
    let mut refused_since = Instant::now();
    eventually("there is room for nothing", || {
        let (status, why) = ready(&bridge);
        if status == 200 {
            accepts(vec!["small".into()]);
            refused_since = Instant::now();
        } else {
            assert!(why["reasons"][0].as_str().unwrap().contains("disk is full"), "{why}");
        }
        (refused_since.elapsed() > Duration::from_millis(3500)).then_some(())
    });
    assert!(!accepts(vec!["small".into()]));
    assert_eq!(bridge.ops_get("/livez").0, 200);
    let healed = "writing to the spool works again";
    let before = bridge.process.log_of(healed).len();

    std::fs::remove_file(balloon).unwrap();
    eventually("it accepts again", || (ready(&bridge).0 == 200).then_some(()));
    eventually("it says so", || (bridge.process.log_of(healed).len() == before + 1).then_some(()));
    for _ in 0..3 {
        assert!(accepts(batch()));
    }
    assert!(acknowledged.len() > 100, "{} were accepted", acknowledged.len());
    kafka.up();
    bridge.wait_published();
    assert_eq!(published(&kafka), acknowledged);
}

#[test]
fn a_disk_too_small_for_a_spool_exits_75_and_names_the_directory() {
    let kafka = Kafka::start();
    let setup = small_disk(kafka.setup(), 8192);
    let output = setup.run(&["serve"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(75), "{said}");
    assert!(said.contains(setup.spool_dir().to_str().unwrap()) && said.contains("full"), "{said}");
}

#[test]
fn a_read_only_disk_exits_75_and_names_the_directory() {
    let kafka = Kafka::start();
    // Both an empty directory and one with a spool.
    let mut bridge = kafka.setup().env("BRIDGE_SHUTDOWN_GRACE_SECONDS", 0).start();
    for used in [false, true] {
        if used {
            kafka.down();
            Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["1_1_1"]);
        }
        bridge.process.signal(Signal::TERM);
        assert_eq!(bridge.process.wait_exit(PATIENCE), 0);
        let setup = read_only_disk(bridge.setup().clone());
        let output = setup.run(&["serve"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(75), "{said}");
        for part in [setup.spool_dir().to_str().unwrap(), "Read-only file system", "BRIDGE_SPOOL_DIR"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        bridge = bridge.restart();
    }
    kafka.up();
    bridge.wait_published();
    assert_eq!(published(&kafka), ["1_1_1"]);
}
