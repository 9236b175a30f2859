//! Redis or PostgreSQL is unavailable for longer than the maximum time between two polls of a consumer, while the
//! bridge continues to publish recalls.

use super::consumer::{assert_committed_is_purged, done};
use super::killed::recall;
use super::{Consumer, Kind, Store, broker, copies, for_every_consumer};
use crate::scene;
use crate::wait::until_true;

const COPIES: usize = 900;
const OUTAGES: usize = 2;

/// The pauses between attempts are 0.1, 0.2, 0.4, 0.8 and 1.6 s, so the sixth attempt fails after 3.1 s. A consumer
/// that does not poll loses its partitions after 3 s in these tests.
const ATTEMPTS: usize = 6;

fn a_consumer_without_its_store_skips_nothing_and_stays_in_its_group(kind: Kind) {
    let topic = format!("away-{kind:?}");
    let broker = broker();
    let mut bridge = scene::setup(broker, &topic).start();
    let mut store = Store::for_consumer(kind);
    let copies = copies(COPIES);
    store.keep(&copies);
    let consumer = Consumer::start(kind, broker, &topic, &store);
    let mut parts = copies.chunks(COPIES / OUTAGES);
    for outage in 1..=OUTAGES {
        let (before, during) = parts.next().unwrap().split_at(COPIES / OUTAGES / 2);
        let sending = recall(&bridge.url(), before.to_vec());
        let shown = COPIES - (outage - 1) * COPIES / OUTAGES;
        until_true("some more is purged", || store.shown().len() < shown);
        if outage % 2 == 0 {
            store.crash();
        } else {
            store.stop();
        }
        sending.join().unwrap();
        let attempts = consumer.logged("again in");
        recall(&bridge.url(), during.to_vec()).join().unwrap();
        consumer.wait_for_log("again in", attempts + ATTEMPTS);
        store.start();
        consumer.wait_for_log("going on", outage);
        assert_committed_is_purged(broker, &topic, &store);
        let shown = COPIES - outage * COPIES / OUTAGES;
        until_true("all that was recalled is purged", || store.shown().len() == shown);
    }
    scene::stop(&mut bridge);
    until_true("all is committed", || done(broker, &topic).len() == COPIES);
    let log = consumer.process.log_lines().join("\n").to_lowercase();
    assert!(!log.contains("poll interval") && !log.contains("skipped"), "{log}");
    consumer.stop();
}

for_every_consumer! { a_consumer_without_its_store_skips_nothing_and_stays_in_its_group }
