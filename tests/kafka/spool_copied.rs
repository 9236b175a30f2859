//! A copy of a spool runs at the same time as the original: two processes, two directories, one spool UUID. They fence
//! each other until one of them takes a new spool UUID.

use rustix::process::Signal;

use crate::bridge::{APP, Bridge, Setup, TOKEN, copy_dir};
use crate::broker::Broker;
use crate::load::{Load, ResponseKind, SentWebhook};
use crate::random::Random;
use crate::scene;
use crate::sender::Sender;
use crate::wait::{count, until_drained, until_kafka_is};

/// Starts a bridge, publishes records, and starts a second bridge on a copy of its spool.
fn original_and_copy(broker: &Broker, topic: &str, ledger: &mut Vec<SentWebhook>) -> (Bridge, Bridge) {
    let setup = scene::setup(broker, topic);
    let original = setup.start();
    send(&original, "before", 20, ledger);
    until_drained(&original);
    original.process.signal(Signal::STOP);
    let copy = setup.home().join("copy");
    copy_dir(&setup.spool_dir(), &copy);
    original.process.signal(Signal::CONT);
    let setup: Setup = setup.env("BRIDGE_SPOOL_DIR", copy.display());
    (original, setup.start())
}

fn send(bridge: &Bridge, account: &str, webhooks: u32, ledger: &mut Vec<SentWebhook>) {
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for number in 0..webhooks {
        let keys: Vec<String> = (0..3).map(|key| format!("{number}_{key}_1698741698")).collect();
        sender.acknowledged(account, &keys);
        let account = account.to_owned();
        ledger.push(SentWebhook {
            account,
            keys,
            response: ResponseKind::Acknowledged,
            took: std::time::Duration::ZERO,
        });
    }
}

fn renewals(bridges: &[&Bridge]) -> u64 {
    bridges.iter().map(|bridge| count(bridge, "spool_identity_renewals_total")).sum()
}

#[test]
fn records_of_the_copy_are_not_taken_for_records_of_the_original() {
    let broker = Broker::shared();
    let mut ledger = Vec::new();
    let (mut original, mut copy) = original_and_copy(broker, "copy-first", &mut ledger);
    send(&copy, "copy", 2, &mut ledger);
    until_drained(&copy);
    send(&original, "original", 10, &mut ledger);
    until_drained(&original);
    send(&copy, "copy-later", 10, &mut ledger);
    until_drained(&copy);
    assert!(renewals(&[&original, &copy]) >= 1);
    scene::stop(&mut original);
    scene::stop(&mut copy);
    scene::assert_exactly_once(broker, "copy-first", &ledger);
}

#[test]
fn records_of_the_original_are_not_taken_for_records_of_the_copy() {
    let broker = Broker::shared();
    let mut ledger = Vec::new();
    let (mut original, mut copy) = original_and_copy(broker, "original-first", &mut ledger);
    send(&original, "original", 2, &mut ledger);
    until_drained(&original);
    send(&copy, "copy", 10, &mut ledger);
    until_drained(&copy);
    send(&original, "original-later", 10, &mut ledger);
    until_drained(&original);
    assert!(renewals(&[&original, &copy]) >= 1);
    scene::stop(&mut original);
    scene::stop(&mut copy);
    scene::assert_exactly_once(broker, "original-first", &ledger);
}

#[test]
fn original_and_copy_under_load_at_once_lose_and_double_nothing() {
    let mut random = Random::new();
    let broker = Broker::shared();
    let mut ledger = Vec::new();
    let (mut original, mut copy) = original_and_copy(broker, "copied", &mut ledger);
    let loads = [
        Load::start("original", 2, original.webhook_address(), &mut random),
        Load::start("copy", 2, copy.webhook_address(), &mut random),
    ];
    for load in &loads {
        load.until_acknowledged(500);
    }
    ledger.extend(loads.into_iter().flat_map(Load::stop));
    until_drained(&original);
    until_drained(&copy);
    assert!(renewals(&[&original, &copy]) >= 1);
    scene::stop(&mut original);
    scene::stop(&mut copy);
    scene::assert_exactly_once(broker, "copied", &ledger);
}

#[test]
fn copies_of_a_spool_that_never_reached_kafka_get_their_own_uuids() {
    let broker = Broker::shared();
    // This is the case of a machine image: the bridge ran once, before the topic existed.
    let setup = scene::quick(Setup::new(&broker.bootstrap()).env("BRIDGE_TOPIC", "imaged"));
    let mut ledger = Vec::new();
    let mut imaged = setup.start();
    until_kafka_is(&imaged, "failing");
    scene::stop(&mut imaged);
    let copy = setup.home().join("copy");
    copy_dir(&setup.spool_dir(), &copy);
    broker.create_topic("imaged", 6, &[]);
    let mut first = setup.start();
    send(&first, "first", 5, &mut ledger);
    until_drained(&first);
    let mut second = setup.clone().env("BRIDGE_SPOOL_DIR", copy.display()).start();
    for number in 0..3 {
        send(&first, &format!("first-{number}"), 5, &mut ledger);
        until_drained(&first);
        send(&second, &format!("second-{number}"), 7, &mut ledger);
        until_drained(&second);
    }
    scene::stop(&mut first);
    scene::stop(&mut second);
    assert_eq!(scene::assert_exactly_once(broker, "imaged", &ledger).spools, 2);
}
