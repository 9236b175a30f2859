//! Two nodes publish to one topic; one of them dies with a transaction open.

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

    // Records are written, their commit never arrives, and then the process is gone.
    proxy.set(EndTxn::Hold);
    until_true("a commit is held", || proxy.held() > 0);
    dying.kill();
    proxy.set(EndTxn::Pass);

    // The other one dies, too, and has to find out what it had published.
    staying.kill();
    staying = staying.restart();
    load.aim(staying.webhook_address());
    until_kafka_is(&staying, "reading_back");
    let published = count(&staying, "records_published_total");
    load.until_acknowledged(200);
    assert_eq!(staying.ops_get("/readyz").0, 200, "it accepts while it waits");
    assert_eq!(count(&staying, "records_published_total"), published, "it published past an open transaction");

    // Coming back, the dead one's successor ends what it had left open.
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

/// Waits until both publish again.
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

    // What the dead one had accepted is still on its disk.
    proxy.set(EndTxn::Pass);
    dying = dying.restart();
    ledger.extend(dying_load.stop());
    scene::stop(&mut dying);
    audit(&ledger, &scene::read(&broker, TOPIC)).assert_clean();
}
