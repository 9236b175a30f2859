//! `BRIDGE_DELIVERY=at_least_once`: the bridge publishes without transactions.

use crate::broker::Broker;
use crate::load::Load;
use crate::random::Random;
use crate::scene;
use crate::wait::{count, until_drained};

#[test]
fn killing_an_idle_bridge_without_transactions_repeats_nothing() {
    let mut random = Random::new();
    let broker = Broker::shared();
    let setup = scene::setup(broker, "at-least-once").env("BRIDGE_DELIVERY", "at_least_once");
    let mut bridge = setup.start();
    let mut ledger = Vec::new();
    for name in ["first", "second", "third"] {
        let load = Load::start(name, 3, bridge.webhook_address(), &mut random);
        load.until_acknowledged(200);
        ledger.extend(load.stop());
        until_drained(&bridge);
        assert_eq!(count(&bridge, "kafka_transactions_total{result=\"doubt\"}"), 0);
        bridge.kill();
        bridge = bridge.restart();
    }
    scene::stop(&mut bridge);
    let audit = scene::assert_exactly_once(broker, "at-least-once", &ledger);
    assert_eq!(audit.published, audit.acknowledged);
    // The marker of a transaction has an offset, too. With markers, the ends would exceed the number of records.
    let records = scene::read(broker, "at-least-once");
    let ends: i64 = crate::wait::ends(&broker.client(), "at-least-once").values().sum();
    assert_eq!(ends, i64::try_from(records.len()).unwrap(), "there are markers of transactions in the topic");
}
