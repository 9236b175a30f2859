//! A spool restored from a copy is behind the topic. The bridge skips no recall and publishes none twice.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::Signal;

use crate::bridge::{APP, Bridge, PATIENCE, Setup, TOKEN, copy_dir, eventually};
use crate::mock::Kafka;
use crate::sender::Sender;
use crate::topic::{Record, prove};

/// Sends recalls whose keys begin with `name`; all of one account and of others.
fn send(bridge: &Bridge, name: &str, count: usize) {
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for number in 0..count {
        sender.acknowledged(&format!("#TOA#_{}", number % 3), &[format!("{name}-{number:03}")]);
    }
}

fn stop(mut bridge: Bridge) -> Setup {
    bridge.process.signal(Signal::TERM);
    assert_eq!(bridge.process.wait_exit(PATIENCE), 0);
    bridge.setup().clone()
}

fn copy(setup: &Setup) {
    copy_dir(&setup.spool_dir(), &setup.home().join("copy"));
}

fn restore(setup: &Setup) {
    std::fs::remove_dir_all(setup.spool_dir()).unwrap();
    copy_dir(&setup.home().join("copy"), &setup.spool_dir());
}

/// Every record of these, once; nothing else; the proof holds for each UUID.
#[track_caller]
fn expect(kafka: &Kafka, sent: &[(&str, usize)], spools: usize) {
    let records = kafka.records();
    prove(&records);
    let mut keys: Vec<&str> = records.iter().map(Record::msg_key).collect();
    keys.sort_unstable();
    let mut expected: Vec<String> = Vec::new();
    for (name, count) in sent {
        expected.extend((0..*count).map(|number| format!("{name}-{number:03}")));
    }
    expected.sort_unstable();
    assert_eq!(keys, expected);
    let uuids: BTreeSet<&str> = records.iter().map(Record::spool).collect();
    assert_eq!(uuids.len(), spools, "{uuids:?}");
}

#[track_caller]
fn wait_ready(bridge: &Bridge) {
    eventually("Kafka is ready", || (bridge.status()["kafka"]["state"] == "ready").then_some(()));
    bridge.wait_published();
}

#[test]
fn a_restored_spool_takes_a_new_uuid_and_publishes_new_recalls() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    send(&bridge, "original", 10);
    bridge.wait_published();
    let setup = stop(bridge);
    copy(&setup);
    let bridge = setup.start();
    let uuid = bridge.status()["spool_uuid"].clone();
    send(&bridge, "later", 12);
    bridge.wait_published();
    stop(bridge);

    restore(&setup);
    let bridge = setup.start();
    send(&bridge, "restored", 7);
    wait_ready(&bridge);
    assert_eq!(bridge.metric("spool_identity_renewals_total"), 1.0);
    assert_ne!(bridge.status()["spool_uuid"], uuid);
    expect(&kafka, &[("original", 10), ("later", 12), ("restored", 7)], 2);

    // It stays so, also beyond the numbers that the original had given out.
    let mut bridge = stop(bridge).start();
    send(&bridge, "further", 20);
    wait_ready(&bridge);
    assert_eq!(bridge.metric("spool_identity_renewals_total"), 0.0);
    bridge.kill();
    expect(&kafka, &[("original", 10), ("later", 12), ("restored", 7), ("further", 20)], 2);
}

#[test]
fn recalls_accepted_without_kafka_are_not_skipped_after_a_crash() {
    // Fewer than, as many as, and more than the original gave out after the copy was made.
    for accepted in [4, 12, 30] {
        let kafka = Kafka::start();
        let bridge = kafka.setup().start();
        send(&bridge, "original", 10);
        bridge.wait_published();
        let setup = stop(bridge);
        copy(&setup);
        let bridge = setup.start();
        send(&bridge, "later", 12);
        bridge.wait_published();
        stop(bridge);

        restore(&setup);
        kafka.down();
        let mut bridge = setup.start();
        send(&bridge, "restored", accepted);
        bridge.kill();
        let mut bridge = setup.start();
        send(&bridge, "again", 3);
        bridge.kill();
        kafka.up();
        let bridge = setup.start();
        wait_ready(&bridge);
        assert_eq!(bridge.metric("spool_identity_renewals_total"), 1.0);
        expect(&kafka, &[("original", 10), ("later", 12), ("restored", accepted), ("again", 3)], 2);
    }
}

#[test]
fn the_backlog_of_a_copied_spool_is_published_once() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env("BRIDGE_SHUTDOWN_GRACE_SECONDS", 0).start();
    send(&bridge, "original", 5);
    bridge.wait_published();
    kafka.down();
    send(&bridge, "waiting", 8);
    let setup = stop(bridge);
    copy(&setup);
    kafka.up();
    let bridge = setup.start();
    send(&bridge, "later", 6);
    wait_ready(&bridge);
    stop(bridge);

    restore(&setup);
    let bridge = setup.start();
    send(&bridge, "restored", 9);
    wait_ready(&bridge);
    assert_eq!(bridge.metric("spool_identity_renewals_total"), 1.0);
    expect(&kafka, &[("original", 5), ("waiting", 8), ("later", 6), ("restored", 9)], 2);
}

#[test]
fn a_copy_that_nothing_happened_after_goes_on_under_its_own_name() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    send(&bridge, "original", 10);
    bridge.wait_published();
    let setup = stop(bridge);
    copy(&setup);
    restore(&setup);
    let bridge = setup.start();
    send(&bridge, "restored", 5);
    wait_ready(&bridge);
    assert_eq!(bridge.metric("spool_identity_renewals_total"), 0.0);
    expect(&kafka, &[("original", 10), ("restored", 5)], 1);
    assert!(Duration::from_secs_f64(bridge.metric("spool_oldest_age_seconds")).is_zero());
}

#[test]
fn a_copy_made_before_kafka_was_ever_reached_doubles_nothing() {
    let kafka = Kafka::start();
    kafka.down();
    let bridge = kafka.setup().env("BRIDGE_SHUTDOWN_GRACE_SECONDS", 0).start();
    send(&bridge, "waiting", 8);
    let setup = stop(bridge);
    copy(&setup);
    kafka.up();
    let bridge = setup.start();
    send(&bridge, "later", 4);
    wait_ready(&bridge);
    stop(bridge);

    restore(&setup);
    let bridge = setup.start();
    send(&bridge, "restored", 9);
    wait_ready(&bridge);
    expect(&kafka, &[("waiting", 8), ("later", 4), ("restored", 9)], 2);
}
