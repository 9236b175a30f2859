//! The callbacks of librdkafka: delivery reports, errors, log lines, statistics.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;

use super::client_error::ClientError;
use super::errors::{is_refusal, refusal_reason};
use crate::publisher::machine::PoisonReason;
use crate::spool::{NextOffsets, Seq};

/// The delivery reports of one transaction.
#[derive(Debug, Default)]
pub(in crate::publisher) struct Reports {
    /// The number of records that the broker acknowledged.
    pub(in crate::publisher) delivered: u64,
    /// The offset after the last record, by partition.
    pub(in crate::publisher) next: NextOffsets,
    /// Partition and offset of the records from [`Context::keep_from`] on.
    pub(in crate::publisher) places: HashMap<Seq, (i32, i64)>,
    /// The first poison record.
    pub(in crate::publisher) refused: Option<(Seq, PoisonReason)>,
    /// The first error of another kind.
    pub(in crate::publisher) failed: Option<KafkaError>,
}

impl Reports {
    /// Notes a poison record; keeps the one with the lowest number.
    pub(in crate::publisher) fn refuse(&mut self, seq: Seq, code: RDKafkaErrorCode, error: &KafkaError) {
        if self.refused.as_ref().is_none_or(|(first, _)| seq < *first) {
            self.refused = Some((seq, PoisonReason { reason: refusal_reason(code), detail: error.to_string() }));
        }
    }
}

/// Collects delivery reports, errors and log lines of one client.
#[derive(Debug, Default)]
pub(in crate::publisher) struct Context {
    reports: Mutex<Reports>,
    keep_from: AtomicU64,
    client_error: Mutex<Option<ClientError>>,
    /// The number of log lines and errors so far.
    heard: AtomicU64,
    has_producer_id: AtomicBool,
}

impl Context {
    /// Returns the reports since the last call.
    pub(in crate::publisher) fn take_reports(&self) -> Reports {
        std::mem::take(&mut self.reports.lock())
    }

    /// From now on, the reports have the places of the records from `seq` on.
    pub(in crate::publisher) fn keep_from(&self, seq: Seq) {
        self.keep_from.store(seq, Relaxed);
    }

    /// Whether a report contains an error.
    pub(in crate::publisher) fn has_failed(&self) -> bool {
        let reports = self.reports.lock();
        reports.failed.is_some() || reports.refused.is_some()
    }

    /// The number of log lines and errors so far.
    pub(in crate::publisher) fn heard(&self) -> u64 {
        self.heard.load(Relaxed)
    }

    /// Whether the broker has assigned a producer id, according to the client's statistics.
    pub(in crate::publisher) fn has_producer_id(&self) -> bool {
        self.has_producer_id.load(Relaxed)
    }

    fn hear(&self, new: ClientError) {
        let mut client_error = self.client_error.lock();
        if client_error.as_ref().is_none_or(|before| new.outweighs(before)) {
            *client_error = Some(new);
        }
    }

    /// Returns the most informative client error since the last call.
    pub(in crate::publisher) fn take_client_error(&self) -> Option<ClientError> {
        self.client_error.lock().take()
    }
}

impl ClientContext for Context {
    // The publisher logs one line per change of state. librdkafka logs one or more lines per attempt, so they appear
    // only at the level `debug`.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.heard.fetch_add(1, Relaxed);
        tracing::debug!(target: "librdkafka", event = "librdkafka_log", ?level, facility, "{message}");
        // librdkafka retries forever, and reports the reason only in this log line.
        if facility == "GETPID" && message.contains("Failed to acquire") {
            self.hear(ClientError::no_producer_id(message));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.heard.fetch_add(1, Relaxed);
        tracing::debug!(target: "librdkafka", event = "librdkafka_error", %error, "{reason}");
        self.hear(ClientError::new(&error, reason));
    }

    fn stats_raw(&self, statistics: &[u8]) {
        if self.has_producer_id() {
            return;
        }
        let state = serde_json::from_slice::<Statistics>(statistics).ok().and_then(|statistics| statistics.eos);
        self.has_producer_id.store(state.is_some_and(|eos| eos.idemp_state == "Assigned"), Relaxed);
    }
}

/// The fields used of librdkafka's statistics (its `STATISTICS.md`).
#[derive(Debug, serde::Deserialize)]
struct Statistics {
    eos: Option<Eos>,
}

#[derive(Debug, serde::Deserialize)]
struct Eos {
    idemp_state: String,
}

impl ConsumerContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, seq: usize) {
        let mut reports = self.reports.lock();
        match result {
            Ok(message) => {
                reports.delivered += 1;
                let next = reports.next.entry(message.partition()).or_insert(0);
                *next = (message.offset() + 1).max(*next);
                let seq = seq as Seq;
                if seq >= self.keep_from.load(Relaxed) {
                    reports.places.insert(seq, (message.partition(), message.offset()));
                }
            }
            Err((error, _)) => match error.rdkafka_error_code() {
                Some(code) if is_refusal(code) => reports.refuse(seq as Seq, code, error),
                _ => {
                    reports.failed.get_or_insert_with(|| error.clone());
                }
            },
        }
    }
}
