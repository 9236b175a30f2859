//! The topic: its partitions, their offsets, and its creation.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::context::Context;
use super::errors::StepError;
use super::producer::explained;
use crate::publisher::machine::PartitionOffsets;
use crate::spool::NextOffsets;

const TIMEOUT: Duration = Duration::from_secs(10);
const OFFSETS: &str = "listing offsets";

/// How to create a missing topic.
#[derive(Debug, Clone, Copy)]
pub struct Creation {
    /// The number of partitions.
    pub partitions: i32,
    /// The number of replicas of each partition.
    pub replication: i32,
}

/// A client for questions about the topic. Like the high watermark, it includes uncommitted records.
pub struct Topic {
    client: BaseConsumer<Context>,
    name: String,
}

impl Topic {
    /// Creates the client. It connects with the first question.
    ///
    /// # Errors
    /// librdkafka rejects the configuration.
    pub fn new(config: &ClientConfig, name: &str) -> Result<Self, StepError> {
        let client = config
            .clone()
            // `ListOffsets` depends on this setting, also in producers: with `read_committed` it would return the last
            // stable offset instead of the high watermark.
            .set("isolation.level", "read_uncommitted")
            .set("allow.auto.create.topics", "false")
            .create_with_context(Context::default())
            .map_err(|error| StepError::new("connecting to Kafka", &error))?;
        Ok(Self { client, name: name.to_owned() })
    }

    /// Returns the offsets of every partition; `start` is that of the first record not older than `since_ms`.
    ///
    /// # Errors
    /// No broker responds, the topic does not exist, or the request is refused.
    pub fn offsets(&self, since_ms: Option<i64>) -> Result<Vec<PartitionOffsets>, StepError> {
        let offsets = self.partitions()?.into_iter().map(|partition| {
            let (low, high) = self
                .client
                .fetch_watermarks(&self.name, partition, TIMEOUT)
                .map_err(|error| explained(OFFSETS, &error, self.client.context()))?;
            Ok(PartitionOffsets { partition, low, high, start: low })
        });
        let mut offsets = offsets.collect::<Result<Vec<_>, _>>()?;
        // The search follows the query of the ends: records appended meanwhile are after the ends.
        if let Some(since_ms) = since_ms {
            self.find_starts(&mut offsets, since_ms)?;
        }
        Ok(offsets)
    }

    fn find_starts(&self, offsets: &mut [PartitionOffsets], since_ms: i64) -> Result<(), StepError> {
        let since = self.at_time(offsets, since_ms)?;
        // A broker that cannot search by time also reports "no such record". A broker that can search finds the first
        // record of the partition at time 0, if there is one.
        let any = self.at_time(offsets, 0)?;
        for at in offsets {
            at.start = match (since.get(&at.partition), any.get(&at.partition)) {
                (Some(&offset), _) => offset.clamp(at.low, at.high),
                (None, Some(_)) => at.high,
                (None, None) => at.low,
            };
        }
        Ok(())
    }

    /// Returns the offset of the first record of each partition that is not older than `ms`, if there is one.
    fn at_time(&self, offsets: &[PartitionOffsets], ms: i64) -> Result<NextOffsets, StepError> {
        let fault = |error: &KafkaError| explained(OFFSETS, error, self.client.context());
        let mut times = TopicPartitionList::with_capacity(offsets.len());
        for at in offsets {
            times.add_partition_offset(&self.name, at.partition, Offset::Offset(ms)).map_err(|error| fault(&error))?;
        }
        let found = self.client.offsets_for_times(times, TIMEOUT).map_err(|error| fault(&error))?;
        let mut starts = NextOffsets::new();
        for element in found.elements() {
            element.error().map_err(|error| fault(&error))?;
            if let Offset::Offset(offset) = element.offset() {
                starts.insert(element.partition(), offset);
            }
        }
        Ok(starts)
    }

    /// Returns the number of brokers.
    pub(in crate::publisher) fn brokers(&self) -> Result<usize, StepError> {
        let result = self.client.fetch_metadata(None, TIMEOUT);
        super::poll_client_errors(self.client.context(), |time| drop(self.client.poll(time)));
        let metadata = result.map_err(|error| explained("listing the brokers", &error, self.client.context()))?;
        Ok(metadata.brokers().len())
    }

    /// Returns the partitions. A missing topic is an error, and so is a partition without a leader.
    pub(in crate::publisher) fn partitions(&self) -> Result<Vec<i32>, StepError> {
        const DOING: &str = "describing the topic";
        let result = self.client.fetch_metadata(Some(&self.name), TIMEOUT);
        // Collects the errors that explain a timeout.
        super::poll_client_errors(self.client.context(), |time| drop(self.client.poll(time)));
        let metadata = result.map_err(|error| explained(DOING, &error, self.client.context()))?;
        let missing = || StepError {
            kind: "unknown_topic",
            doing: DOING,
            text: format!("topic {} does not exist; create it, or set BRIDGE_TOPIC_CREATE=true", self.name),
        };
        let topic = metadata.topics().first().ok_or_else(missing)?;
        if let Some(code) = topic.error() {
            let code = RDKafkaErrorCode::from(code);
            return Err(match code {
                RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => missing(),
                code => StepError::new(DOING, &KafkaError::MetadataFetch(code)),
            });
        }
        if topic.partitions().is_empty() {
            return Err(missing());
        }
        Ok(topic.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect())
    }
}

/// Creates the topic. If another node has created it meanwhile, this succeeds too.
pub(in crate::publisher) fn create(config: &ClientConfig, name: &str, how: Creation) -> Result<(), StepError> {
    const DOING: &str = "creating the topic";
    let fault = |error: KafkaError| StepError::new(DOING, &error);
    let admin: AdminClient<Context> = config.create_with_context(Context::default()).map_err(fault)?;
    // Append time: a recall published late must not exceed its retention on arrival.
    let topic = NewTopic::new(name, how.partitions, TopicReplication::Fixed(how.replication))
        .set("cleanup.policy", "delete")
        .set("message.timestamp.type", "LogAppendTime");
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| StepError {
        kind: "other",
        doing: DOING,
        text: error.to_string(),
    })?;
    let results = runtime.block_on(admin.create_topics([&topic], &options)).map_err(fault)?;
    match results.into_iter().next() {
        Some(Err((_, code))) if code != RDKafkaErrorCode::TopicAlreadyExists => Err(fault(KafkaError::AdminOp(code))),
        _ => Ok(()),
    }
}
