//! A consumer purges every recalled message, with any characters in its key, and purges no other message.

use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::json;
use uuid::Uuid;

use super::consumer::committed;
use super::{Consumer, Copy, Kind, Store, broker, for_every_consumer, names};
use crate::bridge::{APP, TOKEN};
use crate::broker::Broker;
use crate::scene;
use crate::sender::Sender;
use crate::wait::{DEADLINE, ends, until_drained, until_settled, until_true};

/// Values of records that the bridge never writes and that no consumer can use.
const JUNK: [Option<&str>; 6] = [
    None,
    Some("no JSON"),
    Some("[1]"),
    Some(r##"{"schema_version":1,"official_account":"#TOA#_1"}"##),
    Some(
        r##"{"schema_version":1,"sdk_app_id":1,"official_account":"#TOA#_1","msg_key":7,"event_id":"x","recalled_at":null,"received_at":"x"}"##,
    ),
    Some(
        r##"{"schema_version":2,"sdk_app_id":1400000001,"official_account":"#TOA#_1","msg_key":"kept","event_id":"ca32d5e7-07c8-5653-9baa-ddf3ff26851e","recalled_at":null,"received_at":"2022-12-09T08:26:54.180Z"}"##,
    ),
];

fn only_recalled_messages_are_purged(kind: Kind) {
    let topic = format!("purged-{kind:?}");
    let broker = broker();
    let mut bridge = scene::setup(broker, &topic).start();
    let store = Store::for_consumer(kind);
    let odd = ["71_1_1698741698", "no shape", "it's \"q\" \\ %s {}", "line\nbreak", ":", "键😀", "a\u{1}b"];
    let accounts = ["#TOA#_1", "@TOA#_账号", "a:b' "];
    let of = |key: &'static str| accounts.iter().map(move |account| Copy::new(account, key));
    let recalled: Vec<Copy> = odd.iter().flat_map(|key| of(key)).collect();
    let last: Vec<Copy> = of("last").collect();
    let kept: Vec<Copy> = of("kept").chain(of("aborted")).collect();
    for copies in [&recalled, &last, &kept] {
        store.keep(copies);
    }
    junk(broker, &topic);
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for account in accounts {
        sender.acknowledged(account, &odd);
    }
    until_drained(&bridge);
    again_as_from_another_node(broker, &topic, &recalled);
    aborted(broker, &topic, &kept[accounts.len()..]);

    let consumer = Consumer::start(kind, broker, &topic, &store);
    for account in accounts {
        sender.acknowledged(account, &["last"]);
    }
    // This is the last recall of each account. After it, the consumer has finished all earlier ones.
    until_true("the last is purged", || store.shown().is_disjoint(&names(&last)));
    consumer.wait_for_log("SKIPPED", JUNK.len());
    scene::stop(&mut bridge);
    assert_eq!(store.shown(), names(&kept));
    assert_eq!(consumer.logged("SKIPPED"), JUNK.len(), "{}", consumer.process.tail());
    if let Store::Postgres(archive) = &store {
        let when = archive.query("SELECT DISTINCT recalled_at AT TIME ZONE 'UTC' FROM messages WHERE msg_key <> 'kept' AND msg_key <> 'aborted'");
        assert_eq!(when, "2022-12-09 08:26:54.123", "the first recall of a message decides");
    }
    consumer.stop();
}

fn send(producer: &BaseProducer, topic: &str, copies: &[Copy]) {
    for Copy { account, msg_key } in copies {
        let id =
            Uuid::new_v5(&crate::end_to_end::EVENTS.parse().unwrap(), format!("{APP}/{account}/{msg_key}").as_bytes());
        let value = json!({
            "schema_version": 1, "event_id": id, "sdk_app_id": APP, "official_account": account, "msg_key": msg_key,
            "message_sent_at": null, "recalled_at": "2023-01-01T00:00:00.000Z",
            "received_at": "2023-01-01T00:00:00.000Z", "opt_platform": null, "client_ip": null, "of_tomorrow": [1],
        })
        .to_string();
        producer.send(BaseRecord::to(topic).key(account).payload(&value)).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(DEADLINE).unwrap();
}

/// Writes the records of `JUNK` to one partition.
fn junk(broker: &Broker, topic: &str) {
    let producer: BaseProducer = broker.client().create().unwrap();
    for value in JUNK {
        let record = BaseRecord::<str, str>::to(topic).key("#TOA#_1").partition(0);
        let record = if let Some(value) = value { record.payload(value) } else { record };
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(DEADLINE).unwrap();
}

/// Writes the same recalls again, as another node does when the sender repeats the webhooks to it.
fn again_as_from_another_node(broker: &Broker, topic: &str, copies: &[Copy]) {
    send(&broker.client().set("partitioner", "murmur2_random").create().unwrap(), topic, copies);
}

/// Writes records in a transaction, and aborts it.
pub(super) fn aborted(broker: &Broker, topic: &str, copies: &[Copy]) {
    let mut client = broker.client();
    client.set("partitioner", "murmur2_random").set("transactional.id", topic);
    let producer: BaseProducer = client.create().unwrap();
    producer.init_transactions(DEADLINE).unwrap();
    producer.begin_transaction().unwrap();
    send(&producer, topic, copies);
    producer.abort_transaction(DEADLINE).unwrap();
    until_settled(&broker.client(), topic);
}

/// Variables of Kubernetes, for a Service called kafka, and of Kafka's own scripts.
const FOREIGN: &[(&str, &str)] = &[
    ("KAFKA_PORT", "tcp://10.0.0.1:9092"),
    ("KAFKA_PORT_9092_TCP", "tcp://10.0.0.1:9092"),
    ("KAFKA_PORT_9092_TCP_ADDR", "10.0.0.1"),
    ("KAFKA_SERVICE_HOST", "10.0.0.1"),
    ("KAFKA_SERVICE_PORT", "9092"),
    ("KAFKA_SERVICE_PORT_CLIENTS", "9092"),
    ("KAFKA_HOME", "/opt/kafka"),
    ("KAFKA_OPTS", "-Dx=y"),
    ("KAFKA_HEAP_OPTS", "-Xmx1G"),
    ("KAFKA_JMX_PORT", "9999"),
    ("KAFKA_CLUSTER_ID", "x"),
    ("KAFKA_DEBUG", "y"),
];

fn foreign_variables_are_ignored_and_a_complete_reader_has_no_lag(kind: Kind) {
    let topic = format!("no-lag-{kind:?}");
    let broker = broker();
    let mut bridge = scene::setup(broker, &topic).start();
    let store = Store::for_consumer(kind);
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    // Control characters that a terminal interprets, and invisible characters.
    let evil = ["a\u{1b}[2J", "b\u{9b}\u{202e}\u{200b}"];
    sender.acknowledged("#TOA#_1", &evil);
    until_drained(&bridge);
    aborted(broker, &topic, &[Copy::new("#TOA#_2", "aborted")]);
    let consumer = Consumer::start_with(kind, broker, &topic, &store, FOREIGN);
    let has_no_lag = || {
        let committed = committed(broker, &topic);
        ends(&broker.client(), &topic).iter().all(|(at, end)| *end == 0 || committed.get(at) == Some(end))
    };
    until_true("the lag is 0, behind an aborted transaction too", has_no_lag);
    sender.acknowledged("#TOA#_1", &["71_1_1698741698"]);
    until_drained(&bridge);
    until_true("the lag is 0 again", has_no_lag);
    scene::stop(&mut bridge);
    let printed = consumer.stop();
    assert!(printed.iter().any(|line| line.contains("71_1_1698741698")), "{printed:?}");
    assert!(!printed.iter().any(|line| line.chars().any(recall_bridge::escape::is_unsafe)), "{printed:?}");
}

for_every_consumer! {
    only_recalled_messages_are_purged
    foreign_variables_are_ignored_and_a_complete_reader_has_no_lag
}
