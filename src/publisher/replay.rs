//! Publishes the records of a replay to a topic that no node publishes to, in transactions.

use std::fmt;

use rdkafka::ClientConfig;
use uuid::Uuid;

use super::kafka::errors::StepError;
use super::kafka::producer::{Producer, PublishError};
use super::kafka::slowness::Slowness;
use crate::record::Record;

const DOING: &str = "publishing again";

/// A producer with a spool UUID of its own. The records of one call are in the topic completely or not at all.
pub struct ReplayProducer {
    producer: Producer,
    config: ClientConfig,
    topic: String,
    transactional: bool,
    spool: Uuid,
    next_seq: u64,
}

impl fmt::Debug for ReplayProducer {
    // The configuration is left out: it contains secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayProducer").field("topic", &self.topic).field("spool", &self.spool).finish_non_exhaustive()
    }
}

impl ReplayProducer {
    /// Connects. `spool` is the `bridge_spool` of the records, and names the transactions as a node's does.
    ///
    /// # Errors
    /// No broker is reachable, or it refuses the producer.
    pub fn connect(config: &ClientConfig, topic: &str, spool: Uuid, transactional: bool) -> Result<Self, StepError> {
        let producer = connect(config, topic, spool, transactional)?;
        Ok(Self { producer, config: config.clone(), topic: topic.to_owned(), transactional, spool, next_seq: 1 })
    }

    /// The `bridge_seq` of the next record.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Publishes encoded records in one transaction.
    ///
    /// # Errors
    /// The broker rejects a record, or fails. With transactions, nothing of this call is visible then, unless the text
    /// says that the outcome is unknown.
    pub fn publish(&mut self, events: &[Vec<u8>]) -> Result<(), StepError> {
        let records: Result<Vec<Record<'_>>, _> = events.iter().map(|event| Record::decode(event)).collect();
        let records = records.map_err(|error| other(error.to_string()))?;
        match self.transact(&records) {
            Ok(()) => {
                self.next_seq += events.len() as u64;
                Ok(())
            }
            Err(error) => {
                // A new producer with this id ends the open transaction, which would hide later records.
                let settled = connect(&self.config, &self.topic, self.spool, self.transactional);
                if let Ok(producer) = settled {
                    self.producer = producer;
                }
                Err(explain(error))
            }
        }
    }

    fn transact(&mut self, records: &[Record<'_>]) -> Result<(), PublishError> {
        let mut transaction = self.producer.begin()?;
        for (seq, record) in (self.next_seq..).zip(records) {
            transaction.send(seq, (self.spool, seq), record)?;
        }
        transaction.commit().map(drop)
    }
}

fn connect(config: &ClientConfig, topic: &str, spool: Uuid, transactional: bool) -> Result<Producer, StepError> {
    let id = transactional.then(|| format!("recall-bridge.{spool}"));
    Producer::connect(config, topic, id.as_deref(), Slowness::default())
}

fn explain(error: PublishError) -> StepError {
    match error {
        PublishError::Rejected(reports) => {
            let reason = reports.refused.map_or(String::new(), |(seq, reason)| format!("{seq}: {}", reason.detail));
            StepError { kind: "refused", doing: DOING, text: format!("the broker rejects record {reason}") }
        }
        PublishError::UnknownOutcome(error) => {
            StepError { text: format!("{}; the outcome of the last transaction is unknown", error.text), ..error }
        }
    }
}

fn other(text: String) -> StepError {
    StepError { kind: "other", doing: DOING, text }
}
