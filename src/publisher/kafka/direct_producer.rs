//! The producer of direct publishing: idempotent, without transactions.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::context::Context;
use super::errors::{StepError, kind};
use crate::record::{BRIDGE_UNSPOOLED, Record};

const DOING: &str = "publishing directly";

/// Collects the delivery reports of each webhook by its number.
#[derive(Debug, Default)]
struct DirectContext {
    context: Context,
    reports: Mutex<Vec<(usize, Result<(), KafkaError>)>>,
}

impl ClientContext for DirectContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ProducerContext for DirectContext {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let result = result.as_ref().map(|_| ()).map_err(|(error, _)| error.clone());
        self.reports.lock().push((number, result));
    }
}

/// A webhook with outstanding delivery reports.
struct Pending {
    webhook: DirectWebhook,
    reports_left: usize,
}

/// The records of one webhook.
#[derive(Debug)]
pub(in crate::publisher) struct DirectWebhook {
    /// Encoded records.
    pub(in crate::publisher) records: Vec<Vec<u8>>,
    pub(in crate::publisher) reply: oneshot::Sender<Result<(), StepError>>,
    /// Its share of the bytes that may wait.
    pub(in crate::publisher) _space: OwnedSemaphorePermit,
}

pub(in crate::publisher) struct DirectProducer {
    client: BaseProducer<DirectContext>,
    topic: String,
    pending: HashMap<usize, Pending>,
    next: usize,
}

impl DirectProducer {
    /// Creates a producer. It connects in the background.
    pub(in crate::publisher) fn connect(
        config: &ClientConfig,
        topic: &str,
        timeout: Duration,
    ) -> Result<Self, StepError> {
        let client = config
            .clone()
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            // The webhook waits for its records.
            .set("linger.ms", "0")
            .set("message.timeout.ms", timeout.as_millis().to_string())
            .create_with_context(DirectContext::default())
            .map_err(|error| StepError::new(DOING, &error))?;
        Ok(Self { client, topic: topic.to_owned(), pending: HashMap::new(), next: 0 })
    }

    /// Passes the records of a webhook to librdkafka. The webhook gets its result when all of them are reported.
    pub(in crate::publisher) fn send(&mut self, webhook: DirectWebhook) {
        if webhook.reply.is_closed() {
            return;
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        for record in &webhook.records {
            if let Err(error) = self.send_record(record, number) {
                let _ = webhook.reply.send(Err(error));
                return;
            }
        }
        let reports_left = webhook.records.len();
        self.pending.insert(number, Pending { webhook, reports_left });
    }

    fn send_record(&self, encoded: &[u8], number: usize) -> Result<(), StepError> {
        let other = |text: String| StepError { kind: "other", doing: DOING, text };
        let record = Record::decode(encoded).map_err(|error| other(error.to_string()))?;
        let mut headers = OwnedHeaders::new_with_capacity(9);
        for (key, value) in record.headers().chain([(BRIDGE_UNSPOOLED, b"1".as_slice())]) {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let message = BaseRecord::with_opaque_to(&self.topic, number)
            .key(record.key)
            .payload(record.value)
            .timestamp(record.timestamp_ms)
            .headers(headers);
        self.client.send(message).map_err(|(error, _)| StepError::new(DOING, &error))
    }

    /// Sends the results of completed webhooks. Returns whether reports are outstanding.
    pub(in crate::publisher) fn serve_reports(&mut self) -> bool {
        loop {
            self.client.poll(Duration::ZERO);
            let context = self.client.context();
            let reports = std::mem::take(&mut *context.reports.lock());
            if reports.is_empty() {
                return !self.pending.is_empty();
            }
            for (number, result) in reports {
                self.note(number, result);
            }
        }
    }

    fn note(&mut self, number: usize, result: Result<(), KafkaError>) {
        let Some(pending) = self.pending.get_mut(&number) else { return };
        pending.reports_left -= 1;
        if pending.reports_left > 0 && result.is_ok() {
            return;
        }
        if let Some(Pending { webhook, .. }) = self.pending.remove(&number) {
            // One failed record fails the webhook, so it gets its result at once.
            let result =
                result.map_err(|error| super::producer::explained(DOING, &error, &self.client.context().context));
            // The receiver may have timed out.
            let _ = webhook.reply.send(result);
        }
    }

    /// Checks that the topic exists and has a leader for every partition.
    pub(in crate::publisher) fn probe(&self, timeout: Duration) -> Result<(), StepError> {
        const DOING: &str = "checking whether Kafka is reachable";
        let metadata = self.client.client().fetch_metadata(Some(&self.topic), timeout);
        let metadata =
            metadata.map_err(|error| super::producer::explained(DOING, &error, &self.client.context().context))?;
        let error = |code: RDKafkaErrorCode, text: String| StepError { kind: kind(code), doing: DOING, text };
        let Some(topic) = metadata.topics().first().filter(|topic| !topic.partitions().is_empty()) else {
            return Err(error(RDKafkaErrorCode::UnknownTopic, format!("there is no topic {}", self.topic)));
        };
        let errors = topic.partitions().iter().map(rdkafka::metadata::MetadataPartition::error).chain([topic.error()]);
        match errors.flatten().map(RDKafkaErrorCode::from).next() {
            Some(code) => Err(error(code, format!("{}: {code}", self.topic))),
            None => Ok(()),
        }
    }

    /// Returns the fatal error of this producer, if it has one.
    pub(in crate::publisher) fn fatal(&self) -> Option<StepError> {
        let (code, text) = self.client.client().fatal_error()?;
        Some(StepError { kind: kind(code), doing: DOING, text })
    }
}
