//! The driver's actions on records: publish them, or move them to quarantine.

use std::time::{Duration, Instant};

use super::error::ActionError;
use super::{CALL_BOUND, CALL_MARGIN, Driver, IDLE_PROBE, IDLE_WAIT, TRANSACTION_BYTES, damaged};
use crate::clock;
use crate::ops::metrics::TransactionResult;
use crate::ops::status::KafkaState;
use crate::published::PublishedRing;
use crate::publisher::PublisherError;
use crate::publisher::kafka::errors::StepError;
use crate::publisher::kafka::producer::PublishError;
use crate::publisher::machine::{Event, PoisonReason};
use crate::record::Record;
use crate::spool::{CorruptedRow, NextOffsets, QuarantineEntry, QuarantineReason, ReadLimit, Seq, SpoolError};

impl Driver {
    pub(super) fn quarantine(&mut self, seq: Seq, refusal: PoisonReason) -> Result<Event, ActionError> {
        let limit = ReadLimit { events: 1, bytes: 0 };
        let batch = match self.reader.read(seq, seq + 1, limit) {
            Err(SpoolError::CorruptedRow(damage)) => return self.set_aside(seq, *damage),
            result => result?,
        };
        let body = batch.events().next().map(|(_, event)| event.to_vec()).unwrap_or_default();
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
        let mut missing = Vec::new();
        for (seq, event) in batch.events() {
            if !self.machine.is_published(seq) {
                missing.push((
                    seq,
                    self.machine.name(seq),
                    Record::decode(event).map_err(|_| PublisherError::Undecodable(seq))?,
                ));
            }
        }
        let until = batch.until();
        if missing.is_empty() {
            return Ok(Event::Committed { until, next: NextOffsets::new() });
        }
        let count = missing.len() as u64;
        let times: Vec<i64> = missing.iter().map(|(_, _, record)| record.timestamp_ms).collect();
        let Some(producer) = self.producer.as_mut() else {
            return Ok(Event::UnknownOutcome { records: 0 });
        };
        let started = Instant::now();
        self.pulse.enter(self.slowness.publish_timeout() + CALL_MARGIN);
        let keep_from = missing.iter().rev().nth(PublishedRing::LEN - 1).map_or(0, |(seq, ..)| *seq);
        let result = producer.publish(missing.iter().copied(), keep_from);
        self.pulse.leave()?;
        Ok(match result {
            Ok(reports) => {
                self.slowness.took(started.elapsed());
                self.metrics.kafka_transaction_seconds.observe(started.elapsed().as_secs_f64());
                self.metrics.count_transaction(TransactionResult::Committed);
                let now = clock::now_ms();
                for time in times {
                    self.metrics.publish_lag_seconds.observe(Duration::from_millis(now.abs_diff(time)).as_secs_f64());
                }
                let place = |index: usize| reports.places.get(&missing.get(index)?.0).copied();
                let records: Vec<_> = missing.iter().map(|(_, name, record)| (*name, *record)).collect();
                self.published.add(&records, place, now);
                Event::Committed { until, next: reports.next }
            }
            Err(PublishError::Rejected(reports)) => {
                self.metrics.count_transaction(TransactionResult::Refused);
                self.metrics.count_kafka_error("refused");
                let (seq, reason) = reports
                    .refused
                    .unwrap_or((from, PoisonReason { reason: QuarantineReason::KafkaInvalid, detail: String::new() }));
                Event::Rejected { seq, records: count, reason }
            }
            Err(PublishError::UnknownOutcome(error)) => {
                self.metrics.count_transaction(TransactionResult::UnknownOutcome);
                if count == 1 && error.kind == "timeout" {
                    self.slowness.more();
                }
                self.report(&error);
                Event::UnknownOutcome { records: count }
            }
        })
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
