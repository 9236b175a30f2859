//! Tests of `BRIDGE_ACK_AFTER=published`: the bridge acknowledges a recall when it is in Kafka or, if that takes too
//! long, when it is durable in the spool.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::bridge::{APP, Bridge, PATIENCE, Setup, TOKEN, eventually};
use crate::mock::Kafka;
use crate::sender::Sender;
use crate::topic::{Record, prove};

const BUDGET: Duration = Duration::from_millis(1500);
/// The time limit without the time reserved for the response, plus some time of the sender.
const NEARLY_ALL: Duration = Duration::from_millis(1300);

fn published(kafka: &Kafka) -> Setup {
    kafka.setup().env("BRIDGE_ACK_AFTER", "published")
}

#[track_caller]
fn wait_ready(bridge: &Bridge) {
    eventually("Kafka is ready", || (bridge.metric("kafka_up") > 0.5).then_some(()));
}

fn fallbacks(bridge: &Bridge) -> f64 {
    bridge.metric("ack_fallback_total")
}

#[test]
fn an_acknowledged_recall_is_in_the_topic_already() {
    let kafka = Kafka::start();
    let bridge = published(&kafka).start();
    wait_ready(&bridge);
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for number in 0..30 {
        let keys: Vec<String> = (0..=number % 3).map(|key| format!("{number}_{key}_1")).collect();
        sender.acknowledged("#TOA#_1", &keys);
        let there = kafka.records();
        assert!(keys.iter().all(|key| there.iter().any(|record| record.msg_key() == key)), "{keys:?}");
    }
    prove(&kafka.records());
    assert_eq!(fallbacks(&bridge), 0.0);
    assert_eq!(bridge.metric("webhooks_total{outcome=\"accepted\"}"), 30.0);
}

#[test]
fn many_senders_at_once_are_all_answered_after_their_own_records() {
    let kafka = Kafka::start();
    let bridge = published(&kafka).start();
    wait_ready(&bridge);
    std::thread::scope(|scope| {
        for nth in 0..16 {
            let url = bridge.url();
            scope.spawn(move || {
                let sender = Sender::new(&url, APP, TOKEN);
                for number in 0..20 {
                    sender.acknowledged(&format!("#TOA#_{nth}"), &[format!("{number}_{nth}_1")]);
                }
            });
        }
    });
    // No wait is needed: the record was published before the response.
    let records = kafka.records();
    prove(&records);
    assert_eq!(records.len(), 320);
    assert_eq!((fallbacks(&bridge), bridge.metric("spool_events")), (0.0, 0.0));
}

#[test]
fn an_answer_waits_as_long_as_the_broker_takes() {
    const ROUND_TRIP: Duration = Duration::from_millis(200);
    let kafka = Kafka::start();
    let bridge = published(&kafka).start();
    wait_ready(&bridge);
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["1_1_1"]);
    kafka.delay(ROUND_TRIP);
    let started = Instant::now();
    sender.acknowledged("#TOA#_1", &["2_1_1"]);
    assert!(started.elapsed() >= ROUND_TRIP, "after {:?}", started.elapsed());
    assert_eq!(fallbacks(&bridge), 0.0);
    assert!(kafka.records().iter().any(|record| record.msg_key() == "2_1_1"));
}

#[test]
fn a_slow_kafka_falls_back_to_acknowledging_from_disk_and_is_counted() {
    let kafka = Kafka::start();
    let mut bridge = published(&kafka).start();
    wait_ready(&bridge);
    kafka.down();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    let waited = |key: &str| {
        let started = Instant::now();
        sender.acknowledged("#TOA#_1", &[key]);
        started.elapsed()
    };
    for (time, fallbacks_so_far) in [(waited("1_1_1"), 1.0), (waited("1_1_1"), 2.0)] {
        assert!(time >= NEARLY_ALL && time < 2 * BUDGET, "answered after {time:?}");
        assert!(fallbacks(&bridge) >= fallbacks_so_far);
    }
    assert_eq!(fallbacks(&bridge), 2.0, "a repeat of what is not published waits, too");
    // The recall is durable anyway.
    bridge.kill();
    bridge = bridge.restart();
    kafka.up();
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    assert_eq!(records.iter().map(Record::msg_key).collect::<Vec<_>>(), ["1_1_1"]);
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["1_1_1"]);
    assert_eq!((fallbacks(&bridge), bridge.metric("webhooks_total{outcome=\"duplicate\"}")), (0.0, 1.0));
}

#[test]
fn a_poison_record_is_acknowledged_after_it_is_in_quarantine() {
    let kafka = Kafka::start();
    let bridge = published(&kafka).env("KAFKA_MESSAGE_MAX_BYTES", 2000).env("BRIDGE_ACK_TIMEOUT_MS", 10_000).start();
    wait_ready(&bridge);
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["large".repeat(600)]);
    assert_eq!(bridge.metric("records_quarantined_total"), 1.0);
    assert_eq!(fallbacks(&bridge), 0.0);
}

#[test]
fn a_stop_answers_webhooks_that_wait_for_kafka() {
    let kafka = Kafka::start();
    let mut bridge = published(&kafka).start();
    wait_ready(&bridge);
    kafka.down();
    let url = bridge.url();
    let waiting = std::thread::spawn(move || Sender::new(&url, APP, TOKEN).recall("#TOA#_1", &["1_1_1"]));
    eventually("it is spooled", || (bridge.metric("events_accepted_total") == 1.0).then_some(()));
    bridge.process.signal(Signal::TERM);
    kafka.up();
    assert!(waiting.join().unwrap().is_ok());
    assert_eq!(bridge.process.wait_exit(PATIENCE), 0);
    let records = kafka.records();
    prove(&records);
    assert_eq!(records.len(), 1);
}

#[test]
fn by_default_no_response_waits_for_kafka() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    wait_ready(&bridge);
    kafka.delay(Duration::from_secs(20));
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    let started = Instant::now();
    for number in 0..10 {
        sender.acknowledged("#TOA#_1", &[format!("{number}_1_1")]);
    }
    assert!(started.elapsed() < BUDGET, "10 answers took {:?}", started.elapsed());
    assert_eq!(fallbacks(&bridge), 0.0);
}
