//! The driver's actions on records: publish them, or move them to quarantine.

use std::time::Instant;

use super::error::ActionError;
use super::{CALL_BOUND, CALL_MARGIN, Driver, IDLE_PROBE, IDLE_WAIT, TRANSACTION_BYTES, damaged};
use crate::clock;
use crate::events::stored;
use crate::ops::metrics::TransactionResult;
use crate::ops::status::KafkaState;
use crate::published::{PublishedRecord, PublishedRing};
use crate::publisher::PublisherError;
use crate::publisher::kafka::context::Reports;
use crate::publisher::kafka::errors::{PUBLISHING, StepError};
use crate::publisher::kafka::producer::PublishError;
use crate::publisher::machine::{Event, PoisonReason};
use crate::spool::{CorruptedRow, NextOffsets, QuarantineEntry, QuarantineReason, ReadLimit, Seq, SpoolError};

/// A committed transaction.
struct Transacted {
    reports: Reports,
    /// The timestamps of its records.
    times_ms: Vec<i64>,
}

/// Why a transaction did not commit.
enum TransactionError {
    Undecodable(Seq),
    Publish(PublishError),
}

impl From<PublishError> for TransactionError {
    fn from(error: PublishError) -> Self {
        Self::Publish(error)
    }
}

/// The last events, as many as the page shows.
fn newest<'e, 'b>(events: &'e [(Seq, &'b [u8])]) -> &'e [(Seq, &'b [u8])] {
    &events[events.len().saturating_sub(PublishedRing::LEN)..]
}

impl Driver {
    pub(super) fn quarantine(&mut self, seq: Seq, refusal: PoisonReason) -> Result<Event, ActionError> {
        let limit = ReadLimit { events: 1, bytes: 0 };
        let batch = match self.reader.read(seq, seq + 1, limit) {
            Err(SpoolError::CorruptedRow(damage)) => return self.set_aside(seq, *damage),
            result => result?,
        };
        let event = batch.events().next().map(|(_, event)| event).unwrap_or_default();
        let body = stored::record_bytes(event).map_err(|_| PublisherError::Undecodable(seq))?;
        let entry = QuarantineEntry {
            at_ms: clock::now_ms(),
            reason: refusal.reason,
            detail: refusal.detail,
            query: String::new(),
            body,
        };
        if self.logged.replace(seq) != Some(seq) {
            let (reason, detail) = (entry.reason.label(), &entry.detail);
            tracing::error!(
                event = "record_refused",
                seq,
                reason,
                detail,
                "Kafka rejected a record permanently; the record goes to quarantine, publishing continues"
            );
        }
        self.spool.quarantine_record(seq, entry)?;
        Ok(Event::Quarantined { until: seq + 1 })
    }

    /// Moves a corrupted row to quarantine, so that publishing continues with its successors. No event of the row is
    /// published, because the checksum covers the row as a whole.
    fn set_aside(&mut self, from: Seq, damage: CorruptedRow) -> Result<Event, ActionError> {
        let until = damage.until;
        let found = (from..until).filter(|&seq| self.machine.is_published(seq)).count() as u64;
        if found == until - from {
            tracing::warn!(event = "row_skipped", %damage, "corrupted row skipped: Kafka has all its records");
            return Ok(Event::Committed { until, next: NextOffsets::new() });
        }
        if self.logged.replace(from) != Some(from) {
            tracing::error!(event = "row_damaged", %damage, "corrupted row quarantined; publishing continues");
        }
        let entry = damaged::entry(damage, from, found, |seq| self.machine.name(seq));
        self.spool.quarantine_events(from..until, entry)?;
        Ok(Event::Quarantined { until })
    }

    pub(super) fn publish(&mut self, from: Seq, below: Seq, records: u64) -> Result<Event, ActionError> {
        if self.show(KafkaState::Ready) {
            tracing::info!(event = "kafka_ready", "Kafka is ready");
        }
        if !self.stopping() && !self.spool.wait_for(from, IDLE_WAIT) {
            return self.watched(CALL_BOUND, Self::idle);
        }
        let limit = ReadLimit { events: records, bytes: TRANSACTION_BYTES };
        let batch = match self.reader.read(from, below, limit) {
            Err(SpoolError::CorruptedRow(damage)) => return self.set_aside(from, *damage),
            result => result?,
        };
        if batch.is_empty() {
            if self.spool.progress().next_seq > from {
                return Err(PublisherError::Missing(from).into());
            }
            return self.watched(CALL_BOUND, Self::idle);
        }
        let missing: Vec<(Seq, &[u8])> = batch.events().filter(|(seq, _)| !self.machine.is_published(*seq)).collect();
        let until = batch.until();
        if missing.is_empty() {
            return Ok(Event::Committed { until, next: NextOffsets::new() });
        }
        let count = missing.len() as u64;
        let started = Instant::now();
        self.pulse.enter(self.slowness.publish_timeout() + CALL_MARGIN);
        let result = self.transact(&missing);
        self.pulse.leave()?;
        Ok(match result {
            Ok(Transacted { reports, times_ms }) => {
                self.slowness.took(started.elapsed());
                self.metrics.kafka_transaction_seconds.observe(started.elapsed().as_secs_f64());
                self.metrics.count_transaction(TransactionResult::Committed);
                let now = clock::now_ms();
                self.metrics.observe_publish_lags(&times_ms, now);
                self.show_published(&missing, &reports, now);
                Event::Committed { until, next: reports.next }
            }
            Err(TransactionError::Undecodable(seq)) => return Err(PublisherError::Undecodable(seq).into()),
            Err(TransactionError::Publish(PublishError::Rejected(reports))) => {
                self.metrics.count_transaction(TransactionResult::Refused);
                self.metrics.count_kafka_error("refused");
                let (seq, reason) = reports
                    .refused
                    .unwrap_or((from, PoisonReason { reason: QuarantineReason::KafkaInvalid, detail: String::new() }));
                Event::Rejected { seq, records: count, reason }
            }
            Err(TransactionError::Publish(PublishError::UnknownOutcome(error))) => {
                self.metrics.count_transaction(TransactionResult::UnknownOutcome);
                if count == 1 && error.kind == "timeout" {
                    self.slowness.more();
                }
                self.report(&error);
                Event::UnknownOutcome { records: count }
            }
        })
    }

    /// Publishes stored events in one transaction.
    fn transact(&mut self, events: &[(Seq, &[u8])]) -> Result<Transacted, TransactionError> {
        let Some(producer) = self.producer.as_mut() else {
            let error = StepError { kind: "other", doing: PUBLISHING, text: "not connected".to_owned() };
            return Err(TransactionError::Publish(PublishError::UnknownOutcome(error)));
        };
        let keep_from = newest(events).first().map_or(0, |(seq, _)| *seq);
        let mut times_ms = Vec::with_capacity(events.len());
        let mut transaction = producer.begin(keep_from)?;
        for (seq, event) in events {
            let record = stored::record(event, &mut self.buffer).map_err(|_| TransactionError::Undecodable(*seq))?;
            times_ms.push(record.timestamp_ms);
            transaction.send(*seq, self.machine.name(*seq), &record)?;
        }
        Ok(Transacted { reports: transaction.commit()?, times_ms })
    }

    /// Passes the events of a committed transaction to the page and the search.
    fn show_published(&mut self, events: &[(Seq, &[u8])], reports: &Reports, now_ms: i64) {
        self.published.count(events.iter().filter_map(|(_, event)| stored::key(event).ok()));
        if !self.published.is_due(events.len()) {
            return;
        }
        let records = newest(events).iter().filter_map(|(seq, event)| {
            let record = stored::record(event, &mut self.buffer).ok()?;
            let place = *reports.places.get(seq)?;
            Some(PublishedRecord::new(self.machine.name(*seq), &record, place, now_ms))
        });
        self.published.keep(records.collect());
    }

    /// Serves callbacks while the backlog is empty, and checks from time to time whether Kafka is reachable.
    fn idle(&mut self) -> Result<Event, StepError> {
        if let Some(producer) = &self.producer {
            producer.idle()?;
        }
        if self.probed_at.elapsed() >= IDLE_PROBE {
            self.probed_at = Instant::now();
            if let Some(topic) = &self.topic {
                topic.partitions()?;
            }
        }
        Ok(Event::Idle)
    }
}
