//! The producer: it is connected and fenced once, then publishes one transaction after the other.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use uuid::Uuid;

use super::context::{Context, Reports};
use super::errors::{PUBLISHING, StepError, is_refusal};
use super::slowness::Slowness;
use crate::record::{BRIDGE_SEQ, BRIDGE_SPOOL, Record};
use crate::spool::Seq;

/// The minimum timeout of a commit, even if publishing took nearly all of the time.
const COMMIT_TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// While the markers of the last commit are being written, librdkafka gets `CONCURRENT_TRANSACTIONS` and then waits
/// 20 ms. Starting a little later is faster.
const AFTER_COMMIT: Duration = Duration::from_millis(2);
/// The pause between two polls for delivery reports. Flushing would wait in steps of 100 ms, and the client's `poll`
/// spins through the last millisecond of any wait.
const POLL: Duration = Duration::from_micros(500);

/// While librdkafka holds more records, it gets no further chunk of a transaction. It needs some to be busy.
const WAITING_RECORDS: i32 = 2500;

const CONNECTING: &str = "connecting to Kafka";
/// The interval of statistics of a producer without transactions, until it has its id.
const STATISTICS: Duration = Duration::from_millis(100);

/// Why a transaction did not commit.
#[derive(Debug)]
pub(in crate::publisher) enum PublishError {
    /// Kafka rejected a record permanently.
    Rejected(Box<Reports>),
    /// The outcome is unknown.
    UnknownOutcome(StepError),
}

pub(in crate::publisher) struct Producer {
    client: BaseProducer<Context>,
    transactional: bool,
    topic: String,
    timeout: Duration,
    committed_at: Option<Instant>,
}

impl Producer {
    /// Creates a producer. With a `transactional_id`, waits until the open transaction of an earlier producer with that
    /// id has ended and its requests are fenced.
    pub(in crate::publisher) fn connect(
        config: &ClientConfig,
        topic: &str,
        transactional_id: Option<&str>,
        slowness: Slowness,
    ) -> Result<Self, StepError> {
        const DOING: &str = CONNECTING;
        let mut config = config.clone();
        let millis = |time: Duration| time.as_millis().to_string();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .set("message.timeout.ms", millis(slowness.publish_timeout()));
        if let Some(id) = transactional_id {
            config
                .set("transactional.id", id)
                .set("transaction.timeout.ms", millis(slowness.transaction_timeout()))
                // librdkafka requires this timeout to be shorter than that of a transaction.
                .set("socket.timeout.ms", millis(slowness.connect_timeout()));
        } else {
            // Only the statistics show whether the broker has assigned a producer id.
            config.set("statistics.interval.ms", millis(STATISTICS));
        }
        let client: BaseProducer<Context> =
            config.create_with_context(Context::default()).map_err(|error| StepError::new(DOING, &error))?;
        let producer = Self {
            client,
            transactional: transactional_id.is_some(),
            topic: topic.to_owned(),
            timeout: slowness.publish_timeout(),
            committed_at: None,
        };
        if producer.transactional {
            let result = producer.client.init_transactions(slowness.connect_timeout());
            super::poll_client_errors(producer.client.context(), |time| producer.client.poll(time));
            result.map_err(|error| producer.error(DOING, &error))?;
        } else {
            producer.wait_for_id(slowness.connect_timeout())?;
        }
        Ok(producer)
    }

    /// Waits for the producer id. Without transactions, librdkafka reports no error if the broker refuses one: the
    /// records only wait.
    fn wait_for_id(&self, timeout: Duration) -> Result<(), StepError> {
        let until = Instant::now() + timeout;
        while !self.client.context().has_producer_id() {
            self.client.poll(Duration::ZERO);
            if let Some((code, text)) = self.client.client().fatal_error() {
                return Err(StepError { kind: super::errors::kind(code), doing: CONNECTING, text });
            }
            if Instant::now() >= until {
                super::poll_client_errors(self.client.context(), |time| self.client.poll(time));
                let error = KafkaError::Global(RDKafkaErrorCode::OperationTimedOut);
                return Err(self.error(CONNECTING, &error));
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Begins a transaction.
    pub(in crate::publisher) fn begin(&mut self) -> Result<OpenTransaction<'_>, PublishError> {
        if let Some(left) = self.committed_at.and_then(|at| AFTER_COMMIT.checked_sub(at.elapsed())) {
            std::thread::sleep(left);
        }
        let until = Instant::now() + self.timeout;
        self.client.context().take_reports();
        self.client.context().keep_from(Seq::MAX);
        if self.transactional {
            self.client.begin_transaction().map_err(|error| self.doubt(PUBLISHING, &error))?;
        }
        Ok(OpenTransaction { producer: self, until, sent: 0 })
    }

    /// Serves pending delivery reports; sleeps for [`POLL`] if there are none.
    fn serve(&self) {
        let before = self.client.in_flight_count();
        self.client.poll(Duration::ZERO);
        if self.client.in_flight_count() == before {
            std::thread::sleep(POLL);
        }
    }

    /// Serves callbacks while the backlog is empty. Returns the fatal error of the producer, if it has one.
    pub(in crate::publisher) fn idle(&self) -> Result<(), StepError> {
        self.client.poll(Duration::ZERO);
        match self.client.client().fatal_error() {
            Some((code, text)) => Err(StepError { kind: super::errors::kind(code), doing: "waiting", text }),
            None => Ok(()),
        }
    }

    fn doubt(&self, doing: &'static str, error: &KafkaError) -> PublishError {
        PublishError::UnknownOutcome(self.error(doing, error))
    }

    fn error(&self, doing: &'static str, error: &KafkaError) -> StepError {
        explained(doing, error, self.client.context())
    }
}

/// A transaction that takes records.
pub(in crate::publisher) struct OpenTransaction<'p> {
    producer: &'p mut Producer,
    until: Instant,
    sent: u64,
}

impl OpenTransaction<'_> {
    /// The reports of records from `seq` on will have their places.
    pub(in crate::publisher) fn keep_places_from(&self, seq: Seq) {
        self.producer.client.context().keep_from(seq);
    }

    /// Waits until librdkafka holds few records. Returns whether Kafka has refused none.
    pub(in crate::publisher) fn make_room(&self) -> Result<bool, PublishError> {
        self.wait(WAITING_RECORDS)?;
        Ok(!self.producer.client.context().has_failed())
    }

    /// Waits until Kafka has acknowledged all records but this many, or has refused one.
    fn wait(&self, left: i32) -> Result<(), PublishError> {
        let Self { producer, until, sent } = self;
        let in_flight = || producer.client.in_flight_count();
        while in_flight() > left && !producer.client.context().has_failed() {
            if Instant::now() >= *until {
                let text = format!("{} of {sent} records were not acknowledged in time", in_flight());
                return Err(PublishError::UnknownOutcome(StepError::timeout(PUBLISHING, text)));
            }
            producer.serve();
        }
        Ok(())
    }

    /// Passes a record to librdkafka, which copies it.
    pub(in crate::publisher) fn send(
        &mut self,
        seq: Seq,
        (spool, bridge_seq): (Uuid, u64),
        record: &Record<'_>,
    ) -> Result<(), PublishError> {
        const DOING: &str = "passing a record to librdkafka";
        let producer = &*self.producer;
        let mut uuid = Uuid::encode_buffer();
        let uuid: &[u8] = spool.hyphenated().encode_lower(&mut uuid).as_bytes();
        let bridge_seq = bridge_seq.to_string();
        let mut headers = OwnedHeaders::new_with_capacity(10);
        for (key, value) in record.headers().chain([(BRIDGE_SPOOL, uuid), (BRIDGE_SEQ, bridge_seq.as_bytes())]) {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        // The bridge runs on 64-bit machines. librdkafka only returns this number in the delivery report.
        let opaque = usize::try_from(seq).unwrap_or(usize::MAX);
        let mut message = BaseRecord::with_opaque_to(&producer.topic, opaque)
            .key(record.key)
            .payload(record.value)
            .timestamp(record.timestamp_ms)
            .headers(headers);
        self.sent += 1;
        loop {
            let error = match producer.client.send(message) {
                Ok(()) => return Ok(()),
                Err((error, returned)) => {
                    message = returned;
                    error
                }
            };
            match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::QueueFull) if Instant::now() < self.until => producer.serve(),
                Some(code) if is_refusal(code) => {
                    let mut reports = producer.client.context().take_reports();
                    reports.refuse(seq, code, &error);
                    return Err(PublishError::Rejected(Box::new(reports)));
                }
                _ => return Err(producer.doubt(DOING, &error)),
            }
        }
    }

    /// Waits for the delivery reports, and commits. Returns the reports.
    pub(in crate::publisher) fn commit(self) -> Result<Reports, PublishError> {
        const DOING: &str = PUBLISHING;
        self.wait(0)?;
        let Self { producer, until, sent } = self;
        let reports = producer.client.context().take_reports();
        if reports.refused.is_some() {
            return Err(PublishError::Rejected(Box::new(reports)));
        }
        if let Some(error) = &reports.failed {
            return Err(producer.doubt(DOING, error));
        }
        if reports.delivered != sent {
            let text = format!("{} of {sent} records were reported delivered", reports.delivered);
            return Err(PublishError::UnknownOutcome(StepError { kind: "other", doing: DOING, text }));
        }
        if producer.transactional {
            producer
                .client
                .commit_transaction(until.saturating_duration_since(Instant::now()).max(COMMIT_TIMEOUT_MIN))
                .map_err(|error| producer.doubt("committing", &error))?;
            producer.committed_at = Some(Instant::now());
        }
        Ok(reports)
    }
}

/// Replaces the text of a timeout by the error that the client reported meanwhile, which is usually its cause.
pub(super) fn explained(doing: &'static str, error: &KafkaError, context: &Context) -> StepError {
    let mut error = StepError::new(doing, error);
    if let Some(client_error) = context.take_client_error()
        && matches!(error.kind, "timeout" | "transport" | "other")
    {
        error.kind = client_error.kind;
        error.text = match client_error.kind {
            // The failed step adds nothing to this reason.
            "authentication" => client_error.reason,
            _ => format!("{} ({})", error.text, client_error.reason),
        };
    }
    error
}
