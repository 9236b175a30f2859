//! A new node starts with a topic that contains many records of other nodes.

use std::time::{Duration, Instant, SystemTime};

use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::bridge::{APP, Setup, TOKEN, copy_dir};
use crate::broker::Broker;
use crate::scene;
use crate::sender::Sender;
use crate::wait::{count, until_drained};

const OLD_RECORDS: u64 = 300_000;
const TOPIC: &str = "full-of-old-records";

/// Writes records of other nodes with timestamps of some time ago, in batches as large as Kafka allows.
fn fill(broker: &Broker, topic: &str, records: u64, payload: &str, ago: Duration) {
    let mut client = broker.client();
    client.set("queue.buffering.max.messages", "1000000").set("linger.ms", "1000").set("compression.type", "gzip");
    let producer: BaseProducer = client.create().unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let written = i64::try_from(now.checked_sub(ago).unwrap().as_millis()).unwrap();
    for number in 0..records {
        let key = number.to_string();
        producer.send(BaseRecord::to(topic).key(&key).payload(payload).timestamp(written)).unwrap();
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
    fill(broker, TOPIC, OLD_RECORDS, "an old record", Duration::from_secs(3 * 60 * 60));
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

#[test]
fn a_reconciliation_with_large_compressed_batches_needs_little_memory() {
    const RECORDS: u64 = 200_000;
    let broker = Broker::shared();
    let topic = "full-of-new-records";
    broker.create_topic(topic, 6, &[("message.timestamp.type", "CreateTime")]);
    let setup = scene::quick(Setup::new("127.0.0.1:1")).env("BRIDGE_TOPIC", topic);
    let mut bridge = setup.start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["a"]);
    bridge.kill();
    fill(broker, topic, RECORDS, &"a record of another node ".repeat(30), Duration::ZERO);

    // Each process of a copy of the spool may have published its event.
    let copy = scene::quick(Setup::new(&broker.bootstrap())).env("BRIDGE_TOPIC", topic);
    copy_dir(&setup.spool_dir(), &copy.spool_dir());
    let mut bridge = copy.start();
    until_drained(&bridge);
    assert!(offsets_read(&bridge) >= RECORDS, "{}", bridge.process.tail());
    let peak = bridge.process.peak_memory();
    eprintln!("{} MB at most", peak >> 20);
    assert!(peak < 80 << 20, "{peak} bytes");
    scene::terminate(&mut bridge);
}
