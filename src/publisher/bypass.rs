//! Past the spool, into Kafka: for deliveries that come while the spool cannot be written, where
//! `BRIDGE_SPOOL_FAILURE=publish`.
//!
//! A thread of its own with a producer of its own: idempotent, without transactions, made with the
//! first delivery and thrown away when none has come for a while. What it publishes has no sequence
//! number and is never read back: *at least once*, and in order per account only among itself.

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use tokio::sync::{Semaphore, oneshot};

use super::kafka::errors::Trouble;
use super::kafka::unspooled::{Delivery, Unspooled};
use crate::ingest::direct::{DirectPublish, DirectPublishError, DirectPublishing};
use crate::ops::metrics::Metrics;
use crate::pulse::Pulse;

/// Bytes of records that may wait for Kafka in memory; beyond it a delivery is refused at once.
const WAITING_MAX_BYTES: usize = 32 << 20;
/// The producer is thrown away when nothing was asked of it for so long.
const IDLE: Duration = Duration::from_secs(30);
/// How long to sleep while reports are awaited and nothing else is to be done.
const POLL: Duration = Duration::from_micros(500);
/// How long the question may take whether Kafka is there, and how long its answer is good for.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
const PROBE_VALID: Duration = Duration::from_secs(1);
/// A call to librdkafka that takes longer is stuck.
const CALL_BOUND: Duration = Duration::from_secs(5);
const DOING: &str = "publishing past the spool";

/// How to publish past the spool.
pub struct Options {
    /// Where records go.
    pub topic: String,
    /// librdkafka's settings, without those that the publisher owns.
    pub config: ClientConfig,
    /// How long a delivery may take to be acknowledged.
    pub timeout: Duration,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
}

/// A handle on the thread, which ends with the last one.
pub struct Bypass {
    options: Arc<Options>,
    thread: Mutex<Thread>,
    room: Arc<Semaphore>,
}

impl fmt::Debug for Bypass {
    // Not its options: librdkafka's settings hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bypass").field("room", &self.room).finish_non_exhaustive()
    }
}

struct Thread {
    jobs: Sender<Job>,
    pulse: Pulse,
}

impl Thread {
    fn start(options: Arc<Options>) -> std::io::Result<Self> {
        let (jobs, inbox) = channel();
        let pulse = Pulse::default();
        let beats = pulse.clone();
        std::thread::Builder::new().name("bypass".to_owned()).spawn(move || work(&options, &inbox, &beats))?;
        Ok(Self { jobs, pulse })
    }
}

#[derive(Debug)]
enum Job {
    Publish(Delivery),
    Probe(Sender<Result<(), Trouble>>),
}

impl Bypass {
    /// Starts the thread; nothing is connected yet.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn start(options: Options) -> std::io::Result<Self> {
        let options = Arc::new(options);
        let thread = Mutex::new(Thread::start(Arc::clone(&options))?);
        Ok(Self { options, thread, room: Arc::new(Semaphore::new(WAITING_MAX_BYTES)) })
    }

    /// Hands a job to the thread; one that is stuck in librdkafka is given up, and another one takes over.
    fn ask(&self, job: Job) -> bool {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(late) = thread.pulse.abandon_if_stuck() {
            self.options.metrics.count_stuck("bypass");
            let seconds = late.as_secs();
            tracing::error!(
                event = "component_stuck",
                component = "bypass",
                seconds,
                "the producer past the spool is given up"
            );
            match Thread::start(Arc::clone(&self.options)) {
                Ok(new) => *thread = new,
                Err(_) => return false,
            }
        }
        thread.jobs.send(job).is_ok()
    }

    async fn publish_records(&self, records: Vec<Vec<u8>>) -> Result<(), Trouble> {
        let other = |text: &str| Trouble { kind: "other", doing: DOING, text: text.to_owned() };
        let bytes = u32::try_from(records.iter().map(Vec::len).sum::<usize>()).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes);
        let room = room.map_err(|_| other("too much is waiting for Kafka"))?;
        let (reply, published) = oneshot::channel();
        let gone = || other("the producer was given up");
        if !self.ask(Job::Publish(Delivery { records, reply, _space: room })) {
            return Err(gone());
        }
        published.await.map_err(|_| gone())?
    }

    /// Whether Kafka could take a record now. Blocks for a moment.
    ///
    /// # Errors
    /// Why not.
    pub fn probe(&self) -> Result<(), Trouble> {
        let (reply, answer) = channel();
        let asked = self.ask(Job::Probe(reply));
        let late = || Trouble::timeout(DOING, "no answer to the question whether Kafka is there".to_owned());
        if asked { answer.recv_timeout(PROBE_TIMEOUT * 2).unwrap_or_else(|_| Err(late())) } else { Err(late()) }
    }
}

impl DirectPublish for Bypass {
    fn publish(&self, records: Vec<Vec<u8>>) -> DirectPublishing<'_> {
        Box::pin(async {
            let published = self.publish_records(records).await;
            published.map_err(|trouble| {
                self.options.metrics.count_kafka_error(trouble.kind);
                DirectPublishError(trouble.to_string())
            })
        })
    }
}

fn work(options: &Options, inbox: &Receiver<Job>, pulse: &Pulse) {
    // Without a producer there is nothing to do until somebody asks.
    while let Ok(first) = inbox.recv() {
        pulse.enter(CALL_BOUND);
        match Unspooled::connect(&options.config, &options.topic, options.timeout) {
            Ok(producer) => serve(producer, first, inbox, pulse),
            Err(trouble) => refuse(first, trouble),
        }
        if pulse.leave().is_err() {
            return;
        }
    }
}

/// Works with one producer, until it can go on no longer or nothing is asked of it any more.
fn serve(mut producer: Unspooled, first: Job, inbox: &Receiver<Job>, pulse: &Pulse) {
    let mut probed: Option<(Instant, Result<(), Trouble>)> = None;
    let mut next = Some(first);
    let mut asked_at = Instant::now();
    let mut told = false;
    loop {
        match next.take() {
            Some(Job::Publish(delivery)) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!("the spool cannot be written: recalls are published to Kafka directly");
                }
                producer.send(delivery);
            }
            Some(Job::Probe(reply)) => {
                if probed.as_ref().is_none_or(|(at, _)| at.elapsed() >= PROBE_VALID) {
                    probed = Some((Instant::now(), producer.probe(PROBE_TIMEOUT)));
                }
                // Who asked may have given up.
                let _ = reply.send(probed.as_ref().map_or(Ok(()), |(_, result)| result.clone()));
            }
            None => {}
        }
        let busy = producer.settle();
        if let Some(trouble) = producer.fatal() {
            tracing::warn!(error = %trouble, "the producer past the spool is given up");
            return;
        }
        let wait = if busy { POLL } else { IDLE.saturating_sub(asked_at.elapsed()) };
        if pulse.leave().is_err() {
            return;
        }
        let received = inbox.recv_timeout(wait);
        // Also for what throws the producer away.
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

fn refuse(job: Job, trouble: Trouble) {
    // Who asked may have given up.
    match job {
        Job::Publish(delivery) => drop(delivery.reply.send(Err(trouble))),
        Job::Probe(reply) => drop(reply.send(Err(trouble))),
    }
}
