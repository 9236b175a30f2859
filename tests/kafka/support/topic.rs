//! The topic as a consumer with `isolation.level=read_committed` sees it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _, Timestamp};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{Value, json};

use super::{DEADLINE, until, until_true};

const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp: Timestamp,
    pub(crate) key: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
    pub(crate) value: Value,
}

impl Record {
    pub(crate) fn msg_key(&self) -> &str {
        self.value["msg_key"].as_str().expect("a msg_key")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let header = self.headers.iter().find(|(key, _)| key == name);
        header.map_or_else(|| panic!("no header {name}"), |(_, value)| value.as_str())
    }

    /// As `recall_bridge::verify` takes it.
    pub(crate) fn to_json(&self) -> Value {
        let headers: BTreeMap<_, _> = self.headers.iter().cloned().collect();
        json!({
            "partition": self.partition, "offset": self.offset, "key": self.key,
            "headers": headers, "value": self.value,
        })
    }

    fn new(message: &BorrowedMessage<'_>) -> Self {
        let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.expect("bytes").to_vec()).expect("UTF-8");
        let value = text(message.payload());
        Self {
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp(),
            key: text(message.key()),
            headers: message
                .headers()
                .into_iter()
                .flat_map(rdkafka::message::Headers::iter)
                .map(|header| (header.key.to_owned(), text(header.value)))
                .collect(),
            value: serde_json::from_str(&value).expect("a JSON value"),
            text: value,
        }
    }
}

/// Everything that is in the topic, partition after partition in order of their offsets. Waits
/// until no transaction is open in it.
#[track_caller]
pub(crate) fn read_committed(client: &ClientConfig, topic: &str) -> Vec<Record> {
    let consumer: BaseConsumer = client
        .clone()
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "20")
        .set("isolation.level", "read_committed")
        .create()
        .expect("rdkafka creates a consumer");
    let written: BaseConsumer =
        client.clone().set("isolation.level", "read_uncommitted").create().expect("rdkafka creates a consumer");
    let mut open = TopicPartitionList::new();
    for partition in partitions(&written, topic) {
        until_true("no transaction is open in the topic", || {
            let stable = consumer.fetch_watermarks(topic, partition, TIMEOUT);
            let high = written.fetch_watermarks(topic, partition, TIMEOUT);
            matches!((stable, high), (Ok((_, stable)), Ok((_, high))) if stable == high)
        });
        open.add_partition_offset(topic, partition, Offset::Beginning).expect("a partition");
    }
    consumer.assign(&open).expect("an assignment");

    let mut records = Vec::new();
    let mut left = open.count();
    let deadline = Instant::now() + DEADLINE;
    while left > 0 {
        assert!(Instant::now() < deadline, "the topic was not read within {DEADLINE:?}");
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Ok(message)) => records.push(Record::new(&message)),
            Some(Err(KafkaError::PartitionEOF(_))) => left -= 1,
            Some(Err(error)) => panic!("reading the topic: {error}"),
        }
    }
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}

/// The next offset of every partition, uncommitted records counted.
pub(crate) fn ends(client: &ClientConfig, topic: &str) -> BTreeMap<i32, i64> {
    let consumer: BaseConsumer =
        client.clone().set("isolation.level", "read_uncommitted").create().expect("rdkafka creates a consumer");
    let end = |partition| until("the end of a partition", || consumer.fetch_watermarks(topic, partition, TIMEOUT).ok());
    partitions(&consumer, topic).into_iter().map(|partition| (partition, end(partition).1)).collect()
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> Vec<i32> {
    let metadata = until("the topic's metadata", || consumer.fetch_metadata(Some(topic), TIMEOUT).ok());
    metadata.topics()[0].partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect()
}
