//! What librdkafka calls back with.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;

use super::complaint::Complaint;
use super::errors::{is_refusal, refusal_reason};
use crate::publisher::machine::Refusal;
use crate::spool::{Positions, Seq};

/// The delivery reports of one transaction.
#[derive(Debug, Default)]
pub(in crate::publisher) struct Reports {
    /// Records that the broker has.
    pub(in crate::publisher) delivered: u64,
    /// The offset after the last record, by partition.
    pub(in crate::publisher) next: Positions,
    /// The first record refused for good.
    pub(in crate::publisher) refused: Option<(Seq, Refusal)>,
    /// The first error of another kind.
    pub(in crate::publisher) failed: Option<KafkaError>,
}

impl Reports {
    /// Notes that a record will never be taken.
    pub(in crate::publisher) fn refuse(&mut self, seq: Seq, code: RDKafkaErrorCode, error: &KafkaError) {
        if self.refused.as_ref().is_none_or(|(first, _)| seq < *first) {
            self.refused = Some((seq, Refusal { reason: refusal_reason(code), detail: error.to_string() }));
        }
    }
}

/// Takes delivery reports, errors and log lines of one client.
#[derive(Debug, Default)]
pub(in crate::publisher) struct Context {
    reports: Mutex<Reports>,
    complaint: Mutex<Option<Complaint>>,
    /// Log lines and errors so far.
    heard: AtomicU64,
}

impl Context {
    /// The reports since the last call.
    pub(in crate::publisher) fn take_reports(&self) -> Reports {
        std::mem::take(&mut self.reports.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a report told of a failure.
    pub(in crate::publisher) fn has_failed(&self) -> bool {
        let reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.failed.is_some() || reports.refused.is_some()
    }

    /// How much the client has said so far.
    pub(in crate::publisher) fn heard(&self) -> u64 {
        self.heard.load(Relaxed)
    }

    /// The complaint since the last call that says most.
    pub(in crate::publisher) fn take_complaint(&self) -> Option<Complaint> {
        self.complaint.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for Context {
    // The publisher logs one line per change of state; librdkafka's own lines, one or more per
    // attempt, are for those who ask for them.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.heard.fetch_add(1, Relaxed);
        tracing::debug!(target: "librdkafka", ?level, facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.heard.fetch_add(1, Relaxed);
        tracing::debug!(target: "librdkafka", %error, "{reason}");
        let mut complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        let new = Complaint::new(&error, reason);
        if complaint.as_ref().is_none_or(|before| new.outweighs(before)) {
            *complaint = Some(new);
        }
    }
}

impl ConsumerContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, seq: usize) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(message) => {
                reports.delivered += 1;
                let next = reports.next.entry(message.partition()).or_insert(0);
                *next = (message.offset() + 1).max(*next);
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
