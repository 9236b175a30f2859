//! The bridge is killed (SIGKILL) or frozen while senders continue to post webhooks.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::bridge::Setup;
use crate::broker::{Broker, free_port};
use crate::load::{Load, ResponseKind};
use crate::proxy::{EndTxn, Proxy};
use crate::random::Random;
use crate::scene;
use crate::wait::{count, until_settled, until_true};

const ROUNDS: u32 = 25;

/// The length of a freeze. After 15 s the broker aborts an open transaction.
const FREEZE: Duration = Duration::from_secs(17);

/// Kills the bridge in each round. In half of the rounds it has published records before. In the others it may
/// still reconcile with the topic.
fn kill_again_and_again(broker: &Broker, topic: &str, setup: &Setup) {
    let mut random = Random::new();
    let mut bridge = setup.start();
    let load = Load::start(topic, 6, bridge.webhook_address(), &mut random);
    let mut found = 0;
    for round in 0..ROUNDS {
        if round % 2 == 0 {
            let some = random.between(1, 1500);
            until_true("some records are published", || count(&bridge, "records_published_total") >= some);
        }
        load.until_acknowledged(random.between(1, 300));
        found += count(&bridge, "read_back_found_total");
        bridge.kill();
        bridge = bridge.restart();
        load.aim(bridge.webhook_address());
    }
    load.until_acknowledged(100);
    let unanswered = load.unanswered();
    let ledger = load.stop();
    scene::stop(&mut bridge);
    let audit = scene::assert_exactly_once(broker, topic, &ledger);
    eprintln!(
        "{topic}: {ROUNDS} kills, {unanswered} webhooks without an answer ({} recalls of them published), \
         {found} records found in the topic and not repeated",
        audit.unanswered
    );
    assert!(unanswered > 0, "no kill met a webhook under way");
    assert_eq!(audit.spools, 1, "it took itself for a copy");
}

#[test]
fn random_kills_of_the_bridge_lose_double_and_reorder_nothing() {
    let broker = Broker::shared();
    let setup = scene::setup(broker, "bridge-killed");
    kill_again_and_again(broker, "bridge-killed", &setup);
}

#[test]
fn a_frozen_bridge_with_an_open_transaction_is_fenced_and_continues() {
    let mut random = Random::new();
    let port = free_port();
    let broker = Broker::start_behind_proxy(port);
    let proxy = Proxy::start(port, random.fork());
    proxy.forward_to(broker.upstream());
    broker.create_topic("bridge-frozen", 6, &[]);
    let mut bridge = scene::quick(Setup::new(&proxy.bootstrap())).env("BRIDGE_TOPIC", "bridge-frozen").start();
    let load = Load::start("frozen", 3, bridge.webhook_address(), &mut random);
    until_true("some is published", || count(&bridge, "records_published_total") > 100);
    proxy.set(EndTxn::Hold);
    until_true("a commit is held", || proxy.held() > 0);
    bridge.process.signal(Signal::STOP);
    let since = Instant::now();
    // Waits for the time itself: the test depends on the length of the freeze.
    until_true("the freeze was long enough", || since.elapsed() > FREEZE);
    until_settled(&broker.client(), "bridge-frozen");
    bridge.process.signal(Signal::CONT);
    proxy.set(EndTxn::Pass);
    // Senders that timed out during the freeze start again.
    load.aim(bridge.webhook_address());
    load.until_acknowledged(100);
    let mut ledger = load.stop();
    scene::stop(&mut bridge);
    // The bridge answers 503 to webhooks that waited for too long. Their recalls may be durable in spite of that.
    for delivery in ledger.iter_mut().filter(|delivery| delivery.response == ResponseKind::Refused) {
        delivery.response = ResponseKind::Missing;
    }
    let audit = scene::assert_exactly_once(&broker, "bridge-frozen", &ledger);
    assert_eq!(audit.spools, 1, "it took itself for a copy");
}
