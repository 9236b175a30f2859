//! The bridge dies by SIGKILL, again and again, while webhooks keep coming.

use crate::bridge::Setup;
use crate::broker::Broker;
use crate::load::Load;
use crate::scene;
use crate::seed::Random;
use crate::wait::{count, until_true};

const ROUNDS: u32 = 25;

/// Half of the rounds end a bridge that has published some, the others one that may still be
/// reading back what its predecessor left.
fn kill_again_and_again(broker: &Broker, topic: &str, setup: &Setup) {
    let mut random = Random::new(topic);
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
    let unanswered = load.told_nothing();
    let ledger = load.stop();
    scene::stop(&mut bridge);
    let audit = scene::assert_exactly_once(broker, topic, &ledger);
    eprintln!(
        "{topic}: {ROUNDS} kills, {unanswered} webhooks without an answer ({} recalls of them published), \
         {found} records found in the topic and not repeated",
        audit.unanswered
    );
    assert!(unanswered > 0, "no kill met a webhook under way");
}

#[test]
fn nothing_is_lost_doubled_torn_or_reordered_when_the_bridge_is_killed_at_random_moments() {
    let broker = Broker::shared();
    let setup = scene::setup(broker, "bridge-killed");
    kill_again_and_again(broker, "bridge-killed", &setup);
}
