//! A consumer in this process, as a user would configure it: `read_committed`, and librdkafka's other defaults.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::kafka::Kafka;

const METADATA: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);
/// After [`Reader::stop`], this many polls without a record are the end of the topic.
const QUIET_POLLS: u32 = 5;

/// A consumer in its own thread, from the present end of the topic on. Each record goes into a state `S`.
pub(crate) struct Reader<S> {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<S>,
}

impl<S: Send + 'static> Reader<S> {
    pub(crate) fn start(broker: &Kafka, topic: &str, state: S, take: fn(&mut S, &BorrowedMessage<'_>)) -> Self {
        let consumer = consumer(broker, topic);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        Self { stop, thread: std::thread::spawn(move || read(&consumer, &stopped, state, take)) }
    }

    /// Reads to the end of the topic, and returns the state.
    pub(crate) fn stop(self) -> S {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the consumer")
    }
}

fn consumer(broker: &Kafka, topic: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    if broker.is_mock() {
        config.set("fetch.wait.max.ms", "10");
    }
    config.set("bootstrap.servers", &broker.address).set("group.id", "bench").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.set("isolation.level", "read_committed").create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    let metadata = consumer.fetch_metadata(Some(topic), METADATA).expect("metadata");
    for partition in metadata.topics()[0].partitions() {
        let end = consumer.fetch_watermarks(topic, partition.id(), METADATA).expect("the end").1;
        list.add_partition_offset(topic, partition.id(), Offset::Offset(end)).expect("a partition");
    }
    consumer.assign(&list).expect("assigned");
    consumer
}

fn read<S>(consumer: &BaseConsumer, stop: &AtomicBool, mut state: S, take: fn(&mut S, &BorrowedMessage<'_>)) -> S {
    let mut quiet = 0;
    while quiet < QUIET_POLLS {
        match consumer.poll(POLL) {
            Some(message) => {
                take(&mut state, &message.expect("a record"));
                quiet = 0;
            }
            None if stop.load(Ordering::Relaxed) => quiet += 1,
            None => {}
        }
    }
    state
}

/// Returns the time of receipt of a record. Its resolution is 1 ms.
pub(crate) fn received_at(message: &BorrowedMessage<'_>) -> Timestamp {
    const FIELD: &str = "\"received_at\":\"";
    let text = std::str::from_utf8(message.payload().expect("a value")).expect("UTF-8");
    let from = text.find(FIELD).expect("received_at") + FIELD.len();
    let len = text[from..].find('"').expect("its end");
    text[from..from + len].parse().expect("a time")
}

/// Returns the time from receipt until now, in microseconds.
pub(crate) fn lag_us(message: &BorrowedMessage<'_>) -> u64 {
    u64::try_from(Timestamp::now().duration_since(received_at(message)).as_micros()).unwrap_or(0)
}

/// Returns a histogram for times in microseconds.
pub(crate) fn histogram() -> hdrhistogram::Histogram<u64> {
    hdrhistogram::Histogram::new_with_bounds(1, 600_000_000, 3).expect("bounds")
}
