//! The broker of the test harness keeps its records when a test kills, freezes, stops and restarts it.

use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::broker::Broker;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Publishes in a transaction, as the bridge does, to test the transaction coordinator, too.
fn publish(broker: &Broker, topic: &str, value: &str) {
    let producer: BaseProducer = broker.client().set("transactional.id", "smoke").create().unwrap();
    producer.init_transactions(TIMEOUT).unwrap();
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::to(topic).partition(0).key("key").payload(value)).map_err(|(error, _)| error).unwrap();
    producer.commit_transaction(TIMEOUT).unwrap();
}

fn read_committed(broker: &Broker, topic: &str, count: usize) -> Vec<String> {
    let consumer: BaseConsumer = broker
        .client()
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .create()
        .unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&partitions).unwrap();
    let deadline = Instant::now() + TIMEOUT;
    let mut values = Vec::new();
    while values.len() < count && Instant::now() < deadline {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message.unwrap();
            values.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
        }
    }
    values
}

fn answers(broker: &Broker, within: Duration) -> bool {
    let consumer: BaseConsumer = broker.client().create().unwrap();
    consumer.fetch_metadata(None, within).is_ok()
}

#[test]
fn a_broker_starts_serves_and_restarts() {
    let started = Instant::now();
    let mut broker = Broker::start();
    eprintln!("start: {:?}", started.elapsed());
    broker.create_topic("smoke", 3, &[("retention.ms", "-1")]);
    publish(&broker, "smoke", "before");

    broker.kill();
    assert!(!answers(&broker, Duration::from_millis(300)));
    let started = Instant::now();
    broker.restart();
    eprintln!("restart after kill: {:?}", started.elapsed());
    assert_eq!(read_committed(&broker, "smoke", 1), ["before"]);

    broker.pause();
    assert!(!answers(&broker, Duration::from_millis(300)));
    broker.resume();
    assert!(answers(&broker, TIMEOUT));
    publish(&broker, "smoke", "after");

    let started = Instant::now();
    broker.terminate();
    eprintln!("terminate: {:?}", started.elapsed());
    let started = Instant::now();
    broker.restart();
    eprintln!("restart after terminate: {:?}", started.elapsed());
    assert_eq!(read_committed(&broker, "smoke", 2), ["before", "after"]);
}
