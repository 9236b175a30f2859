//! Webhooks while the spool cannot be written: refused, or published directly if that is configured.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bridge::{APP, Bridge, TOKEN, eventually};
use crate::mock::Kafka;
use crate::sender::{Sender, signed_query};
use crate::topic::{Record, prove, report};

const BUDGET: Duration = Duration::from_secs(6);

fn counted(bridge: &Bridge, outcome: &str) -> f64 {
    bridge.metric(&format!("webhooks_total{{outcome=\"{outcome}\"}}"))
}

fn ready(bridge: &Bridge) -> (u16, Value) {
    let (status, text) = bridge.ops_get("/readyz");
    (status, serde_json::from_str(&text).expect("/readyz is JSON"))
}

/// A bridge that publishes past its spool when it must, and has been in Kafka before.
fn bypassing(kafka: &Kafka) -> (Bridge, Sender) {
    let bridge = kafka
        .setup()
        .env("BRIDGE_SPOOL_FAILURE", "publish")
        .env("BRIDGE_ACK_TIMEOUT_MS", BUDGET.as_millis())
        .breakable()
        .start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["before"]);
    bridge.wait_published();
    (bridge, sender)
}

/// The identity of the metrics knows nothing of what went past the spool.
#[track_caller]
fn expect_accounts(bridge: &Bridge, accepted: f64, unspooled: f64) {
    let metrics = bridge.metrics();
    let of = |name: &str| metrics[&format!("recall_bridge_{name}")];
    let inside = of("spool_recovered_events") + of("events_accepted_total")
        - of("records_published_total")
        - of("records_quarantined_total");
    assert_eq!(inside, of("spool_events"));
    assert_eq!((of("events_accepted_total"), of("unspooled_events_total")), (accepted, unspooled));
}

#[test]
fn by_default_the_bridge_refuses_webhooks_and_recovers_by_itself() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().breakable().start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["before"]);
    bridge.wait_published();
    bridge.break_disk();
    for number in 0..3 {
        let refused = sender.recall("#TOA#_1", &[format!("{number}_1_1")]);
        assert_eq!((refused.status, refused.code()), (503, 120_011), "{refused:?}");
    }
    let (status, answer) = ready(&bridge);
    assert_eq!(status, 503, "{answer}");
    assert!(answer["reasons"][0].as_str().unwrap().starts_with("spool broken"), "{answer}");
    assert_eq!(answer["degraded"].as_array().unwrap().len(), 0, "{answer}");
    bridge.mend_disk();
    eventually("it is ready again without a delivery", || (ready(&bridge).0 == 200).then_some(()));
    sender.acknowledged("#TOA#_1", &["after"]);
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    assert_eq!(records.iter().map(Record::msg_key).collect::<Vec<_>>(), ["before", "after"]);
    expect_accounts(&bridge, 2.0, 0.0);
    assert_eq!((counted(&bridge, "unavailable"), counted(&bridge, "accepted_unspooled")), (3.0, 0.0));
}

#[test]
fn the_bridge_publishes_directly_and_returns_to_the_spool() {
    let kafka = Kafka::start();
    let (bridge, sender) = bypassing(&kafka);
    assert_eq!(ready(&bridge).1["degraded"].as_array().unwrap().len(), 0);
    bridge.break_disk();
    for number in 0..20 {
        let keys: Vec<String> = (0..=number % 3).map(|key| format!("{number:02}_{key}_1")).collect();
        sender.acknowledged("#TOA#_1", &keys);
        // Acknowledged: it is in Kafka at this moment.
        let there = kafka.records();
        assert!(keys.iter().all(|key| there.iter().any(|record| record.msg_key() == key)), "{keys:?}");
    }
    let (status, answer) = ready(&bridge);
    assert_eq!(status, 200, "{answer}");
    assert!(answer["degraded"][0].as_str().unwrap().starts_with("spool broken"), "{answer}");
    assert_eq!(bridge.status()["degraded"], answer["degraded"]);
    assert_eq!(bridge.process.log_of("direct_publish_started").len(), 1);
    expect_accounts(&bridge, 1.0, 39.0);
    assert_eq!((counted(&bridge, "accepted"), counted(&bridge, "accepted_unspooled")), (1.0, 20.0));

    bridge.mend_disk();
    eventually("the spool is used again", || bridge.status()["degraded"].as_array()?.is_empty().then_some(()));
    sender.acknowledged("#TOA#_1", &["after"]);
    bridge.wait_published();
    expect_accounts(&bridge, 2.0, 39.0);
    assert_eq!((counted(&bridge, "accepted"), counted(&bridge, "accepted_unspooled")), (2.0, 20.0));

    let records = kafka.records();
    prove(&records);
    let (unspooled, spooled): (Vec<_>, Vec<_>) = records.iter().partition(|record| record.is_unspooled());
    assert_eq!(spooled.iter().map(|record| record.seq()).collect::<Vec<_>>(), [1, 2]);
    let keys: Vec<&str> = unspooled.iter().map(|record| record.msg_key()).collect();
    assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "among themselves they are in order: {keys:?}");
    assert_eq!(keys.len(), 39);
    for record in unspooled {
        assert_eq!(record.headers["bridge_unspooled"], "1");
        assert!(
            !record.headers.contains_key("bridge_seq") && !record.headers.contains_key("bridge_spool"),
            "{record:?}"
        );
        assert_eq!(record.headers["ce_id"], record.value["event_id"].as_str().unwrap());
        assert_eq!(record.partition, records[0].partition, "the partition of an account is the same");
    }
    let tail = bridge.setup().run(&["tail", "--from", "beginning", "--until-end", "--verify", "--quiet"]);
    let said = String::from_utf8_lossy(&tail.stdout);
    assert_eq!(tail.status.code(), Some(0), "{said}");
    assert!(said.contains("published directly: 39") && said.contains("41 records, 0 errors: verified"), "{said}");
}

#[test]
fn a_direct_publish_is_acknowledged_after_the_brokers_response() {
    const ROUND_TRIP: Duration = Duration::from_millis(300);
    let kafka = Kafka::start();
    let (bridge, sender) = bypassing(&kafka);
    bridge.break_disk();
    sender.acknowledged("#TOA#_1", &["quick"]);
    kafka.delay(ROUND_TRIP);
    let started = Instant::now();
    sender.acknowledged("#TOA#_1", &["slow"]);
    assert!(started.elapsed() >= ROUND_TRIP, "answered after {:?}", started.elapsed());
    kafka.delay(Duration::from_secs(20));
    let started = Instant::now();
    let late = sender.recall("#TOA#_1", &["too late"]);
    assert_eq!((late.status, late.code()), (503, 120_011), "{late:?}");
    assert!(started.elapsed() < 2 * BUDGET, "answered after {:?}", started.elapsed());
    assert_eq!((counted(&bridge, "accepted_unspooled"), counted(&bridge, "unavailable")), (2.0, 1.0));
    expect_accounts(&bridge, 1.0, 2.0);
}

#[test]
fn without_spool_and_kafka_the_bridge_refuses_until_one_is_back() {
    let kafka = Kafka::start();
    let (bridge, sender) = bypassing(&kafka);
    bridge.break_disk();
    kafka.down();
    let refused = sender.recall("#TOA#_1", &["lost"]);
    assert_eq!((refused.status, refused.code()), (503, 120_011), "{refused:?}");
    eventually("it is not ready and names both", || {
        let (status, answer) = ready(&bridge);
        let reason = answer["reasons"][0].as_str()?.to_owned();
        (status == 503 && reason.contains("spool broken") && reason.contains("Kafka is unreachable too")).then_some(())
    });
    // A node that is not ready gets no deliveries: it must find out by itself.
    kafka.up();
    eventually("Kafka is enough", || (ready(&bridge).0 == 200).then_some(()));
    sender.acknowledged("#TOA#_1", &["past the spool"]);
    kafka.down();
    bridge.mend_disk();
    eventually("the spool is enough", || {
        let (status, answer) = ready(&bridge);
        (status == 200 && answer["degraded"].as_array()?.is_empty()).then_some(())
    });
    sender.acknowledged("#TOA#_1", &["spooled"]);
    kafka.up();
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    let keys: Vec<&str> = records.iter().map(Record::msg_key).filter(|key| *key != "lost").collect();
    assert_eq!(keys, ["before", "past the spool", "spooled"]);
}

#[test]
fn a_recall_is_acknowledged_while_the_disk_hangs() {
    let kafka = Kafka::start();
    let (bridge, sender) = bypassing(&kafka);
    // As a disk that does not come back holds a commit.
    let held = crate::spool::open(&bridge.setup().spool_dir());
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    let started = Instant::now();
    sender.acknowledged("#TOA#_1", &["hung"]);
    assert!(started.elapsed() < BUDGET, "answered after {:?}", started.elapsed());
    assert_eq!(counted(&bridge, "accepted_unspooled"), 1.0);
    held.execute_batch("ROLLBACK").unwrap();
    // What the disk had been given, it may keep: then it is published once more.
    sender.acknowledged("#TOA#_1", &["after"]);
    bridge.wait_published();
    let records = kafka.records();
    let report = report(&records);
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.unspooled, 1);
    let of = |key: &str| records.iter().filter(|record| record.msg_key() == key).count();
    assert_eq!((of("hung"), of("after")), (2, 1));
}

#[test]
fn a_webhook_with_an_unpublishable_record_is_not_acknowledged() {
    let kafka = Kafka::start();
    let setup = kafka.setup().env("BRIDGE_SPOOL_FAILURE", "publish").env("KAFKA_MESSAGE_MAX_BYTES", 2000).breakable();
    let bridge = setup.start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["before"]);
    bridge.break_disk();
    let refused = sender.recall("#TOA#_1", &["with", &"large".repeat(600)]);
    assert_eq!((refused.status, refused.code()), (503, 120_011), "{refused:?}");
    sender.acknowledged("#TOA#_1", &["after"]);
    // There is no quarantine either: what belongs there is refused as such.
    let malformed = sender.post(&signed_query(APP, TOKEN), "{");
    assert_eq!((malformed.status, malformed.code()), (503, 120_011), "{malformed:?}");
    assert_eq!(counted(&bridge, "unavailable"), 2.0);
    assert_eq!(bridge.metric("kafka_errors_total{kind=\"refused\"}"), 1.0);
    expect_accounts(&bridge, 1.0, 1.0);
}

#[test]
fn reconciliation_ignores_directly_published_records() {
    let kafka = Kafka::start();
    let (mut bridge, sender) = bypassing(&kafka);
    bridge.break_disk();
    for number in 0..5 {
        sender.acknowledged("#TOA#_1", &[format!("past_{number}")]);
    }
    bridge.kill();
    bridge = bridge.restart();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for number in 0..5 {
        sender.acknowledged("#TOA#_1", &[format!("spooled_{number}")]);
    }
    bridge.wait_published();
    assert_eq!(bridge.metric("spool_identity_renewals_total"), 0.0);
    let records = kafka.records();
    prove(&records);
    assert_eq!((records.len(), report(&records).unspooled), (11, 5));
}
