//! Executes the actions of the machine: one thread, blocking calls, every wait bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;

use self::error::ActionError;
use self::prepared::Prepared;
use self::reading::EventReader;
use super::compare::{Held, compare};
use super::damaged;
use super::kafka::errors::{StepError, needs_you};
use super::kafka::producer::Producer;
use super::kafka::reconcile::reconcile;
use super::kafka::slowness::Slowness;
use super::kafka::topic::{self, Creation, Topic};
use super::kafka::verify_reason;
use super::machine::{Action, Event, Machine, Range};
use super::recovered::{RecoveredSet, content_hash};
use super::{PublisherError, PublisherOptions};
use crate::clock;
use crate::events::stored;
use crate::ops::metrics::Metrics;
use crate::ops::status::{KafkaCell, KafkaState};
use crate::published::PublishedRing;
use crate::pulse::Pulse;
use crate::spool::{Advance, Batch, Identity, ReadLimit, Reader, Seq, Spool, SpoolError};

/// The events that are compared with the topic at once.
const COMPARED: ReadLimit = ReadLimit { events: 10_000, bytes: 3 << 20 };
/// The time from the start of a transaction to the start of the next one, unless that is prepared already. It bounds the
/// requests of a node to a broker that answers fast.
const INTERVAL: Duration = Duration::from_millis(10);
/// The longest wait for events before callbacks are served.
const IDLE_WAIT: Duration = Duration::from_millis(500);
/// After this many consecutive failures, a stop no longer waits for Kafka.
const STOP_FAILURES: u32 = 3;
/// The time between two requests of an idle publisher that check whether Kafka is reachable.
const IDLE_PROBE: Duration = Duration::from_secs(10);
const FAILS: &str = "Kafka error; recalls are still accepted, and published after recovery";
/// The longest time of a call to librdkafka without progress; librdkafka's own timeouts are 10 s.
const CALL_BOUND: Duration = Duration::from_secs(20);
/// A call that exceeds its own timeout by more is stuck.
const CALL_MARGIN: Duration = Duration::from_secs(5);
/// The clocks of nodes and brokers may differ by this much: a reconciliation also reads records that were
/// appended up to one hour before the spool was created.
const CLOCK_MARGIN_MS: i64 = 60 * 60 * 1000;

mod error;
mod prepared;
mod publishing;
mod reading;

pub(super) struct Driver {
    spool: Spool,
    reader: EventReader,
    machine: Machine,
    topic_name: Arc<str>,
    config: ClientConfig,
    transactional: bool,
    creation: Option<Creation>,
    /// No record of this spool in Kafka is older. UNIX milliseconds.
    since_ms: Option<i64>,
    metrics: Arc<Metrics>,
    kafka: KafkaCell,
    published: PublishedRing,
    /// The start of the next transaction, if its events wait.
    ahead: Option<Prepared>,
    stop: Arc<AtomicBool>,
    pulse: Pulse,
    slowness: Slowness,
    producer: Option<Producer>,
    topic: Option<Topic>,
    probed_at: Instant,
    /// When the last transaction began.
    began_at: Option<Instant>,
    /// The kind of the last failure, until a step succeeds.
    failing: Option<&'static str>,
    /// The event whose quarantine was logged last: repeated attempts are not logged.
    logged: Option<Seq>,
}

/// Returns a time before every record of this spool and of its copies: the earliest of the time in its UUID,
/// the time of its oldest row (the clock may have been ahead when the UUID was created), and now; minus
/// [`CLOCK_MARGIN_MS`].
fn since_ms(identities: &[Identity], published_end: Seq, reader: &Reader) -> Result<Option<i64>, SpoolError> {
    let Some(taken) = identities.first().and_then(Identity::taken_at_ms) else { return Ok(None) };
    let oldest = reader.accepted_at_ms(published_end)?.unwrap_or(taken);
    Ok(Some(taken.min(oldest).min(clock::now_ms()).saturating_sub(CLOCK_MARGIN_MS).max(0)))
}

impl Driver {
    /// Creates a driver. `unused`: no record of this spool can exist until it accepts an event.
    pub(super) fn new(options: &PublisherOptions, stop: Arc<AtomicBool>, unused: bool) -> Result<Self, PublisherError> {
        let reader = options.spool.reader()?;
        let topic_name: Arc<str> = options.topic.as_str().into();
        let machine = Machine::new(
            unused,
            options.spool.progress().published_end,
            options.spool.identities(),
            reader.next_offsets(&topic_name)?,
        );
        let since_ms = since_ms(&options.spool.identities(), options.spool.progress().published_end, &reader)?;
        Ok(Self {
            reader: EventReader::new(&options.spool, reader),
            machine,
            topic_name,
            config: options.config.clone(),
            transactional: options.transactional,
            creation: options.creation,
            since_ms,
            metrics: Arc::clone(&options.metrics),
            kafka: options.kafka.clone(),
            published: options.published.clone(),
            ahead: None,
            spool: options.spool.clone(),
            stop,
            pulse: Pulse::default(),
            slowness: Slowness::default(),
            producer: None,
            topic: None,
            probed_at: Instant::now(),
            began_at: None,
            failing: None,
            logged: None,
        })
    }

    /// The driver registers its current call here.
    pub(super) fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Runs until it is asked to stop, and then until the backlog is published, if Kafka allows it.
    pub(super) fn run(mut self) -> Result<(), PublisherError> {
        loop {
            let action = self.machine.next();
            if self.stopping() && self.may_stop(&action) {
                break;
            }
            let event = match self.execute(action) {
                Ok(event) => event,
                Err(ActionError::Retry(error)) => {
                    self.pulse.enter(CALL_BOUND);
                    let error = verify_reason::explain(&self.config, error);
                    self.pulse.leave().map_err(|_| PublisherError::Abandoned)?;
                    self.report(&error);
                    Event::UnknownOutcome { records: 0 }
                }
                Err(ActionError::Fatal(error)) => return Err(error),
            };
            self.note(event);
        }
        self.finish();
        Ok(())
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// A stop waits until the backlog is published. After several failed attempts, the next start publishes the
    /// rest.
    fn may_stop(&self, action: &Action) -> bool {
        let given_up = self.machine.failures() >= STOP_FAILURES;
        match action {
            Action::Publish { .. } => self.spool.progress().depth() == 0,
            Action::Backoff(_) => given_up,
            Action::Connect { .. } => given_up || self.spool.progress().depth() == 0,
            _ => false,
        }
    }

    fn execute(&mut self, action: Action) -> Result<Event, ActionError> {
        match action {
            Action::Backoff(time) => {
                self.pause(time);
                Ok(Event::Done)
            }
            Action::Connect { spool } => {
                self.watched(self.slowness.connect_timeout() + CALL_MARGIN, |driver| driver.connect(spool))
            }
            Action::ListOffsets => self.watched(CALL_BOUND, Self::list_offsets),
            Action::Begin { next_offsets, unused } => {
                let begun = self.spool.begin(&self.topic_name, next_offsets, unused)?;
                Ok(if begun { Event::Done } else { Event::Used })
            }
            Action::Reconcile(ranges) => {
                let found = self.watched(CALL_BOUND, |driver| driver.reconcile(&ranges))?;
                self.compare(found)
            }
            Action::Renew { first_seq } => {
                self.renew(first_seq)?;
                self.metrics.identity_renewals.inc();
                let identities = self.spool.identities();
                tracing::error!(
                    event = "spool_identity_renewed",
                    first_seq,
                    spool = identities.last().map(|identity| identity.uuid.to_string()),
                    "the topic has records with this spool's UUID that this spool did not publish: it was restored \
                     from a copy or truncated, or a copy of it is running; the spool continues with a new UUID"
                );
                Ok(Event::Renewed(identities))
            }
            Action::Quarantine { seq, reason } => self.quarantine(seq, reason),
            Action::Publish { from, below, records } => self.publish(from, below, records),
        }
    }

    /// Makes a call to librdkafka. If it makes no progress for `bound`, another thread takes over, and this one ends
    /// when the call returns.
    fn watched<T>(
        &mut self,
        bound: Duration,
        call: impl FnOnce(&mut Self) -> Result<T, StepError>,
    ) -> Result<T, ActionError> {
        self.pulse.enter(bound);
        let result = call(self);
        self.pulse.leave()?;
        Ok(result?)
    }

    fn renew(&mut self, first_seq: Seq) -> Result<(), ActionError> {
        let limit = ReadLimit { events: 1, bytes: 0 };
        let batch = match self.reader.read(first_seq, first_seq + 1, limit) {
            // The UUID then differs from that of every copy. No event of a corrupted row is published.
            Err(SpoolError::CorruptedRow(_)) => Batch::default(),
            result => result?,
        };
        let event = batch.events().next().map(|(_, event)| event);
        let uuid = Identity::renewed(&self.spool.identities(), first_seq, event);
        Ok(self.spool.renew_identity(Identity { first_seq, uuid })?)
    }

    fn connect(&mut self, spool: uuid::Uuid) -> Result<Event, StepError> {
        // The new producer fences the requests of the old one, so nothing waits for them.
        self.producer = None;
        self.show(KafkaState::Connecting);
        let id = self.transactional.then(|| format!("recall-bridge.{spool}"));
        self.producer = Some(Producer::connect(&self.config, &self.topic_name, id.as_deref(), self.slowness)?);
        Ok(Event::Connected)
    }

    fn list_offsets(&mut self) -> Result<Event, StepError> {
        if self.topic.is_none() {
            self.topic = Some(Topic::new(&self.config, &self.topic_name)?);
        }
        let Some(topic) = &self.topic else { return Ok(Event::Offsets(Vec::new())) };
        let since = self.since_ms;
        let result = match (topic.offsets(since), self.creation) {
            (Err(error), Some(creation)) if error.kind == "unknown_topic" => {
                topic::create(&self.config, &self.topic_name, creation)?;
                tracing::info!(event = "topic_created", topic = %self.topic_name, ?creation, "topic created");
                topic.offsets(since)
            }
            (result, _) => result,
        };
        if result.is_err() {
            // A client that lost its brokers may wait for its own backoff: use a new one.
            self.topic = None;
        }
        Ok(Event::Offsets(result?))
    }

    fn reconcile(&mut self, ranges: &[Range]) -> Result<RecoveredSet, StepError> {
        let found = self.machine.nothing_found(self.spool.progress().next_seq);
        self.show(KafkaState::ReadingBack);
        let offsets: i64 = ranges.iter().map(|range| range.to - range.from).sum();
        tracing::info!(
            event = "reconcile_started",
            offsets,
            partitions = ranges.len(),
            "reconciling with the topic; publishing waits"
        );
        let (stop, pulse) = (Arc::clone(&self.stop), self.pulse.clone());
        let grace = Instant::now();
        let result = reconcile(&self.config, &self.topic_name, ranges, found, self.slowness, || {
            pulse.beat();
            stop.load(Ordering::Acquire) && grace.elapsed() > Duration::from_secs(10)
        });
        if result.as_ref().is_err_and(|error| error.kind == "timeout") {
            self.slowness.more();
        }
        result
    }

    /// Compares the recovered set with the events of the same numbers in the spool.
    fn compare(&mut self, mut found: RecoveredSet) -> Result<Event, ActionError> {
        let (reader, mut buffer) = (&mut self.reader, Vec::new());
        compare::<ActionError>(&mut found, self.machine.published_end(), |from, below| {
            let batch = match reader.read(from, below, COMPARED) {
                Err(SpoolError::CorruptedRow(damage)) => return Ok(Held::Damaged(damage.until)),
                result => result?,
            };
            let hashes = batch.events().map(|(seq, event)| {
                let record = stored::record(event, &mut buffer).map_err(|_| PublisherError::Undecodable(seq))?;
                Ok(content_hash(record.key, record.value))
            });
            Ok(Held::Events(hashes.collect::<Result<_, PublisherError>>()?))
        })?;
        self.metrics.read_back_found.inc_by(found.count());
        tracing::info!(event = "reconcile_finished", found = found.count(), "reconciled with the topic");
        Ok(Event::Reconciled(found))
    }

    /// Passes the result to the machine, and its progress to the spool.
    fn note(&mut self, event: Event) {
        if !matches!(event, Event::Idle) {
            self.probed_at = Instant::now();
        }
        if matches!(event, Event::Idle | Event::Committed { .. }) && self.failing.take().is_some() {
            self.show(KafkaState::Ready);
            self.metrics.kafka_needs_you.set(0);
            tracing::info!(event = "kafka_recovered", "Kafka works again");
        }
        let before = self.machine.published_end();
        self.machine.on(event);
        let published_end = self.machine.published_end();
        if published_end != before {
            let next_offsets = self.machine.next_offsets().clone();
            self.spool.advance(Advance { published_end, topic: Arc::clone(&self.topic_name), next_offsets });
        }
    }

    /// Shows a state in `/status`; after a failure, only once a step has succeeded. Returns whether the state is new.
    fn show(&self, state: KafkaState) -> bool {
        self.failing.is_none() && self.kafka.set(state) != state
    }

    /// Counts, shows and logs a failure: one log line per change of the error, not per attempt.
    fn report(&mut self, error: &StepError) {
        let needs_you = needs_you(error.kind);
        self.metrics.count_kafka_error(error.kind);
        self.metrics.kafka_needs_you.set(i64::from(needs_you.is_some()));
        self.kafka.fail(error.kind, error.to_string(), needs_you);
        let kind = error.kind;
        if self.failing.replace(kind) == Some(kind) {
            tracing::debug!(event = "kafka_still_fails", kind, error = %error, "Kafka error continues");
        } else if needs_you.is_some() {
            tracing::error!(event = "kafka_needs_you", kind, error = %error, needs_you, "{FAILS}");
        } else {
            tracing::warn!(event = "kafka_fails", kind, error = %error, "{FAILS}");
        }
    }

    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stopping() {
                return;
            }
            // New events do not end the wait; a stop does.
            self.spool.wait_for(Seq::MAX, left);
        }
    }

    /// Ends without storing new offsets. The current ends of the topic would be wrong: a copy of the spool may have
    /// published before them since the last transaction, and would then never be detected.
    fn finish(&self) {
        self.kafka.set(KafkaState::Stopped);
        let left = self.spool.progress().depth();
        if left > 0 {
            tracing::warn!(
                event = "backlog_left",
                left,
                "stopped with unpublished recalls in the spool; the next start publishes them"
            );
        }
    }
}
