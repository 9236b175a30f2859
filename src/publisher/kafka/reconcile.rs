//! Reconciles with the topic: collects the sequence numbers of this spool that the topic holds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use uuid::Uuid;

use super::context::Context;
use super::errors::StepError;
use super::producer::explained;
use super::slowness::Slowness;
use crate::publisher::machine::Range;
use crate::publisher::recovered::{RecoveredSet, content_hash};
use crate::record::{BRIDGE_SEQ, BRIDGE_SPOOL};

const DOING: &str = "reconciling with the topic";
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest wait for transactions of other producers. Those of other nodes time out within 15 s, others within
/// the broker's `transaction.max.timeout.ms` (15 min by default). After this time, the attempt starts again.
const STABLE_TIMEOUT: Duration = Duration::from_secs(120);
const STABLE_POLL: Duration = Duration::from_millis(25);
/// The longest time without a record or the end of a partition.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);
/// The largest response, and its largest part of one partition.
const FETCH_BYTES: &str = "1000000";
const FETCH_PARTITION_BYTES: &str = "131072";
/// The client requires more than for a response; a single batch of a broker may be larger.
const RECEIVE_BYTES: &str = "1000000000";
/// The client asks for no more of a partition while this much of it waits, unpacked.
const QUEUE_KBYTES: &str = "4096";

/// Reads `ranges` in `read_committed` and returns the recovered set. The ends of the ranges are high watermarks
/// taken after the fence. `stop` is called between steps.
///
/// A range ends with a record at its end, or with the end of the partition, because markers and aborted records
/// are not delivered. A partition with a new leader may show an earlier end for a moment (KIP-207). So an end is
/// accepted only if a second reading from there, after another query of the stable offset, finds it too.
pub(in crate::publisher) fn reconcile(
    config: &ClientConfig,
    topic: &str,
    ranges: &[Range],
    mut found: RecoveredSet,
    slowness: Slowness,
    stop: impl Fn() -> bool,
) -> Result<RecoveredSet, StepError> {
    let mut ranges = ranges.to_vec();
    for _ in 0..2 {
        // A new client for each pass: librdkafka 2.12 aborts the process when a client is closed while it stops
        // fetching a partition that it was assigned a second time (its issue 5573).
        let consumer = connect(config, slowness)?;
        wait_until_stable(&consumer, topic, &ranges, &stop)?;
        ranges = read(&consumer, topic, &ranges, &mut found, slowness.times(PROGRESS_TIMEOUT), &stop)?;
        if ranges.is_empty() {
            break;
        }
    }
    Ok(found)
}

fn connect(config: &ClientConfig, slowness: Slowness) -> Result<BaseConsumer<Context>, StepError> {
    let mut config = config.clone();
    // Small responses bound the memory: the client unpacks all of one at once, to ten times its size. On a slow connection,
    // many small responses arrive in time where one large response does not. A broker sends a whole batch, even if that is
    // larger.
    config.set("fetch.max.bytes", FETCH_BYTES).set("fetch.message.max.bytes", FETCH_PARTITION_BYTES);
    config.set("message.max.bytes", FETCH_BYTES).set("receive.message.max.bytes", RECEIVE_BYTES);
    if slowness.is_slow() {
        config.set("fetch.message.max.bytes", "65536").set("socket.timeout.ms", "240000");
    }
    config
        .set("isolation.level", "read_committed")
        // librdkafka requires a group id to assign partitions; the client joins no group and commits nothing.
        .set("group.id", "recall-bridge")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "true")
        // An empty response reports the end of a partition: the broker must not delay it.
        .set("fetch.wait.max.ms", "10")
        .set("queued.max.messages.kbytes", QUEUE_KBYTES)
        // The default is 1 s.
        .set("fetch.queue.backoff.ms", "2")
        .create_with_context(Context::default())
        .map_err(|error| StepError::new(DOING, &error))
}

/// Reads every range once. Returns the rest of each range that ended at the end of its partition.
fn read(
    consumer: &BaseConsumer<Context>,
    topic: &str,
    ranges: &[Range],
    found: &mut RecoveredSet,
    patience: Duration,
    stop: &impl Fn() -> bool,
) -> Result<Vec<Range>, StepError> {
    let fault = |error: &KafkaError| explained(DOING, error, consumer.context());
    let mut list = TopicPartitionList::with_capacity(ranges.len());
    for range in ranges {
        list.add_partition_offset(topic, range.partition, Offset::Offset(range.from)).map_err(|error| fault(&error))?;
    }
    consumer.assign(&list).map_err(|error| fault(&error))?;

    let mut open: BTreeMap<i32, Range> = ranges.iter().map(|range| (range.partition, *range)).collect();
    let mut left = Vec::new();
    let mut progress = Instant::now();
    while !open.is_empty() {
        if stop() {
            return Err(stopped());
        }
        match consumer.poll(POLL) {
            None if progress.elapsed() > patience => {
                let text = format!("no record arrived for {} s", patience.as_secs());
                return Err(StepError::timeout(DOING, text));
            }
            None => continue,
            Some(Ok(message)) => {
                if let Some((spool, seq)) = name_of(&message) {
                    let (key, value) = (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
                    found.note(spool, seq, content_hash(key, value));
                }
                if let Some(range) = open.get_mut(&message.partition()) {
                    range.from = message.offset() + 1;
                    if range.from >= range.to {
                        open.remove(&message.partition());
                    }
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => left.extend(open.remove(&partition)),
            // librdkafka asks for a group coordinator, although the client joins no group.
            Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {
                continue;
            }
            Some(Err(error)) => return Err(fault(&error)),
        }
        progress = Instant::now();
    }
    Ok(left)
}

/// Waits until the last stable offset has passed every range. Until then, an open transaction of another producer
/// hides records from a `read_committed` reader.
fn wait_until_stable(
    consumer: &BaseConsumer<Context>,
    topic: &str,
    ranges: &[Range],
    stop: &impl Fn() -> bool,
) -> Result<(), StepError> {
    let until = Instant::now() + STABLE_TIMEOUT;
    for range in ranges {
        loop {
            // In `read_committed`, the upper end is the last stable offset.
            let (_, stable) = consumer
                .fetch_watermarks(topic, range.partition, TIMEOUT)
                .map_err(|error| explained(DOING, &error, consumer.context()))?;
            if stable >= range.to {
                break;
            }
            if stop() {
                return Err(stopped());
            }
            if Instant::now() >= until {
                let text = format!("an open transaction holds back partition {} at offset {stable}", range.partition);
                return Err(StepError::timeout(DOING, text));
            }
            std::thread::sleep(STABLE_POLL);
        }
    }
    Ok(())
}

fn stopped() -> StepError {
    StepError { kind: "other", doing: DOING, text: "the bridge is stopping".to_owned() }
}

/// Returns `bridge_spool` and `bridge_seq` of a record, if it has both.
fn name_of(message: &rdkafka::message::BorrowedMessage<'_>) -> Option<(Uuid, u64)> {
    let headers = message.headers()?;
    let (mut spool, mut seq) = (None, None);
    for header in headers.iter() {
        let value = || std::str::from_utf8(header.value?).ok();
        match header.key {
            BRIDGE_SPOOL => spool = value().and_then(|text| Uuid::try_parse(text).ok()),
            BRIDGE_SEQ => seq = value().and_then(|text| text.parse().ok()),
            _ => {}
        }
    }
    Some((spool?, seq?))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use rdkafka::mocking::MockCluster;

    use super::*;

    /// librdkafka aborts the process if partitions are unassigned twice at the same time.
    #[test]
    fn a_cancelled_reconciliation_does_not_abort_the_process() {
        let kafka = MockCluster::new(1).expect("a mock cluster");
        kafka.create_topic("recalls", 6, 1).expect("a topic");
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", kafka.bootstrap_servers());
        // Empty ranges: the end of each partition ends the first pass, and a second one follows.
        let ranges: Vec<Range> = (0..6).map(|partition| Range { partition, from: 0, to: 0 }).collect();
        let mut given_up = 0;
        for steps in (0..20).cycle().take(100) {
            let asked = Cell::new(0);
            let stop = || asked.replace(asked.get() + 1) >= steps;
            given_up += u32::from(
                reconcile(&config, "recalls", &ranges, RecoveredSet::default(), Slowness::default(), stop).is_err(),
            );
        }
        assert!((50..100).contains(&given_up), "{given_up} of 100 were given up");
    }
}
