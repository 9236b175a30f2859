//! Tests of Kafka errors, rejected records and unknown outcomes of transactions: no recall is lost or published
//! twice.

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::bridge::{APP, Bridge, TOKEN, eventually};
use crate::mock::Kafka;
use crate::sender::Sender;
use crate::topic::{Record, prove, report};

fn send(bridge: &Bridge, numbers: std::ops::Range<u32>) {
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for number in numbers {
        sender.acknowledged(&format!("#TOA#_{}", number % 3), &[format!("{number}_0_1"), format!("{number}_1_1")]);
    }
}

#[test]
fn a_failure_in_any_transaction_step_publishes_every_record_once() {
    use RDKafkaApiKey::{AddPartitionsToTxn, EndTxn, InitProducerId, Produce};
    use RDKafkaRespErr as E;

    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    send(&bridge, 0..5);
    bridge.wait_published();
    let mut sent = 5;
    // Errors of a commit: rejected, fenced by another producer, unknown outcome. Errors of records: rejected because
    // of the producer's state. And temporary errors.
    for (request, error) in [
        (EndTxn, E::RD_KAFKA_RESP_ERR_INVALID_TXN_STATE),
        (EndTxn, E::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH),
        (EndTxn, E::RD_KAFKA_RESP_ERR_PRODUCER_FENCED),
        (EndTxn, E::RD_KAFKA_RESP_ERR_UNKNOWN),
        (EndTxn, E::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE),
        (AddPartitionsToTxn, E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED),
        (AddPartitionsToTxn, E::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING),
        (AddPartitionsToTxn, E::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS),
        (Produce, E::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER),
        (Produce, E::RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID),
        (Produce, E::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH),
        (Produce, E::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION),
        (Produce, E::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS),
        (Produce, E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED),
        // The producer after the next unknown outcome receives this error.
        (InitProducerId, E::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS),
        (EndTxn, E::RD_KAFKA_RESP_ERR_INVALID_TXN_STATE),
    ] {
        kafka.fail_next(request, error);
        send(&bridge, sent..sent + 3);
        sent += 3;
        eventually(&format!("all is published after {error:?}"), || {
            (bridge.metric("spool_events") == 0.0).then_some(())
        });
    }
    let records = kafka.records();
    prove(&records);
    assert_eq!(records.len(), sent as usize * 2);
    assert!(bridge.metric("kafka_transactions_total{result=\"doubt\"}") >= 3.0);
    assert!(bridge.metric("read_back_found_total") >= 1.0);
    assert_eq!(bridge.metric("records_quarantined_total"), 0.0);
    assert_eq!(bridge.metric("quarantine_events"), 0.0);
}

#[test]
fn a_poison_record_goes_to_quarantine_and_later_records_are_published() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().env("KAFKA_MESSAGE_MAX_BYTES", 2000).start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["before_1_1"]);
    sender.acknowledged("#TOA#_1", &["with_1_1", &"large".repeat(600), "with_2_1"]);
    sender.acknowledged("#TOA#_1", &["after_1_1"]);
    bridge.wait_published();
    let records = kafka.records();
    let keys: Vec<&str> = records.iter().map(Record::msg_key).collect();
    assert_eq!(keys, ["before_1_1", "with_1_1", "with_2_1", "after_1_1"]);
    assert_eq!(records.iter().map(Record::seq).collect::<Vec<_>>(), [1, 2, 4, 5]);
    let report = report(&records);
    assert_eq!((report.gaps, report.duplicates), (1, 0), "{report}");
    assert_eq!(bridge.metric("records_quarantined_total"), 1.0);
    assert_eq!(bridge.metric("records_published_total"), 4.0);
    assert_eq!(bridge.metric("quarantine_events"), 1.0);
    let uuid = bridge.status()["spool_uuid"].as_str().unwrap().to_owned();
    bridge.kill();
    let database = crate::spool::open(&bridge.setup().spool_dir());
    let (reason, seq, spool): (String, u64, uuid::Uuid) = database
        .query_row("SELECT reason, bridge_seq, spool_uuid FROM quarantine", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    assert_eq!((seq, spool.to_string()), (3, uuid), "the number missing in the topic is the one named here");
    assert!(reason.starts_with("kafka_"), "{reason}");
}

#[test]
fn delivery_at_least_once_loses_nothing_over_outages_and_crashes() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().env("BRIDGE_DELIVERY", "at_least_once").start();
    send(&bridge, 0..50);
    bridge.kill();
    bridge = bridge.restart();
    kafka.down();
    send(&bridge, 50..100);
    bridge.kill();
    bridge = bridge.restart();
    kafka.up();
    send(&bridge, 100..110);
    bridge.wait_published();
    let report = report(&kafka.records());
    assert_eq!(report.gaps, 0, "{report}");
    assert_eq!(report.records - report.duplicates, 220, "{report}");
}

#[test]
fn two_nodes_publish_into_one_topic_each_under_its_own_name() {
    let kafka = Kafka::start();
    let nodes = [kafka.setup().start(), kafka.setup().start()];
    std::thread::scope(|scope| {
        for node in &nodes {
            scope.spawn(|| send(node, 0..50));
        }
    });
    nodes.iter().for_each(Bridge::wait_published);
    let records = kafka.records();
    assert_eq!(records.len(), 200);
    prove(&records);
}
