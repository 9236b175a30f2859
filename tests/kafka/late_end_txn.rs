//! The network delivers the end of a transaction late, when a later transaction is open. The broker may then commit
//! or abort the wrong transaction, possibly without an error for the client.

use std::time::Duration;

use crate::bridge::Setup;
use crate::broker::{Broker, free_port};
use crate::load::Load;
use crate::proxy::{EndTxn, Proxy};
use crate::random::Random;
use crate::scene;
use crate::wait::{count, until_true};

/// The pause between two webhooks of a connection: the publisher of a debug build keeps up.
const PACE: Duration = Duration::from_millis(2);
/// The number of late requests. It is large enough that the broker accepts several of them.
const HELD: u64 = 30;

#[test]
fn a_late_end_of_a_transaction_doubles_and_loses_nothing() {
    let mut random = Random::new();
    let port = free_port();
    let broker = Broker::start_behind_proxy(port);
    let proxy = Proxy::start(port, random.fork());
    proxy.forward_to(broker.upstream());
    broker.create_topic("late-end-txn", 6, &[]);
    let setup = scene::quick(Setup::new(&proxy.bootstrap())).env("BRIDGE_TOPIC", "late-end-txn");
    let mut bridge = setup.start();
    let load = Load::paced("late", 4, PACE, bridge.webhook_address(), &mut random);
    until_true("some is published", || count(&bridge, "records_published_total") > 100);
    proxy.set(EndTxn::DeliverLate { one_of: 8 });
    until_true("enough was held", || proxy.held() >= HELD);
    proxy.set(EndTxn::Pass);
    until_true("all that was held is delivered", || proxy.pending() == 0);
    load.until_acknowledged(100);
    let ledger = load.stop();
    crate::wait::until_drained(&bridge);
    eprintln!(
        "late-end-txn: {} held, {} of them taken by the broker, {} transactions in doubt, {} records found and not \
         repeated",
        proxy.held(),
        proxy.accepted(),
        count(&bridge, "kafka_transactions_total{result=\"doubt\"}"),
        count(&bridge, "read_back_found_total"),
    );
    scene::stop(&mut bridge);
    scene::assert_exactly_once(&broker, "late-end-txn", &ledger);
}
