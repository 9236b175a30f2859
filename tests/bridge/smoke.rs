//! The shortest path of a recall through all components.

use crate::bridge::{APP, TOKEN};
use crate::mock::Kafka;
use crate::sender::Sender;
use crate::topic::prove;

#[test]
fn a_recall_that_was_acknowledged_is_in_kafka_and_survives_the_process() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_123", &["71_1_1698741698"]);
    bridge.wait_published();
    bridge.kill();
    let bridge = bridge.restart();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_123", &["72_1_1698741698"]);
    let records = kafka.topic().read_count(2);
    prove(&records);
    let keys: Vec<&str> = records.iter().map(crate::topic::Record::msg_key).collect();
    assert_eq!(keys, ["71_1_1698741698", "72_1_1698741698"]);
}
