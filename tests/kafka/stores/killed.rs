//! A consumer is killed (SIGKILL) while the bridge continues to publish recalls.

use std::thread;

use super::consumer::{assert_committed_is_purged, committed, done};
use super::{Consumer, Copy, Kind, QUICK_GROUPS, Store, broker, copies, for_every_consumer};
use crate::bridge::{APP, Setup, TOKEN};
use crate::broker::Broker;
use crate::random::Random;
use crate::scene;
use crate::sender::Sender;
use crate::wait::{until_drained, until_true};

const COPIES: usize = 1500;
const KILLS: usize = 4;

/// Starts a thread that recalls one message after the other.
pub(super) fn recall(url: &str, copies: Vec<Copy>) -> thread::JoinHandle<()> {
    let sender = Sender::new(url, APP, TOKEN);
    thread::spawn(move || {
        for copy in copies {
            sender.acknowledged(&copy.account, &[copy.msg_key]);
        }
    })
}

fn a_consumer_killed_at_random_misses_nothing_after_its_restart(kind: Kind) {
    let topic = format!("killed-{kind:?}");
    let mut random = Random::new();
    let broker = broker();
    let mut bridge = scene::setup(broker, &topic).start();
    let store = Store::for_consumer(kind);
    let copies = copies(COPIES);
    store.keep(&copies);
    let start = || Consumer::start(kind, broker, &topic, &store);
    let (mut one, mut other) = (start(), start());
    let sending = recall(&bridge.url(), copies);
    let step = COPIES / (KILLS + 1);
    let mut repeated = 0;
    for kill in 1..=KILLS {
        let left = COPIES - kill * step + usize::try_from(random.between(0, step as u64 / 2)).unwrap();
        until_true("some more is purged", || store.shown().len() <= left);
        one.process.kill();
        let purged = COPIES - store.shown().len();
        // The other consumer may have committed more meanwhile. So this is the minimum number of repeated purges.
        repeated += purged.saturating_sub(assert_committed_is_purged(broker, &topic, &store));
        // The test kills the two consumers in turn, possibly while the group rebalances.
        one = std::mem::replace(&mut other, start());
    }
    sending.join().unwrap();
    until_true("all is purged", || store.shown().is_empty());
    scene::stop(&mut bridge);
    until_true("all is committed", || done(broker, &topic).len() == COPIES);
    eprintln!("{topic}: {KILLS} kills; of {repeated} purges the commit died with the consumer");
    one.stop();
    other.stop();
}

/// With these settings, a consumer keeps its partitions while the broker is down. The next consumer with the same
/// instance id gets them at once.
const PATIENT: &[(&str, &str)] = &[
    ("KAFKA_SESSION_TIMEOUT_MS", "60000"),
    ("KAFKA_MAX_POLL_INTERVAL_MS", "60000"),
    ("KAFKA_GROUP_INSTANCE_ID", "one"),
];

/// kafkajs has no static membership: the next consumer gets the partitions after the session of the killed consumer has
/// expired. The broker measures the session only while it runs.
const PATIENT_NODE: &[(&str, &str)] = &[("KAFKA_SESSION_TIMEOUT_MS", "10000")];

fn killed_between_purge_and_commit_it_purges_again(kind: Kind) {
    let mut broker = Broker::start_with(QUICK_GROUPS);
    let topic = "between";
    broker.create_topic(topic, 1, &[]);
    let bridge = scene::quick(Setup::new(&broker.bootstrap())).env("BRIDGE_TOPIC", topic).start();
    let mut store = Store::for_consumer(kind);
    let copies = copies(2);
    store.keep(&copies);
    let patient = if kind == Kind::NodeRedis { PATIENT_NODE } else { PATIENT };
    let mut consumer = Consumer::start_with(kind, &broker, topic, &store, patient);
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged(&copies[0].account, &[&copies[0].msg_key]);
    until_true("the first is committed", || done(&broker, topic).len() == 1);
    let before = committed(&broker, topic);
    // The consumer reads a record and cannot purge it. Later it purges the record and cannot commit its offset.
    store.stop();
    sender.acknowledged(&copies[1].account, &[&copies[1].msg_key]);
    consumer.wait_for_log("1 records wait", 1);
    until_drained(&bridge);
    broker.kill();
    store.start();
    until_true("all is purged", || store.shown().is_empty());
    consumer.process.kill();
    broker.restart();
    assert_eq!(committed(&broker, topic), before, "committed before it was known that it is purged");

    let consumer = Consumer::start_with(kind, &broker, topic, &store, patient);
    until_true("all is committed", || done(&broker, topic).len() == 2);
    let again = consumer.stop();
    assert!(again.len() == 1 && again[0].contains(&copies[1].msg_key), "not purged again: {again:?}");
}

for_every_consumer! {
    a_consumer_killed_at_random_misses_nothing_after_its_restart
    killed_between_purge_and_commit_it_purges_again
}
