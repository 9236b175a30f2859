//! A new node starts with a topic that contains many old records, and publishes without delay.

use std::time::{Duration, Instant, SystemTime};

use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::bridge::{APP, Setup, TOKEN, copy_dir};
use crate::broker::Broker;
use crate::scene;
use crate::sender::Sender;
use crate::wait::{count, until_drained};

const OLD_RECORDS: u64 = 300_000;
const TOPIC: &str = "full-of-old-records";

/// Writes records of other nodes with timestamps of three hours ago.
fn fill(broker: &Broker) {
    let producer: BaseProducer = broker.client().set("queue.buffering.max.messages", "1000000").create().unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let old = i64::try_from(now.checked_sub(Duration::from_secs(3 * 60 * 60)).unwrap().as_millis()).unwrap();
    for number in 0..OLD_RECORDS {
        let key = number.to_string();
        producer.send(BaseRecord::to(TOPIC).key(&key).payload("an old record").timestamp(old)).unwrap();
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}

/// Returns the number of offsets that all reconciliations covered, from the log.
fn offsets_read(bridge: &crate::bridge::Bridge) -> u64 {
    bridge.process.log_of("reconcile_started").iter().map(|line| line["offsets"].as_u64().unwrap()).sum()
}

#[test]
fn a_new_node_with_a_backlog_publishes_at_once_and_its_copy_adds_nothing() {
    let broker = Broker::shared();
    broker.create_topic(TOPIC, 3, &[("message.timestamp.type", "CreateTime")]);
    fill(broker);
    let of_topic = |address: &str| scene::quick(Setup::new(address)).env("BRIDGE_TOPIC", TOPIC);
    let away = of_topic("127.0.0.1:1");
    let mut bridge = away.start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["a"]);
    bridge.kill();
    let copy = of_topic(&broker.bootstrap());
    copy_dir(&away.spool_dir(), &copy.spool_dir());

    let started = Instant::now();
    let mut bridge = away.env("KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap()).start();
    until_drained(&bridge);
    let took = started.elapsed();
    assert_eq!(offsets_read(&bridge), 0, "{}", bridge.process.tail());
    assert_eq!(count(&bridge, "records_published_total"), 1);
    assert!(took < Duration::from_secs(5), "{took:?}");
    scene::terminate(&mut bridge);

    // The copy has the same spool UUID, the same event and no stored offsets. It finds the record of the original.
    let mut bridge = copy.start();
    until_drained(&bridge);
    assert_eq!(count(&bridge, "read_back_found_total"), 1, "{}", bridge.process.tail());
    let read = offsets_read(&bridge);
    assert!((1..100).contains(&read), "{read}");
    scene::terminate(&mut bridge);
    eprintln!("published {took:?} after the start; a copy read {read} of {OLD_RECORDS} offsets");
}
