//! Direct publish: publishes webhooks without the spool while the spool cannot be written
//! (`BRIDGE_SPOOL_FAILURE=publish`).
//!
//! A separate thread has a separate producer: idempotent, without transactions, created with the first webhook
//! and discarded when it has been idle. Its records have no sequence number and are never reconciled: they are
//! published *at least once*, and in order per account only among themselves.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use tokio::sync::{Semaphore, oneshot};

use super::kafka::direct_producer::{DirectProducer, DirectWebhook};
use super::kafka::errors::StepError;
use crate::ingest::direct::{DirectPublish, DirectPublishError, DirectPublishing};
use crate::ops::metrics::Metrics;
use crate::pulse::Pulse;

/// Bytes of records that may wait for Kafka in memory; beyond that a webhook is refused at once.
const WAITING_MAX_BYTES: usize = 32 << 20;
/// The idle time after which the producer is discarded.
const IDLE: Duration = Duration::from_secs(30);
/// The pause between two polls while webhook reports are outstanding.
const POLL: Duration = Duration::from_micros(500);
/// The timeout of a probe whether Kafka is reachable.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
/// The time for which the result of a probe is reused.
const PROBE_VALID: Duration = Duration::from_secs(1);
/// A call to librdkafka that takes longer is stuck.
const CALL_BOUND: Duration = Duration::from_secs(5);
const DOING: &str = "publishing directly";

/// The settings of direct publishing.
pub struct DirectOptions {
    /// The topic to publish to.
    pub topic: String,
    /// librdkafka's settings, without those that the publisher owns.
    pub config: ClientConfig,
    /// The time within which a webhook must be acknowledged.
    pub timeout: Duration,
    /// The metrics of the process.
    pub metrics: Arc<Metrics>,
}

/// A handle to the thread, which ends with the last handle.
pub struct DirectPublisher {
    options: Arc<DirectOptions>,
    thread: Mutex<Thread>,
    room: Arc<Semaphore>,
}

impl fmt::Debug for DirectPublisher {
    // The options are left out: librdkafka's settings contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectPublisher").field("room", &self.room).finish_non_exhaustive()
    }
}

struct Thread {
    jobs: Sender<Job>,
    pulse: Pulse,
}

impl Thread {
    fn start(options: Arc<DirectOptions>) -> std::io::Result<Self> {
        let (jobs, inbox) = channel();
        let pulse = Pulse::default();
        let beats = pulse.clone();
        std::thread::Builder::new().name("bypass".to_owned()).spawn(move || work(&options, &inbox, &beats))?;
        Ok(Self { jobs, pulse })
    }
}

#[derive(Debug)]
enum Job {
    Publish(DirectWebhook),
    Probe(Sender<Result<(), StepError>>),
}

impl DirectPublisher {
    /// Starts the thread. It connects to Kafka with the first webhook.
    ///
    /// # Errors
    /// The system refuses a new thread.
    pub fn start(options: DirectOptions) -> std::io::Result<Self> {
        let options = Arc::new(options);
        let thread = Mutex::new(Thread::start(Arc::clone(&options))?);
        Ok(Self { options, thread, room: Arc::new(Semaphore::new(WAITING_MAX_BYTES)) })
    }

    /// Passes a job to the thread. A thread that is stuck in librdkafka is abandoned and replaced.
    fn ask(&self, job: Job) -> bool {
        let mut thread = self.thread.lock();
        if let Some(late) = thread.pulse.abandon_if_stuck() {
            self.options.metrics.count_stuck("bypass");
            let seconds = late.as_secs();
            tracing::error!(
                event = "component_stuck",
                component = "bypass",
                seconds,
                "the direct publisher is stuck in a call; its thread is replaced"
            );
            match Thread::start(Arc::clone(&self.options)) {
                Ok(new) => *thread = new,
                Err(_) => return false,
            }
        }
        thread.jobs.send(job).is_ok()
    }

    async fn publish_records(&self, records: Vec<Vec<u8>>) -> Result<(), StepError> {
        let other = |text: &str| StepError { kind: "other", doing: DOING, text: text.to_owned() };
        let bytes = u32::try_from(records.iter().map(Vec::len).sum::<usize>()).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes);
        let room = room.map_err(|_| other("too many records are waiting for Kafka"))?;
        let (reply, published) = oneshot::channel();
        let gone = || other("the producer was discarded");
        if !self.ask(Job::Publish(DirectWebhook { records, reply, _space: room })) {
            return Err(gone());
        }
        published.await.map_err(|_| gone())?
    }

    /// Checks whether Kafka can accept records now. Blocks for at most 1 s.
    ///
    /// # Errors
    /// Kafka cannot accept records, with the reason.
    pub fn probe(&self) -> Result<(), StepError> {
        let (reply, answer) = channel();
        let asked = self.ask(Job::Probe(reply));
        let late = || StepError::timeout(DOING, "Kafka did not respond".to_owned());
        if asked { answer.recv_timeout(PROBE_TIMEOUT * 2).unwrap_or_else(|_| Err(late())) } else { Err(late()) }
    }
}

impl DirectPublish for DirectPublisher {
    fn publish(&self, records: Vec<Vec<u8>>) -> DirectPublishing<'_> {
        Box::pin(async {
            let published = self.publish_records(records).await;
            published.map_err(|error| {
                self.options.metrics.count_kafka_error(error.kind);
                DirectPublishError(error.to_string())
            })
        })
    }
}

fn work(options: &DirectOptions, inbox: &Receiver<Job>, pulse: &Pulse) {
    // Without a producer, the thread waits for the next job.
    while let Ok(first) = inbox.recv() {
        pulse.enter(CALL_BOUND);
        match DirectProducer::connect(&options.config, &options.topic, options.timeout) {
            Ok(producer) => serve(producer, first, inbox, pulse),
            Err(error) => refuse(first, error),
        }
        if pulse.leave().is_err() {
            return;
        }
    }
}

/// Serves jobs with one producer, until the producer fails or is idle.
fn serve(mut producer: DirectProducer, first: Job, inbox: &Receiver<Job>, pulse: &Pulse) {
    let mut probed: Option<(Instant, Result<(), StepError>)> = None;
    let mut next = Some(first);
    let mut asked_at = Instant::now();
    let mut logged = false;
    loop {
        match next.take() {
            Some(Job::Publish(webhook)) => {
                if !std::mem::replace(&mut logged, true) {
                    tracing::warn!(
                        event = "direct_publish_started",
                        "the spool cannot be written; recalls are published to Kafka directly"
                    );
                }
                producer.send(webhook);
            }
            Some(Job::Probe(reply)) => {
                if probed.as_ref().is_none_or(|(at, _)| at.elapsed() >= PROBE_VALID) {
                    probed = Some((Instant::now(), producer.probe(PROBE_TIMEOUT)));
                }
                // The receiver may have timed out.
                let _ = reply.send(probed.as_ref().map_or(Ok(()), |(_, result)| result.clone()));
            }
            None => {}
        }
        let busy = producer.serve_reports();
        if let Some(error) = producer.fatal() {
            tracing::warn!(
                event = "direct_producer_discarded", error = %error,
                "the producer of direct publishing failed and is discarded"
            );
            return;
        }
        let wait = if busy { POLL } else { IDLE.saturating_sub(asked_at.elapsed()) };
        if pulse.leave().is_err() {
            return;
        }
        let received = inbox.recv_timeout(wait);
        // Also covers the drop of the producer.
        pulse.enter(CALL_BOUND);
        match received {
            Ok(job) => {
                next = Some(job);
                asked_at = Instant::now();
            }
            Err(RecvTimeoutError::Timeout) if busy || asked_at.elapsed() < IDLE => {}
            Err(_) => return,
        }
    }
}

fn refuse(job: Job, error: StepError) {
    // The receiver may have timed out.
    match job {
        Job::Publish(webhook) => drop(webhook.reply.send(Err(error))),
        Job::Probe(reply) => drop(reply.send(Err(error))),
    }
}
