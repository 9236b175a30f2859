//! Redis or PostgreSQL is away for longer than a consumer may go without polling, while recalls
//! keep coming.

use super::consumer::{assert_committed_is_purged, done};
use super::killed::recall;
use super::{Consumer, Kind, Store, broker, copies, for_every_consumer};
use crate::scene;
use crate::wait::until_true;

const COPIES: usize = 900;

/// The attempts after 0.1, 0.2, 0.4, 0.8 and 1.6 s: with the sixth failure 3.1 s are over, and a
/// consumer that had not polled would have lost its partitions (3 s in these tests).
const ATTEMPTS: usize = 6;

fn while_its_store_is_away_it_skips_nothing_and_keeps_its_place_in_the_group(kind: Kind) {
    let topic = format!("away-{kind:?}");
    let broker = broker();
    let mut bridge = scene::setup(broker, &topic).start();
    let mut store = Store::for_consumer(kind);
    let copies = copies(COPIES);
    store.keep(&copies);
    let consumer = Consumer::start(kind, broker, &topic, &store);
    let sending = recall(&bridge.url(), copies);
    let mut attempts = 0;
    for (left, crash) in [(COPIES * 3 / 4, false), (COPIES / 3, true)] {
        until_true("some more is purged", || store.shown().len() <= left);
        if crash {
            store.crash();
        } else {
            store.stop();
        }
        attempts += ATTEMPTS;
        consumer.wait_for_log("again in", attempts);
        // How often it has tried is not known from here on.
        store.start();
        consumer.wait_for_log("going on", if crash { 2 } else { 1 });
        attempts = consumer.logged("again in");
        assert_committed_is_purged(broker, &topic, &store);
    }
    sending.join().unwrap();
    until_true("all is purged", || store.shown().is_empty());
    scene::stop(&mut bridge);
    until_true("all is committed", || done(broker, &topic).len() == COPIES);
    let log = consumer.process.log_lines().join("\n").to_lowercase();
    assert!(!log.contains("poll interval") && !log.contains("skipped"), "{log}");
    consumer.stop();
}

for_every_consumer! { while_its_store_is_away_it_skips_nothing_and_keeps_its_place_in_the_group }
