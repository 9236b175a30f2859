//! The published sequence in the spool is too low. The bridge finds the published records in the topic.

use std::path::Path;

use rusqlite::Connection;

use crate::bridge::{APP, Setup, TOKEN, copy_dir};
use crate::broker::Broker;
use crate::load::{ResponseKind, SentWebhook};
use crate::scene;
use crate::sender::Sender;
use crate::wait::{count, until_drained};

fn database(dir: &Path) -> Connection {
    crate::spool::open(dir)
}

/// Starts a bridge, sends webhooks of ten recalls each for twenty accounts, and stops the bridge.
fn send(setup: &Setup, from: u32, recalls: u32, ledger: &mut Vec<SentWebhook>) {
    let mut bridge = setup.start();
    send_to(&Sender::new(&bridge.url(), APP, TOKEN), from, recalls, ledger);
    scene::stop(&mut bridge);
}

fn send_to(sender: &Sender, from: u32, recalls: u32, ledger: &mut Vec<SentWebhook>) {
    for number in (from..from + recalls).step_by(10) {
        let account = format!("#TOA#_{}", number / 10 % 20);
        let keys: Vec<String> = (number..number + 10).map(|key| format!("{key}_1_1698741698")).collect();
        sender.acknowledged(&account, &keys);
        ledger.push(SentWebhook {
            account,
            keys,
            response: ResponseKind::Acknowledged,
            took: std::time::Duration::ZERO,
        });
    }
}

#[test]
fn a_thousand_records_above_the_published_sequence_are_not_repeated() {
    let broker = Broker::shared();
    let setup = scene::setup(broker, "watermark-lags");
    let spool = setup.spool_dir();
    let mut ledger = Vec::new();
    send(&setup, 0, 200, &mut ledger);
    // From here on the spool keeps published rows, as if the process were killed before it removes them. The test saves
    // the next offsets of this moment, because they belong to the published sequence of this moment.
    database(&spool)
        .execute_batch(
            "CREATE TABLE then_position AS SELECT * FROM position;
             CREATE TABLE then_progress AS SELECT * FROM progress;
             CREATE TRIGGER keep BEFORE DELETE ON event_group BEGIN SELECT RAISE(IGNORE); END;",
        )
        .unwrap();
    send(&setup, 200, 1000, &mut ledger);
    database(&spool)
        .execute_batch(
            "DROP TRIGGER keep;
             DELETE FROM position;
             INSERT INTO position SELECT * FROM then_position;
             UPDATE progress SET watermark = (SELECT watermark FROM then_progress);
             DROP TABLE then_position;
             DROP TABLE then_progress;",
        )
        .unwrap();

    let mut bridge = setup.start();
    assert_eq!(count(&bridge, "spool_recovered_events"), 1000);
    send_to(&Sender::new(&bridge.url(), APP, TOKEN), 1200, 100, &mut ledger);
    until_drained(&bridge);
    assert_eq!(count(&bridge, "read_back_found_total"), 1000);
    assert_eq!(count(&bridge, "spool_identity_renewals_total"), 0);
    scene::stop(&mut bridge);
    scene::assert_exactly_once(broker, "watermark-lags", &ledger);
}

#[test]
fn a_restored_older_copy_takes_a_new_identity_and_repeats_nothing() {
    let broker = Broker::shared();
    let setup = scene::setup(broker, "restored");
    let (spool, backup) = (setup.spool_dir(), setup.home().join("backup"));
    let mut ledger = Vec::new();
    send(&setup, 0, 300, &mut ledger);
    copy_dir(&spool, &backup);
    send(&setup, 300, 500, &mut ledger);
    std::fs::remove_dir_all(&spool).unwrap();
    copy_dir(&backup, &spool);

    let mut bridge = setup.start();
    send_to(&Sender::new(&bridge.url(), APP, TOKEN), 800, 200, &mut ledger);
    until_drained(&bridge);
    assert_eq!(count(&bridge, "spool_identity_renewals_total"), 1);
    scene::stop(&mut bridge);
    scene::assert_exactly_once(broker, "restored", &ledger);
}
