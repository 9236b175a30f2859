//! Kafka is down, killed or frozen. The bridge acknowledges all webhooks in that time, and publishes all recalls.

use std::time::{Duration, Instant};

use crate::broker::Broker;
use crate::load::{Load, ResponseKind, SentWebhook};
use crate::random::Random;
use crate::scene;
use crate::wait::{count, until_kafka_is, until_true};

/// The vendor's timeout for a response.
const VENDOR_PATIENCE: Duration = Duration::from_secs(2);
/// The length of a freeze. After 15 s the broker aborts an open transaction.
const FREEZE: Duration = Duration::from_secs(17);
/// The pause between two webhooks of a connection. The outages are long, and the tests do not need many webhooks.
const PACE: Duration = Duration::from_millis(8);

#[track_caller]
fn assert_all_acknowledged(ledger: &[SentWebhook]) {
    assert!(ledger.iter().all(|delivery| delivery.response == ResponseKind::Acknowledged), "not all answers were 200");
    let slowest = ledger.iter().map(|delivery| delivery.took).max().unwrap_or_default();
    assert!(slowest < VENDOR_PATIENCE, "an answer took {slowest:?}");
}

#[test]
fn a_bridge_that_starts_while_kafka_is_down_accepts_and_publishes_later() {
    let mut random = Random::new();
    let mut broker = Broker::start();
    let setup = scene::setup(&broker, "kafka-down");
    broker.kill();
    let mut bridge = setup.start();
    let load = Load::paced("down", 4, PACE, bridge.webhook_address(), &mut random);
    until_kafka_is(&bridge, "failing");
    load.until_acknowledged(200);
    assert_eq!(bridge.ops_get("/readyz").0, 200, "it can accept");
    assert_eq!(count(&bridge, "kafka_up"), 0);
    assert_eq!(count(&bridge, "records_published_total"), 0);
    broker.restart();
    until_kafka_is(&bridge, "ready");
    load.until_acknowledged(100);
    let ledger = load.stop();
    scene::stop(&mut bridge);
    assert_all_acknowledged(&ledger);
    let audit = scene::assert_exactly_once(&broker, "kafka-down", &ledger);
    assert_eq!(audit.spools, 1, "it took itself for a copy");
}

#[test]
fn a_broker_that_is_killed_repeatedly_causes_no_loss() {
    let mut random = Random::new();
    let mut broker = Broker::start();
    let setup = scene::setup(&broker, "kafka-killed");
    let mut bridge = setup.start();
    let load = Load::paced("killed", 4, PACE, bridge.webhook_address(), &mut random);
    for _ in 0..3 {
        let back = Instant::now();
        let more = count(&bridge, "records_published_total") + random.between(50, 500);
        until_true("more is published", || count(&bridge, "records_published_total") > more);
        eprintln!("kafka-killed: publishing again after {:.1?}", back.elapsed());
        broker.kill();
        load.until_acknowledged(random.between(20, 200));
        broker.restart();
    }
    load.until_acknowledged(100);
    let ledger = load.stop();
    scene::stop(&mut bridge);
    assert_all_acknowledged(&ledger);
    let audit = scene::assert_exactly_once(&broker, "kafka-killed", &ledger);
    assert_eq!(audit.spools, 1, "it took itself for a copy");
}

#[test]
fn a_broker_frozen_for_longer_than_a_transaction_costs_no_record() {
    let mut random = Random::new();
    let broker = Broker::start();
    let setup = scene::setup(&broker, "kafka-frozen");
    let mut bridge = setup.start();
    let load = Load::paced("frozen", 4, PACE, bridge.webhook_address(), &mut random);
    until_true("some is published", || count(&bridge, "records_published_total") > 200);
    broker.pause();
    let since = Instant::now();
    // Waits for the time itself: the test depends on the length of the freeze.
    until_true("the freeze was long enough", || since.elapsed() > FREEZE);
    load.until_acknowledged(100);
    assert_eq!(bridge.ops_get("/readyz").0, 200, "it can accept");
    assert!(count(&bridge, "kafka_transactions_total{result=\"doubt\"}") > 0, "no transaction was in doubt");
    broker.resume();
    until_kafka_is(&bridge, "ready");
    load.until_acknowledged(100);
    let ledger = load.stop();
    scene::stop(&mut bridge);
    assert_all_acknowledged(&ledger);
    let audit = scene::assert_exactly_once(&broker, "kafka-frozen", &ledger);
    assert_eq!(audit.spools, 1, "it took itself for a copy");
}

#[test]
fn bridge_and_broker_that_are_killed_at_once_cost_nothing() {
    let mut random = Random::new();
    let mut broker = Broker::start();
    let setup = scene::setup(&broker, "both-killed");
    let mut bridge = setup.start();
    let load = Load::paced("both", 4, PACE, bridge.webhook_address(), &mut random);
    for round in 0..4 {
        let more = random.between(50, 500);
        until_true("some is published", || count(&bridge, "records_published_total") > more);
        if round % 2 == 0 {
            broker.kill();
            load.until_acknowledged(random.between(1, 50));
            bridge.kill();
        } else {
            bridge.kill();
            broker.kill();
        }
        bridge = bridge.restart();
        load.aim(bridge.webhook_address());
        load.until_acknowledged(random.between(20, 100));
        broker.restart();
    }
    load.until_acknowledged(100);
    let ledger = load.stop();
    scene::stop(&mut bridge);
    let audit = scene::assert_exactly_once(&broker, "both-killed", &ledger);
    assert_eq!(audit.spools, 1, "it took itself for a copy");
}
