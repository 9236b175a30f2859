//! The driver's actions on records: publish them, or move them to quarantine.

use std::time::Instant;

use super::error::ActionError;
use super::prepared::{Part, Prepared};
use super::{CALL_BOUND, CALL_MARGIN, Driver, IDLE_PROBE, IDLE_WAIT, INTERVAL, damaged};
use crate::clock;
use crate::events::stored;
use crate::ops::metrics::TransactionResult;
use crate::ops::status::KafkaState;
use crate::published::PublishedRecord;
use crate::publisher::PublisherError;
use crate::publisher::kafka::context::Reports;
use crate::publisher::kafka::errors::{PUBLISHING, StepError};
use crate::publisher::kafka::producer::PublishError;
use crate::publisher::machine::{Event, PoisonReason};
use crate::record::Record;
use crate::spool::{CorruptedRow, NextOffsets, QuarantineEntry, QuarantineReason, ReadLimit, Seq, SpoolError};

/// A committed transaction.
struct Transacted {
    reports: Reports,
    /// Its last chunk.
    newest: Prepared,
}

/// What was passed to librdkafka in one transaction.
#[derive(Debug, Default)]
struct SentRecords {
    /// The timestamps of the records.
    times_ms: Vec<i64>,
    keys: Vec<u8>,
    /// Where each of the keys ends.
    ends: Vec<usize>,
}

impl SentRecords {
    fn note(&mut self, record: &Record<'_>) {
        self.times_ms.push(record.timestamp_ms);
        self.keys.extend_from_slice(record.key);
        self.ends.push(self.keys.len());
    }

    fn keys(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().filter_map(move |&end| self.keys.get(std::mem::replace(&mut start, end)..end))
    }
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

impl Driver {
    pub(super) fn quarantine(&mut self, seq: Seq, refusal: PoisonReason) -> Result<Event, ActionError> {
        let limit = ReadLimit { events: 1, bytes: 0 };
        let batch = match self.reader.read(seq, seq + 1, limit) {
            Err(SpoolError::CorruptedRow(damage)) => return self.set_aside(seq, *damage),
            result => result?,
        };
        let event = batch.events().next().map(|(_, event)| event).unwrap_or_default();
        let mut body = Vec::new();
        stored::append_record(event, &mut body).map_err(|_| PublisherError::Undecodable(seq))?;
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
        let part = Part { from, below, records };
        let early = self.began_at.and_then(|at| INTERVAL.checked_sub(at.elapsed()));
        if let Some(early) = early.filter(|_| self.ahead.is_none()) {
            std::thread::sleep(early);
        }
        let prepared = if let Some(ahead) = self.ahead.take().filter(|ahead| ahead.begins(part)) {
            ahead
        } else {
            let batch = match self.reader.read(from, below, part.limit()) {
                Err(SpoolError::CorruptedRow(damage)) => return self.set_aside(from, *damage),
                result => result?,
            };
            Prepared::new(part, &batch, |seq| self.machine.is_published(seq))?
        };
        let until = prepared.until();
        if until == from {
            if self.spool.progress().next_seq > from {
                return Err(PublisherError::Missing(from).into());
            }
            return self.watched(CALL_BOUND, Self::idle);
        }
        if prepared.len() == 0 {
            return Ok(Event::Committed { until, next: NextOffsets::new() });
        }
        let started = Instant::now();
        let mut sent = SentRecords::default();
        self.began_at = Some(started);
        self.pulse.enter(self.slowness.publish_timeout() + CALL_MARGIN);
        let result = self.transact(prepared, part, &mut sent);
        let count = sent.times_ms.len() as u64;
        self.pulse.leave()?;
        Ok(match result {
            Ok(Transacted { reports, newest }) => {
                self.slowness.took(started.elapsed());
                self.metrics.kafka_transaction_seconds.observe(started.elapsed().as_secs_f64());
                self.metrics.count_transaction(TransactionResult::Committed);
                let now = clock::now_ms();
                self.metrics.observe_publish_lags(&sent.times_ms, now);
                self.show_published(&sent, &newest, &reports, now);
                Event::Committed { until: newest.until(), next: reports.next }
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

    /// Publishes the records of a part in one transaction, from its first chunk on, as far as its events wait. Prepares
    /// the start of the next transaction, if its events wait.
    fn transact(
        &mut self,
        first: Prepared,
        part: Part,
        sent: &mut SentRecords,
    ) -> Result<Transacted, TransactionError> {
        let Some(producer) = self.producer.as_mut() else {
            let error = StepError { kind: "other", doing: PUBLISHING, text: "not connected".to_owned() };
            return Err(TransactionError::Publish(PublishError::UnknownOutcome(error)));
        };
        let mut transaction = producer.begin()?;
        let mut chunk = first;
        loop {
            transaction.keep_places_from(chunk.newest_seq());
            for record in chunk.records() {
                let (seq, record) = record.map_err(|_| TransactionError::Undecodable(part.from))?;
                sent.note(&record);
                transaction.send(seq, self.machine.name(seq), &record)?;
            }
            let rest = part.after(chunk.until());
            let Some(next) = rest.prepare(&self.spool, &mut self.reader, &self.machine) else { break };
            if !transaction.make_room()? {
                break;
            }
            chunk = next;
        }
        let next = Part { from: chunk.until(), ..part };
        let ahead = next.prepare(&self.spool, &mut self.reader, &self.machine);
        let reports = transaction.commit()?;
        // After a failure, the next reconciliation may find records of it in the topic.
        self.ahead = ahead;
        Ok(Transacted { reports, newest: chunk })
    }

    /// Passes the records of a committed transaction to the page and the search.
    fn show_published(&mut self, sent: &SentRecords, newest: &Prepared, reports: &Reports, now_ms: i64) {
        self.published.count(sent.keys());
        if !self.published.is_due(sent.times_ms.len()) {
            return;
        }
        let records = newest.newest().flatten().filter_map(|(seq, record)| {
            let place = *reports.places.get(&seq)?;
            Some(PublishedRecord::new(self.machine.name(seq), &record, place, now_ms))
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
