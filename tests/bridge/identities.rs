//! Tests of which recalls count as duplicates, also after an upgrade of the spool's format.

use crate::bridge::{APP, Bridge, TOKEN};
use crate::mock::Kafka;
use crate::sender::Sender;
use crate::topic::Record;

fn counted(bridge: &Bridge, outcome: &str) -> f64 {
    bridge.metric(&format!("webhooks_total{{outcome=\"{outcome}\"}}"))
}

/// In the second format, two recalls could have the same id.
#[test]
fn a_spool_of_the_second_format_loses_its_window_but_no_recall() {
    let kafka = Kafka::start();
    kafka.down();
    let mut bridge = kafka.setup().start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["a"]);
    bridge.kill();
    crate::spool::to_format(2, &bridge.setup().spool_dir());
    bridge = bridge.restart();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["a"]);
    sender.acknowledged("#TOA#_1", &["a"]);
    assert_eq!((counted(&bridge, "accepted"), counted(&bridge, "duplicate")), (1.0, 1.0));
    kafka.up();
    bridge.wait_published();
    let records = kafka.records();
    let keys: Vec<&str> = records.iter().map(Record::msg_key).collect();
    assert_eq!(keys, ["a", "a"]);
    assert_eq!(records[0].value["event_id"], records[1].value["event_id"]);
}

#[test]
fn different_recalls_with_one_event_id_are_no_duplicates() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    let recalls = [("x", "y/z"), ("x/y", "z"), ("x/y/z", "k"), ("x", "y/z/k"), ("x/y", "z/k")];
    for _ in 0..2 {
        let sender = Sender::new(&bridge.url(), APP, TOKEN);
        for (account, msg_key) in recalls {
            sender.acknowledged(account, &[msg_key]);
        }
        bridge.wait_published();
        bridge.kill();
        bridge = bridge.restart();
    }
    let mut records: Vec<_> =
        kafka.records().iter().map(|record| (record.key.clone(), record.msg_key().to_owned())).collect();
    records.sort_unstable();
    let mut expected: Vec<_> = recalls.map(|(account, key)| (account.to_owned(), key.to_owned())).into();
    expected.sort_unstable();
    assert_eq!(records, expected);
}
