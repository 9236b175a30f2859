//! Reads the topic for the commands: as a consumer in `read_committed` that joins no group and commits nothing. `tail`,
//! `find` and `replay` use it.
//!
//! A reading that ends has its ends before it begins: the high watermarks, also of records that are not committed
//! yet. It waits until the last stable offset has passed them, because an open transaction hides the records behind it.

mod filter;
mod shown;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

pub(super) use self::filter::RecordFilter;
pub(super) use self::shown::as_json;
use super::output::note;
use super::quarantine::select::since;
use crate::publisher::events::PartitionOffsets;
use crate::publisher::kafka::errors::StepError;
use crate::publisher::kafka::topic::Topic;

const TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(200);
/// The longest wait for transactions of other producers; those of nodes time out within 15 s.
const STABLE_TIMEOUT: Duration = Duration::from_secs(60);
const STABLE_POLL: Duration = Duration::from_millis(25);
/// The longest time without a record or the end of a partition, for a reading that ends.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(60);

/// Where a reading starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// At the first record that the topic still holds.
    Beginning,
    /// After the last record.
    End,
    /// At the first record with this timestamp or a later one, in UNIX milliseconds.
    At(i64),
}

/// Parses `beginning`, `end`, a time, or a period before now.
pub(super) fn start(text: &str) -> Result<Start, String> {
    match text {
        "beginning" => Ok(Start::Beginning),
        "end" => Ok(Start::End),
        time => since(time).map(Start::At).map_err(|error| format!("{error}; or `beginning` or `end`")),
    }
}

/// A topic, ready to be read.
pub(super) struct TopicReader {
    consumer: BaseConsumer,
    client: Topic,
    topic: String,
    partitions: Vec<PartitionOffsets>,
    start: Start,
}

impl TopicReader {
    /// Connects, and takes the offsets of all partitions.
    ///
    /// # Errors
    /// No broker can be reached, or the topic does not exist.
    pub(super) fn open(client: &ClientConfig, topic: &str, start: Start) -> anyhow::Result<Self> {
        let since_ms = if let Start::At(ms) = start { Some(ms) } else { None };
        let asked = Topic::new(client, topic).and_then(|client| Ok((client.offsets(since_ms)?, client)));
        let (mut partitions, asking) = asked.map_err(|error| explained(topic, &error))?;
        if start == Start::End {
            for partition in &mut partitions {
                partition.start = partition.high;
            }
        }
        let consumer = client
            .clone()
            .set("isolation.level", "read_committed")
            // librdkafka requires a group id to assign partitions.
            .set("group.id", "recall-bridge-tail")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("enable.partition.eof", "true")
            .set("queued.max.messages.kbytes", "16384")
            .create()?;
        Ok(Self { consumer, client: asking, topic: topic.to_owned(), partitions, start })
    }

    /// The number of partitions.
    pub(super) fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// Whether the reading includes the first record that each partition ever had.
    pub(super) fn is_complete(&self) -> bool {
        self.start == Start::Beginning && self.partitions.iter().all(|partition| partition.low == 0)
    }

    /// The number of offsets to read; not every offset has a record.
    pub(super) fn offsets(&self) -> u64 {
        let offsets = |partition: &PartitionOffsets| u64::try_from(partition.high - partition.start).unwrap_or(0);
        self.partitions.iter().map(offsets).sum()
    }

    /// The offset at which the reading of a partition starts. A partition that was added meanwhile is not read.
    pub(super) fn start_of(&self, partition: i32) -> i64 {
        self.partitions.iter().find(|offsets| offsets.partition == partition).map_or(i64::MAX, |offsets| offsets.start)
    }

    /// Passes every record to `each`, until it returns `false` or `stop` is set.
    ///
    /// # Errors
    /// The broker fails, or `each` does. An error that can pass is only reported on stderr.
    pub(super) fn follow(
        &self,
        stop: &AtomicBool,
        each: impl FnMut(&BorrowedMessage<'_>) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        self.read(stop, None, each)
    }

    /// Passes the records below the high watermarks to `each`, until it returns `false` or `stop` is set.
    ///
    /// # Errors
    /// As [`follow`](Self::follow); or a transaction of another producer stays open, or no record arrives for a minute.
    pub(super) fn read_to_end(
        &self,
        stop: &AtomicBool,
        each: impl FnMut(&BorrowedMessage<'_>) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let ends = self.ends(&self.partitions);
        self.wait_until_stable(&ends, stop)?;
        self.read(stop, Some(ends), each)
    }

    /// As [`read_to_end`](Self::read_to_end), and reads on, up to the high watermarks after the wait. `each` also gets whether a record is
    /// at or above the first high watermarks.
    ///
    /// The high watermarks of the partitions are taken one after the other, while nodes publish: the last transaction
    /// may be below some of them and above others. After the wait it is committed, so the second ones include all of it.
    ///
    /// # Errors
    /// As [`read_to_end`](Self::read_to_end).
    pub(super) fn read_past_end(
        &self,
        stop: &AtomicBool,
        mut each: impl FnMut(&BorrowedMessage<'_>, bool) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let ends = self.ends(&self.partitions);
        self.wait_until_stable(&ends, stop)?;
        let now = self.client.offsets(None).map_err(|error| explained(&self.topic, &error))?;
        let past = self.ends(&now);
        self.wait_until_stable(&past, stop)?;
        self.read(stop, Some(past), |message| {
            let is_late = ends.get(&message.partition()).is_none_or(|end| message.offset() >= *end);
            each(message, is_late)
        })
    }

    /// The high watermarks of the partitions with offsets to read.
    fn ends(&self, partitions: &[PartitionOffsets]) -> BTreeMap<i32, i64> {
        let has_offsets = |of: &&PartitionOffsets| self.start_of(of.partition) < of.high;
        partitions.iter().filter(has_offsets).map(|of| (of.partition, of.high)).collect()
    }

    fn read(
        &self,
        stop: &AtomicBool,
        mut ends: Option<BTreeMap<i32, i64>>,
        mut each: impl FnMut(&BorrowedMessage<'_>) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        self.assign()?;
        let mut progress = Instant::now();
        while !stop.load(Relaxed) && ends.as_ref().is_none_or(|ends| !ends.is_empty()) {
            match self.consumer.poll(POLL) {
                None if ends.is_some() && progress.elapsed() > PROGRESS_TIMEOUT => {
                    return Err(anyhow!("no record of {} arrived for {} s", self.topic, PROGRESS_TIMEOUT.as_secs()));
                }
                None => continue,
                Some(Ok(message)) => {
                    if let Some(ends) = &mut ends {
                        let end = ends.get(&message.partition()).copied();
                        if end.is_none_or(|end| message.offset() + 1 >= end) {
                            ends.remove(&message.partition());
                        }
                        if end.is_none_or(|end| message.offset() >= end) {
                            continue;
                        }
                    }
                    if self.is_in_time(&message) && !each(&message)? {
                        return Ok(());
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    ends.as_mut().and_then(|ends| ends.remove(&partition));
                }
                // librdkafka looks for a group coordinator, although this consumer joins no group.
                Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {}
                Some(Err(error)) if error.rdkafka_error_code().is_some_and(is_passing) => {
                    note(format_args!("recall-bridge: {error}"));
                    continue;
                }
                Some(Err(error)) => return Err(error.into()),
            }
            progress = Instant::now();
        }
        Ok(())
    }

    fn assign(&self) -> anyhow::Result<()> {
        let mut list = TopicPartitionList::with_capacity(self.partitions.len());
        for partition in &self.partitions {
            list.add_partition_offset(&self.topic, partition.partition, Offset::Offset(partition.start))?;
        }
        Ok(self.consumer.assign(&list)?)
    }

    /// Whether a record belongs to the reading. Timestamps of a partition need not rise, and a broker that cannot
    /// search by time starts at the beginning.
    fn is_in_time(&self, message: &BorrowedMessage<'_>) -> bool {
        match self.start {
            Start::At(ms) => message.timestamp().to_millis().is_none_or(|timestamp| timestamp >= ms),
            Start::Beginning | Start::End => true,
        }
    }

    fn wait_until_stable(&self, ends: &BTreeMap<i32, i64>, stop: &AtomicBool) -> anyhow::Result<()> {
        let until = Instant::now() + STABLE_TIMEOUT;
        for (&partition, &end) in ends {
            loop {
                // In `read_committed`, the upper end is the last stable offset.
                let (_, stable) = self.consumer.fetch_watermarks(&self.topic, partition, TIMEOUT)?;
                if stable >= end || stop.load(Relaxed) {
                    break;
                }
                if Instant::now() >= until {
                    return Err(anyhow!("an open transaction holds back partition {partition} at offset {stable}"));
                }
                std::thread::sleep(STABLE_POLL);
            }
        }
        Ok(())
    }
}

/// The error of a command whose topic cannot be opened.
fn explained(topic: &str, error: &StepError) -> anyhow::Error {
    match error.kind {
        "unknown_topic" => anyhow!("topic {topic} does not exist; set BRIDGE_TOPIC"),
        "transport" | "timeout" => anyhow!(
            "the brokers of KAFKA_BOOTSTRAP_SERVERS cannot be reached: {}; check the address and the network",
            error.text
        ),
        _ => anyhow!("{}: {}", error.doing, error.text),
    }
}

/// Whether an error can pass: the broker may become reachable again.
fn is_passing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as E;
    matches!(code, E::BrokerTransportFailure | E::AllBrokersDown | E::OperationTimedOut | E::Resolve)
}

/// Returns a value that Ctrl-C sets.
///
/// # Errors
/// The system refuses a new thread.
pub(super) fn on_interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let _ = runtime.block_on(tokio::signal::ctrl_c());
        stopped.store(true, Relaxed);
    })?;
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_word_a_time_or_a_period() {
        assert_eq!(start("beginning"), Ok(Start::Beginning));
        assert_eq!(start("end"), Ok(Start::End));
        assert_eq!(start("1970-01-01T00:00:01.5Z"), Ok(Start::At(1500)));
        assert!(matches!(start("24h"), Ok(Start::At(ms)) if ms > 1_700_000_000_000));
        let error = start("start").unwrap_err();
        assert!(error.contains("24h") && error.contains("`beginning`"), "{error}");
    }
}
