//! Reads a topic as a consumer, and verifies its records.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use recall_bridge::verify::{SequenceReport, Verifier};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// One record.
#[derive(Debug, Clone)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: String,
    pub headers: BTreeMap<String, String>,
    pub value: Value,
}

impl Record {
    /// `msg_key` of the value.
    pub fn msg_key(&self) -> &str {
        self.value["msg_key"].as_str().expect("msg_key is a string")
    }

    /// Returns whether it is a direct publish, which has no sequence number.
    pub fn is_unspooled(&self) -> bool {
        self.headers.contains_key("bridge_unspooled")
    }

    /// `bridge_spool`.
    pub fn spool(&self) -> &str {
        &self.headers["bridge_spool"]
    }

    /// `bridge_seq`.
    pub fn seq(&self) -> u64 {
        self.headers["bridge_seq"].parse().expect("bridge_seq is a number")
    }
}

/// A topic of a broker.
#[derive(Debug, Clone)]
pub struct Topic {
    config: ClientConfig,
    name: String,
}

impl Topic {
    /// Reads with these client settings. Only `bootstrap.servers` is required.
    pub fn new(config: &ClientConfig, name: &str) -> Self {
        let mut config = config.clone();
        config
            .set("group.id", "unused")
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "10")
            .set("log_level", "0");
        Self { config, name: name.to_owned() }
    }

    /// Returns all current records.
    #[track_caller]
    pub fn read(&self) -> Vec<Record> {
        let (consumer, partitions) = self.open();
        let mut ended = std::collections::BTreeSet::new();
        let mut records = Vec::new();
        let until = Instant::now() + DEADLINE;
        while ended.len() < partitions {
            assert!(Instant::now() < until, "the end of {} was not reached", self.name);
            match consumer.poll(POLL) {
                Some(Ok(message)) => records.push(record(&message)),
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    ended.insert(partition);
                }
                _ => {}
            }
        }
        records
    }

    /// Reads from the beginning until the condition is true.
    #[track_caller]
    pub fn read_until(&self, what: &str, enough: impl Fn(&[Record]) -> bool) -> Vec<Record> {
        let (consumer, _) = self.open();
        let mut records = Vec::new();
        let until = Instant::now() + DEADLINE;
        while !enough(&records) {
            assert!(Instant::now() < until, "in vain read for {what}; {} records came", records.len());
            if let Some(Ok(message)) = consumer.poll(POLL) {
                records.push(record(&message));
            }
        }
        records
    }

    /// Reads until the topic has this number of records.
    #[track_caller]
    pub fn read_count(&self, count: usize) -> Vec<Record> {
        self.read_until(&format!("{count} records"), |records| records.len() >= count)
    }

    #[track_caller]
    fn open(&self) -> (BaseConsumer, usize) {
        let consumer: BaseConsumer = self.config.create().unwrap();
        let metadata = consumer.fetch_metadata(Some(&self.name), DEADLINE).expect("the broker answers");
        let partitions = metadata.topics()[0].partitions();
        assert!(!partitions.is_empty(), "there is no topic {}", self.name);
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition_offset(&self.name, partition.id(), Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        (consumer, partitions.len())
    }
}

/// Returns the result of the consumer's verification of these records.
pub fn report(records: &[Record]) -> SequenceReport {
    let mut verifier = Verifier::default();
    for record in records {
        verifier.note(&json!({
            "partition": record.partition,
            "offset": record.offset,
            "key": record.key,
            "headers": record.headers,
            "value": record.value,
        }));
    }
    verifier.finish()
}

/// Panics unless the records have no gap and no duplicate, are in order per account, and begin with 1 for each spool.
#[track_caller]
pub fn prove(records: &[Record]) {
    let report = report(records);
    assert!(report.is_clean(), "{report}");
    let mut first = BTreeMap::new();
    for record in records.iter().filter(|record| !record.is_unspooled()) {
        let seq = first.entry(record.spool()).or_insert(u64::MAX);
        *seq = record.seq().min(*seq);
    }
    assert!(first.values().all(|seq| *seq == 1), "a spool's numbers do not begin with 1: {first:?}");
}

fn record(message: &rdkafka::message::BorrowedMessage<'_>) -> Record {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    let mut named = BTreeMap::new();
    for header in headers {
        let before = named.insert(header.key.to_owned(), text(header.value.unwrap_or_default()));
        assert!(before.is_none(), "header {} came twice", header.key);
    }
    Record {
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().expect("a timestamp"),
        key: text(message.key().expect("a key")),
        headers: named,
        value: serde_json::from_slice(message.payload().expect("a value")).expect("the value is JSON"),
    }
}
