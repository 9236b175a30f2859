//! Consumers in `read_committed`: one reads during the run, one reads the whole topic at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::seen::Seen;
use crate::sighting::sighting;

const POLL: Duration = Duration::from_millis(100);
/// If no record arrives within this time, the consumer stops waiting for the end of the topic.
const PATIENCE: Duration = Duration::from_secs(60);

/// A consumer that reads during the run.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    thread: JoinHandle<Seen>,
}

#[derive(Default)]
struct Shared {
    records: AtomicU64,
    stop: AtomicBool,
    /// How many times a broker did not know the offset.
    resets: AtomicU64,
}

impl Reader {
    pub(crate) fn start(client: &ClientConfig, topic: &str, partitions: i32, accounts: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let consumer: BaseConsumer = config(client).create().expect("a consumer");
        let mut next: BTreeMap<i32, i64> = (0..partitions).map(|partition| (partition, 0)).collect();
        let (progress, topic) = (Arc::clone(&shared), topic.to_owned());
        let thread = thread::spawn(move || {
            let mut seen = Seen::new(accounts);
            assign(&consumer, &topic, &next);
            while !progress.stop.load(Ordering::Relaxed) {
                match consumer.poll(POLL) {
                    Some(Ok(message)) => {
                        let expected = next.get_mut(&message.partition()).expect("one of the partitions");
                        // After a reset, the consumer reads some records again.
                        if message.offset() >= *expected {
                            *expected = message.offset() + 1;
                            seen.note(sighting(&message));
                            progress.records.store(seen.records, Ordering::Relaxed);
                        }
                    }
                    // A new leader may not have every record yet: continue from the next offset of this consumer.
                    Some(Err(error)) if is_reset(&error) => {
                        progress.resets.fetch_add(1, Ordering::Relaxed);
                        thread::sleep(POLL);
                        assign(&consumer, &topic, &next);
                    }
                    _ => {}
                }
            }
            seen
        });
        Self { shared, thread }
    }

    pub(crate) fn records(&self) -> u64 {
        self.shared.records.load(Ordering::Relaxed)
    }

    pub(crate) fn resets(&self) -> u64 {
        self.shared.resets.load(Ordering::Relaxed)
    }

    /// Reads until it has `records` records, or until a timeout. Then it ends the consumer.
    pub(crate) fn finish(self, records: u64) -> Seen {
        let until = Instant::now() + PATIENCE;
        while self.records() < records && Instant::now() < until {
            thread::sleep(POLL);
        }
        self.shared.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the reader ends")
    }
}

/// Reads a whole topic that has no open transaction.
pub(crate) fn read_all(client: &ClientConfig, topic: &str, partitions: i32, accounts: usize) -> Result<Seen, String> {
    let mut seen = Seen::new(accounts);
    walk(client, topic, partitions, |message| seen.note(sighting(message)))?;
    Ok(seen)
}

/// Writes every record as a line of evidence.
pub(crate) fn dump(
    client: &ClientConfig,
    topic: &str,
    partitions: i32,
    to: &mut impl std::io::Write,
) -> Result<(), String> {
    writeln!(to, "partition offset account recall spool seq timestamp").map_err(|error| error.to_string())?;
    let mut written = Ok(());
    walk(client, topic, partitions, |message| {
        let at = message.timestamp().to_millis().unwrap_or(-1);
        let line = match sighting(message) {
            Ok(seen) => writeln!(
                to,
                "{} {} {} {} {} {} {at}",
                seen.partition, seen.offset, seen.account, seen.recall, seen.spool, seen.seq
            ),
            Err(why) => writeln!(to, "{why}"),
        };
        if let Err(error) = line {
            written = Err(error.to_string());
        }
    })?;
    written
}

fn walk(
    client: &ClientConfig,
    topic: &str,
    partitions: i32,
    mut each: impl FnMut(&rdkafka::message::BorrowedMessage<'_>),
) -> Result<(), String> {
    let consumer: BaseConsumer = config(client).create().map_err(|error| error.to_string())?;
    assign(&consumer, topic, &(0..partitions).map(|partition| (partition, 0)).collect());
    let mut ended = BTreeSet::new();
    let mut moved = Instant::now();
    while ended.len() < usize::try_from(partitions).expect("some partitions") {
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                moved = Instant::now();
                each(&message);
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                ended.insert(partition);
            }
            Some(Err(error)) if is_reset(&error) => return Err(format!("the topic cannot be read: {error}")),
            _ if moved.elapsed() > PATIENCE => return Err("the end of the topic is not reached".to_owned()),
            _ => {}
        }
    }
    Ok(())
}

fn is_reset(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::LogTruncation)
    )
}

fn config(client: &ClientConfig) -> ClientConfig {
    let mut config = client.clone();
    config
        .set("group.id", "unused")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "100")
        .set("log_level", "0");
    config
}

fn assign(consumer: &BaseConsumer, topic: &str, next: &BTreeMap<i32, i64>) {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in next {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).expect("a valid offset");
    }
    consumer.assign(&list).expect("partitions are assigned");
}
