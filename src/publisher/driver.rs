//! Does what the machine says: one thread, blocking calls, every wait bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use rdkafka::ClientConfig;

use super::compare::{Held, compare};
use super::damaged;
use super::found::{Found, print};
use super::kafka::errors::{Trouble, needs_you};
use super::kafka::producer::Producer;
use super::kafka::read_back::read_back;
use super::kafka::slowness::Slowness;
use super::kafka::topic::{self, Creation, Topic};
use super::kafka::verify_reason;
use super::machine::{Action, Event, Machine, Range, TRANSACTION_MAX_RECORDS};
use super::{Options, PublisherError};
use crate::ops::metrics::Metrics;
use crate::ops::status::{KafkaCell, KafkaState, unix_ms};
use crate::pulse::{Abandoned, Pulse};
use crate::record::Record;
use crate::spool::{Advance, Batch, Identity, ReadLimit, Reader, Seq, Spool, SpoolError};

/// Payload of one transaction, after which no further row is read.
const TRANSACTION_BYTES: usize = 8 << 20;
/// How long one wait for events may last before callbacks are served.
const IDLE_WAIT: Duration = Duration::from_millis(500);
/// Failures in a row after which a stop no longer waits for Kafka.
const STOP_FAILURES: u32 = 3;
/// How often an idle publisher asks whether Kafka is still there.
const IDLE_PROBE: Duration = Duration::from_secs(10);
const FAILS: &str = "Kafka fails; recalls are still accepted and kept, and are published once it works again";
/// How the spool says that an entry has no room.
const QUARANTINE_FULL: &str = "the quarantine is full";
/// Longest time of a call to librdkafka without a sign of life; its own time-outs are 10 s.
const CALL_BOUND: Duration = Duration::from_secs(20);
/// Beyond a call's own time-out: it is stuck.
const CALL_MARGIN: Duration = Duration::from_secs(5);
/// By how much the clocks of nodes and brokers may differ: what was appended up to an hour before the
/// spool was created is read, too.
const CLOCK_MARGIN_MS: i64 = 60 * 60 * 1000;

mod publishing;

pub(super) struct Driver {
    spool: Spool,
    reader: Reader,
    machine: Machine,
    topic_name: Arc<str>,
    config: ClientConfig,
    transactional: bool,
    creation: Option<Creation>,
    /// Records of this spool in Kafka are not older than this.
    since_ms: Option<i64>,
    metrics: Arc<Metrics>,
    kafka: KafkaCell,
    stop: Arc<AtomicBool>,
    pulse: Pulse,
    slowness: Slowness,
    producer: Option<Producer>,
    topic: Option<Topic>,
    probed_at: Instant,
    /// The kind of the last failure, until something works again.
    failing: Option<&'static str>,
    /// What was last said to go to quarantine, so that further attempts say nothing.
    told: Option<Seq>,
}

/// What failed and may be tried again is trouble; a writer that has ended, or a file that cannot be
/// trusted, is the end.
fn kept<T>(result: Result<T, SpoolError>) -> Result<Result<T, Trouble>, PublisherError> {
    let trouble = |doing, text| Ok(Err(Trouble { kind: "other", doing, text }));
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(SpoolError::NotWritten(reason)) if reason.contains(QUARANTINE_FULL) => {
            Ok(Err(Trouble { kind: "quarantine_full", doing: "quarantining a record", text: reason.to_string() }))
        }
        Err(SpoolError::NotWritten(reason)) => trouble("writing to the spool", reason.to_string()),
        Err(SpoolError::Sqlite(error)) => trouble("reading the spool", error.to_string()),
        Err(error) => Err(error.into()),
    }
}

impl From<Abandoned> for PublisherError {
    fn from(Abandoned: Abandoned) -> Self {
        Self::Abandoned
    }
}

/// No record of this spool, or of a copy of it, is older: by its name, by the oldest row that it holds
/// (the clock may have been ahead when the name was taken), and by the present clock, less a margin.
fn since_ms(identities: &[Identity], watermark: Seq, reader: &Reader) -> Result<Option<i64>, SpoolError> {
    let Some(taken) = identities.first().and_then(Identity::taken_at_ms) else { return Ok(None) };
    let oldest = reader.accepted_at_ms(watermark)?.unwrap_or(taken);
    Ok(Some(taken.min(oldest).min(unix_ms(SystemTime::now())).saturating_sub(CLOCK_MARGIN_MS).max(0)))
}

impl Driver {
    /// `unused`: no record of this spool can be anywhere, as long as it accepts nothing.
    pub(super) fn new(options: &Options, stop: Arc<AtomicBool>, unused: bool) -> Result<Self, PublisherError> {
        let reader = options.spool.reader()?;
        let topic_name: Arc<str> = options.topic.as_str().into();
        let machine = Machine::new(
            unused,
            options.spool.progress().watermark,
            options.spool.identities(),
            reader.positions(&topic_name)?,
        );
        let since_ms = since_ms(&options.spool.identities(), options.spool.progress().watermark, &reader)?;
        Ok(Self {
            reader,
            machine,
            topic_name,
            config: options.config.clone(),
            transactional: options.transactional,
            creation: options.creation,
            since_ms,
            metrics: Arc::clone(&options.metrics),
            kafka: options.kafka.clone(),
            spool: options.spool.clone(),
            stop,
            pulse: Pulse::default(),
            slowness: Slowness::default(),
            producer: None,
            topic: None,
            probed_at: Instant::now(),
            failing: None,
            told: None,
        })
    }

    /// Where it tells that it gets on.
    pub(super) fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Works until told to stop, and then until all is published that can be.
    pub(super) fn run(mut self) -> Result<(), PublisherError> {
        loop {
            let action = self.machine.next();
            if self.stopping() && self.may_stop(&action) {
                break;
            }
            let event = match self.execute(action)? {
                Ok(event) => event,
                Err(trouble) => {
                    let trouble = self.watched(CALL_BOUND, |driver| verify_reason::explain(&driver.config, trouble))?;
                    self.report(&trouble);
                    Event::Doubt { records: 0 }
                }
            };
            self.note(event);
        }
        self.finish();
        Ok(())
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// A stop waits for what can be published; once several attempts have failed, the rest is left
    /// to the next start.
    fn may_stop(&self, action: &Action) -> bool {
        let given_up = self.machine.failures() >= STOP_FAILURES;
        match action {
            Action::Publish { .. } => self.spool.progress().depth() == 0,
            Action::Backoff(_) => given_up,
            Action::Connect { .. } => given_up || self.spool.progress().depth() == 0,
            _ => false,
        }
    }

    fn execute(&mut self, action: Action) -> Result<Result<Event, Trouble>, PublisherError> {
        Ok(match action {
            Action::Backoff(time) => {
                self.pause(time);
                Ok(Event::Done)
            }
            Action::Connect { spool } => {
                self.watched(self.slowness.connect_timeout() + CALL_MARGIN, |driver| driver.connect(spool))?
            }
            Action::ListOffsets => self.watched(CALL_BOUND, Self::list_offsets)?,
            Action::Begin { positions, unused } => kept(self.spool.begin(&self.topic_name, positions, unused))?
                .map(|begun| if begun { Event::Done } else { Event::Used }),
            Action::ReadBack(ranges) => match self.watched(CALL_BOUND, |driver| driver.read_back(&ranges))? {
                Ok(found) => self.compare(found)?,
                Err(trouble) => Err(trouble),
            },
            Action::Renew { first_seq } => {
                if let Err(trouble) = self.renew(first_seq)? {
                    return Ok(Err(trouble));
                }
                self.metrics.identity_renewals.inc();
                let identities = self.spool.identities();
                tracing::error!(
                    first_seq,
                    spool = identities.last().map(|identity| identity.uuid.to_string()),
                    "the topic holds records under this spool's name that this spool did not publish: it was \
                     restored from a copy, or truncated, or a copy of it is at work; it goes on under a new UUID"
                );
                Ok(Event::Renewed(identities))
            }
            Action::Quarantine { seq, reason } => self.quarantine(seq, reason)?,
            Action::Publish { from, below, records } => self.publish(from, below, records)?,
        })
    }

    /// A call to librdkafka, which ends within `bound`, or since its last sign of life; otherwise another thread
    /// takes over, and this one ends when the call returns.
    fn watched<T>(&mut self, bound: Duration, call: impl FnOnce(&mut Self) -> T) -> Result<T, PublisherError> {
        self.pulse.enter(bound);
        let result = call(self);
        self.pulse.leave()?;
        Ok(result)
    }

    fn renew(&mut self, first_seq: Seq) -> Result<Result<(), Trouble>, PublisherError> {
        let limit = ReadLimit { events: 1, bytes: 0 };
        let batch = match self.reader.read(first_seq, first_seq + 1, limit) {
            // A name that no copy takes; of the row nothing is published anyway.
            Err(SpoolError::Damaged(_)) => Batch::default(),
            result => match kept(result)? {
                Ok(batch) => batch,
                Err(trouble) => return Ok(Err(trouble)),
            },
        };
        let event = batch.events().next().map(|(_, event)| event);
        let uuid = Identity::renewed(&self.spool.identities(), first_seq, event);
        kept(self.spool.renew_identity(Identity { first_seq, uuid }))
    }

    fn connect(&mut self, spool: uuid::Uuid) -> Result<Event, Trouble> {
        // What the old producer has under way is fenced by the new one, not waited for.
        self.producer = None;
        self.show(KafkaState::Connecting);
        let id = self.transactional.then(|| format!("recall-bridge.{spool}"));
        self.producer = Some(Producer::connect(&self.config, &self.topic_name, id.as_deref(), self.slowness)?);
        Ok(Event::Connected)
    }

    fn list_offsets(&mut self) -> Result<Event, Trouble> {
        if self.topic.is_none() {
            self.topic = Some(Topic::new(&self.config, &self.topic_name)?);
        }
        let Some(topic) = &self.topic else { return Ok(Event::Offsets(Vec::new())) };
        let since = self.since_ms;
        let result = match (topic.offsets(since), self.creation) {
            (Err(trouble), Some(creation)) if trouble.kind == "unknown_topic" => {
                topic::create(&self.config, &self.topic_name, creation)?;
                tracing::info!(topic = %self.topic_name, ?creation, "topic created");
                topic.offsets(since)
            }
            (result, _) => result,
        };
        if result.is_err() {
            // A client that lost its brokers may sit out its own backoff: take a new one.
            self.topic = None;
        }
        Ok(Event::Offsets(result?))
    }

    fn read_back(&mut self, ranges: &[Range]) -> Result<Found, Trouble> {
        let found = self.machine.nothing_found(self.spool.progress().next_seq);
        self.show(KafkaState::ReadingBack);
        let offsets: i64 = ranges.iter().map(|range| range.to - range.from).sum();
        tracing::info!(offsets, partitions = ranges.len(), "reading the topic back");
        let (stop, pulse) = (Arc::clone(&self.stop), self.pulse.clone());
        let grace = Instant::now();
        let result = read_back(&self.config, &self.topic_name, ranges, found, self.slowness, || {
            pulse.beat();
            stop.load(Ordering::Acquire) && grace.elapsed() > Duration::from_secs(10)
        });
        if result.as_ref().is_err_and(|trouble| trouble.kind == "timeout") {
            self.slowness.more();
        }
        result
    }

    /// What was found must be what this spool holds under these numbers.
    fn compare(&mut self, mut found: Found) -> Result<Result<Event, Trouble>, PublisherError> {
        let limit = ReadLimit { events: TRANSACTION_MAX_RECORDS, bytes: TRANSACTION_BYTES };
        let reader = &mut self.reader;
        let compared = compare(&mut found, self.machine.watermark(), |from, below| {
            let batch = match reader.read(from, below, limit) {
                Err(SpoolError::Damaged(damage)) => return Ok(Held::Damaged(damage.until)),
                result => kept(result).map_err(Err)?.map_err(Ok)?,
            };
            let prints = batch.events().map(|(seq, event)| {
                let record = Record::decode(event).map_err(|_| Err(PublisherError::Undecodable(seq)))?;
                Ok(print(record.key, record.value))
            });
            Ok(Held::Events(prints.collect::<Result<_, _>>()?))
        });
        match compared {
            Ok(()) => {}
            Err(Ok(trouble)) => return Ok(Err(trouble)),
            Err(Err(error)) => return Err(error),
        }
        self.metrics.read_back_found.inc_by(found.count());
        tracing::info!(found = found.count(), "the topic was read back");
        Ok(Ok(Event::ReadBack(found)))
    }

    /// Passes the result on to the machine, and its progress to the spool.
    fn note(&mut self, event: Event) {
        if !matches!(event, Event::Idle) {
            self.probed_at = Instant::now();
        }
        if matches!(event, Event::Idle | Event::Committed { .. }) && self.failing.take().is_some() {
            self.show(KafkaState::Ready);
            self.metrics.kafka_needs_you.set(0);
            tracing::info!("Kafka works again");
        }
        let before = self.machine.watermark();
        self.machine.on(event);
        let watermark = self.machine.watermark();
        if watermark != before {
            let positions = self.machine.positions().clone();
            self.spool.advance(Advance { watermark, topic: Arc::clone(&self.topic_name), positions });
        }
    }

    /// Shows a state; once something failed, only when something has worked again. Tells whether it
    /// is a new one.
    fn show(&self, state: KafkaState) -> bool {
        self.failing.is_none() && self.kafka.set(state) != state
    }

    /// One line per change of state, not per attempt.
    fn report(&mut self, trouble: &Trouble) {
        let needs_you = needs_you(trouble.kind);
        self.metrics.count_kafka_error(trouble.kind);
        self.metrics.kafka_needs_you.set(i64::from(needs_you.is_some()));
        self.kafka.fail(trouble.kind, trouble.to_string(), needs_you);
        let kind = trouble.kind;
        if self.failing.replace(kind) == Some(kind) {
            tracing::debug!(event = "kafka_still_fails", kind, error = %trouble, "Kafka still fails");
        } else if needs_you.is_some() {
            tracing::error!(event = "kafka_needs_you", kind, error = %trouble, needs_you, "{FAILS}");
        } else {
            tracing::warn!(event = "kafka_fails", kind, error = %trouble, "{FAILS}");
        }
    }

    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stopping() {
                return;
            }
            // Events that come meanwhile do not end the wait; a stop does.
            self.spool.wait_for(Seq::MAX, left);
        }
    }

    /// The positions stay what they are. The present ends of the topic are no better: a copy of the spool
    /// may have published before them since the last transaction, and would never be noticed.
    fn finish(&self) {
        self.kafka.set(KafkaState::Stopped);
        let left = self.spool.progress().depth();
        if left > 0 {
            tracing::warn!(left, "stopped with unpublished recalls in the spool; the next start publishes them");
        }
    }
}
