//! Two nodes publish to one topic. One of them is killed while its transaction is open.

use crate::audit::audit;
use crate::bridge::Setup;
use crate::broker::{Broker, free_port};
use crate::load::Load;
use crate::proxy::{EndTxn, Proxy};
use crate::random::Random;
use crate::scene;
use crate::wait::{count, until_drained, until_kafka_is, until_true};

const TOPIC: &str = "two-bridges";

#[test]
fn reconciliation_waits_for_the_open_transaction_of_a_dead_bridge() {
    let mut random = Random::new();
    let port = free_port();
    let broker = Broker::start_behind_proxy(port);
    let proxy = Proxy::start(port, random.fork());
    proxy.forward_to(broker.upstream());
    let stays = scene::setup(&broker, TOPIC);
    let dies = scene::quick(Setup::new(&proxy.bootstrap())).env("BRIDGE_TOPIC", TOPIC);
    let (mut staying, mut dying) = (stays.start(), dies.start());
    let load = Load::start("stays", 2, staying.webhook_address(), &mut random);
    let dying_load = Load::start("dies", 2, dying.webhook_address(), &mut random);
    for bridge in [&staying, &dying] {
        until_true("both publish", || count(bridge, "records_published_total") > 100);
    }

    // The records are written, the broker does not receive their commit, and the process is killed.
    proxy.set(EndTxn::Hold);
    until_true("a commit is held", || proxy.held() > 0);
    dying.kill();
    proxy.set(EndTxn::Pass);

    // The other bridge is killed, too. After its restart it has to reconcile with the topic.
    staying.kill();
    staying = staying.restart();
    load.aim(staying.webhook_address());
    until_kafka_is(&staying, "reading_back");
    let published = count(&staying, "records_published_total");
    load.until_acknowledged(200);
    assert_eq!(staying.ops_get("/readyz").0, 200, "it accepts while it waits");
    assert_eq!(count(&staying, "records_published_total"), published, "it published past an open transaction");

    // When the first bridge starts again, it fences its old producer, which ends the open transaction.
    dying = dying.restart();
    dying_load.aim(dying.webhook_address());
    until_drained_of(&[&staying, &dying]);
    load.until_acknowledged(50);
    dying_load.until_acknowledged(50);
    let mut ledger = load.stop();
    ledger.extend(dying_load.stop());
    until_drained(&staying);
    until_drained(&dying);
    scene::stop(&mut staying);
    scene::stop(&mut dying);
    let records = scene::read(&broker, TOPIC);
    audit(&ledger, &records).assert_clean();
}

/// Waits until all these bridges publish again.
fn until_drained_of(bridges: &[&crate::bridge::Bridge]) {
    for bridge in bridges {
        until_kafka_is(bridge, "ready");
    }
}

#[test]
fn an_abandoned_transaction_delays_the_other_bridge_until_its_timeout() {
    let mut random = Random::new();
    let port = free_port();
    let broker = Broker::start_behind_proxy(port);
    let proxy = Proxy::start(port, random.fork());
    proxy.forward_to(broker.upstream());
    let stays = scene::setup(&broker, TOPIC);
    let dies = scene::quick(Setup::new(&proxy.bootstrap())).env("BRIDGE_TOPIC", TOPIC);
    let (mut staying, mut dying) = (stays.start(), dies.start());
    let load = Load::start("stays", 2, staying.webhook_address(), &mut random);
    let dying_load = Load::start("dies", 2, dying.webhook_address(), &mut random);
    for bridge in [&staying, &dying] {
        until_true("both publish", || count(bridge, "records_published_total") > 100);
    }
    proxy.set(EndTxn::Hold);
    until_true("a commit is held", || proxy.held() > 0);
    dying.kill();
    staying.kill();
    staying = staying.restart();
    load.aim(staying.webhook_address());
    until_kafka_is(&staying, "reading_back");
    until_kafka_is(&staying, "ready");
    load.until_acknowledged(50);
    let mut ledger = load.stop();
    scene::stop(&mut staying);

    // The accepted recalls of the killed bridge are still in its spool.
    proxy.set(EndTxn::Pass);
    dying = dying.restart();
    ledger.extend(dying_load.stop());
    scene::stop(&mut dying);
    audit(&ledger, &scene::read(&broker, TOPIC)).assert_clean();
}
