//! The topic does not exist when the bridge starts.

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;

use crate::bridge::{APP, Setup, TOKEN};
use crate::broker::Broker;
use crate::scene;
use crate::sender::Sender;
use crate::topic::{Record, prove};
use crate::wait::{count, until_drained, until_kafka_is, until_true};

#[test]
fn recalls_wait_for_a_missing_topic_and_are_published_when_it_exists() {
    let broker = Broker::shared();
    let mut bridge = scene::quick(Setup::new(&broker.bootstrap())).env("BRIDGE_TOPIC", "made-later").start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["a", "b"]);
    until_true("the missing topic is counted", || count(&bridge, "kafka_errors_total{kind=\"unknown_topic\"}") > 0);
    until_kafka_is(&bridge, "failing");
    let (status, ready) = bridge.ops_get("/readyz");
    assert_eq!(status, 200, "{ready}");
    assert!(ready.contains("made-later"), "{ready}");
    sender.acknowledged("#TOA#_1", &["c"]);
    assert_eq!(count(&bridge, "spool_events"), 3);

    broker.create_topic("made-later", 3, &[]);
    until_drained(&bridge);
    scene::stop(&mut bridge);
    let records = scene::read(broker, "made-later");
    prove(&records);
    assert_eq!(records.iter().map(Record::msg_key).collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[test]
fn the_bridge_creates_the_topic_with_the_documented_settings() {
    let broker = Broker::shared();
    let mut bridge = scene::quick(Setup::new(&broker.bootstrap()))
        .env("BRIDGE_TOPIC", "made-by-bridge")
        .env("BRIDGE_TOPIC_CREATE", true)
        .env("BRIDGE_TOPIC_PARTITIONS", 4)
        .env("BRIDGE_TOPIC_REPLICATION", 1)
        .start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["a"]);
    scene::stop(&mut bridge);
    prove(&scene::read(broker, "made-by-bridge"));
    assert_eq!(crate::wait::ends(&broker.client(), "made-by-bridge").len(), 4);

    let admin: AdminClient<DefaultClientContext> = broker.client().create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let described = runtime
        .block_on(admin.describe_configs([&ResourceSpecifier::Topic("made-by-bridge")], &AdminOptions::new()))
        .unwrap();
    let config = described.into_iter().next().unwrap().unwrap();
    let value = |name: &str| config.get(name).and_then(|entry| entry.value.clone());
    assert_eq!(value("cleanup.policy").as_deref(), Some("delete"));
    assert_eq!(value("message.timestamp.type").as_deref(), Some("LogAppendTime"));
}
