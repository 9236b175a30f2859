//! Signed webhooks, and the records that a consumer reads: key, value, headers, partition, timestamp.

use std::collections::BTreeSet;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Message as _, Timestamp};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::json;
use uuid::Uuid;

use crate::bridge::{APP, Setup, TOKEN};
use crate::broker::Broker;
use crate::scene;
use crate::sender::{Sender, signed_query, unix_now};
use crate::topic::{Record, prove};
use crate::wait::until;

const PARTITIONS: i32 = 6;
pub(crate) const EVENTS: &str = "155042e4-d14e-51a0-9d89-925f36014ef8";

/// Returns the hash of a key. This is a port of `Utils.murmur2` in Kafka's Java client.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mix = |k: u32| {
        let k = k.wrapping_mul(M);
        (k ^ (k >> 24)).wrapping_mul(M)
    };
    let mut h = 0x9747_b28c_u32 ^ u32::try_from(data.len()).unwrap();
    let words = data.chunks_exact(4);
    let rest = words.remainder();
    for word in words {
        h = h.wrapping_mul(M) ^ mix(u32::from_le_bytes(word.try_into().unwrap()));
    }
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |last, byte| last << 8 | u32::from(*byte));
        h = (h ^ last).wrapping_mul(M);
    }
    h = (h ^ (h >> 13)).wrapping_mul(M);
    h ^ (h >> 15)
}

/// Returns `toPositive(murmur2(key)) % partitions`, the default of the Java producer for records with a key.
fn java_partition(key: &str, partitions: i32) -> i32 {
    i32::try_from(murmur2(key.as_bytes()) & 0x7fff_ffff).unwrap() % partitions
}

#[test]
fn murmur2_gives_the_values_of_kafkas_own_test() {
    // The values are from `UtilsTest.testMurmur2` of Apache Kafka.
    for (text, hash) in [("21", -973_932_308), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536)] {
        assert_eq!(murmur2(text.as_bytes()).cast_signed(), hash, "{text}");
    }
}

#[test]
fn every_recall_arrives_once_with_its_key_value_headers_and_partition() {
    let broker = Broker::shared();
    let setup = scene::setup(broker, "end-to-end");
    let mut bridge = setup.start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    let before = unix_now() * 1000;
    let accounts: Vec<String> = (0..40).map(|n| format!("#TOA#_{n}")).chain(["@TOA#_账号".to_owned()]).collect();
    for account in &accounts {
        // A key that occurs twice in one webhook is one recall.
        sender.acknowledged(account, &["71_1_1698741698", "opaque", "71_1_1698741698"]);
    }
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let body = r##"{"Official_Account":"#TOA#_traced","WithdrawMsgList":[{"MsgKey":"k"}],"More":1}"##;
    let query = signed_query(APP, TOKEN);
    assert!(sender.post_with(&[("traceparent", trace)], &query, body.to_owned()).is_ok());
    scene::stop(&mut bridge);

    let records = scene::read(broker, "end-to-end");
    prove(&records);
    assert_eq!(records.len(), accounts.len() * 2 + 1);
    let seqs: BTreeSet<u64> = records.iter().map(Record::seq).collect();
    assert_eq!(seqs, (1..=records.len() as u64).collect());
    assert!(records.iter().all(|record| record.partition == java_partition(&record.key, PARTITIONS)));
    assert!(records.iter().map(|record| record.partition).collect::<BTreeSet<_>>().len() > 1, "one partition only");
    for account in &accounts {
        let of_account: Vec<&Record> = records.iter().filter(|record| record.key == *account).collect();
        assert_eq!(of_account.iter().map(|record| record.msg_key()).collect::<Vec<_>>(), ["71_1_1698741698", "opaque"]);
        assert_is_recall(of_account[0], account, Some("2023-10-31T08:41:38Z"), before);
        assert_is_recall(of_account[1], account, None, before);
    }
    let traced = records.iter().find(|record| record.key == "#TOA#_traced").unwrap();
    assert_eq!(traced.headers["traceparent"], trace);
    assert!(traced.value["recalled_at"].is_null() && !traced.headers.contains_key("ce_time"));
}

fn assert_is_recall(record: &Record, account: &str, sent_at: Option<&str>, before_ms: i64) {
    let msg_key = record.msg_key();
    let id = Uuid::new_v5(&EVENTS.parse().unwrap(), format!("{APP}/{account}/{msg_key}").as_bytes()).to_string();
    let received_at = record.value["received_at"].as_str().unwrap();
    let received_ms = received_at.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    assert!((before_ms..=before_ms + 60_000).contains(&received_ms), "{received_at}");
    assert!((received_ms..=received_ms + 60_000).contains(&record.timestamp_ms), "appended at {}", record.timestamp_ms);
    assert_eq!(
        record.value,
        json!({
            "schema_version": 1, "event_id": id, "sdk_app_id": APP, "official_account": account, "msg_key": msg_key,
            "message_sent_at": sent_at, "recalled_at": "2022-12-09T08:26:54.123Z", "received_at": received_at,
            "opt_platform": "RESTAPI", "client_ip": "127.0.0.1",
        })
    );
    let (spool, seq) = (record.spool().to_owned(), record.seq().to_string());
    assert!(spool.parse::<Uuid>().is_ok_and(|uuid| uuid.to_string() == spool), "{spool}");
    let headers: Vec<(&str, &str)> =
        record.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        headers,
        [
            ("bridge_seq", seq.as_str()),
            ("bridge_spool", &spool),
            ("ce_id", &id),
            ("ce_source", &format!("/tencent-chat/apps/{APP}")),
            ("ce_specversion", "1.0"),
            ("ce_subject", msg_key),
            ("ce_time", "2022-12-09T08:26:54.123Z"),
            ("ce_type", "tencent.chat.official_account.message_recalled.v1"),
            ("content-type", "application/json"),
        ]
    );
}

/// Returns the timestamps of the first `count` records of partition 0.
fn timestamps(client: &ClientConfig, topic: &str, count: usize) -> Vec<Timestamp> {
    let consumer: BaseConsumer = client.clone().set("group.id", "unused").create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let next = || consumer.poll(std::time::Duration::from_millis(20))?.ok().map(|message| message.timestamp());
    (0..count).map(|_| until("a record", next)).collect()
}

#[test]
fn with_create_time_the_timestamp_is_the_time_of_receipt() {
    let broker = Broker::shared();
    broker.create_topic("create-time", 1, &[]);
    let setup = scene::quick(Setup::new(&broker.bootstrap())).env("BRIDGE_TOPIC", "create-time");
    let mut bridge = setup.start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["a", "b"]);
    scene::stop(&mut bridge);
    let records = scene::read(broker, "create-time");
    let of_producer = timestamps(&broker.client(), "create-time", 2);
    for (record, timestamp) in records.iter().zip(of_producer) {
        let received: jiff::Timestamp = record.value["received_at"].as_str().unwrap().parse().unwrap();
        assert_eq!(timestamp, Timestamp::CreateTime(received.as_millisecond()));
    }
}

#[test]
fn the_timestamp_is_the_brokers_where_the_topic_appends_its_own() {
    let broker = Broker::shared();
    let setup = scene::setup(broker, "append-time");
    let mut bridge = setup.start();
    let account = (0..1000).map(|n| format!("#TOA#_{n}")).find(|key| java_partition(key, PARTITIONS) == 0).unwrap();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged(&account, &["a"]);
    scene::stop(&mut bridge);
    let of_broker = timestamps(&broker.client(), "append-time", 1);
    assert!(matches!(of_broker[0], Timestamp::LogAppendTime(_)), "{of_broker:?}");
}
