//! From the spool into Kafka, exactly once and in order.
//!
//! # Fence and read back
//!
//! Every record carries its spool's UUID and its sequence number, so the topic itself says what
//! has been published. Records go out in sequence, in Kafka transactions, one after the other.
//! At the start, and after any error, the producer is thrown away and a new one of the same
//! `transactional.id` is initialized: that resolves what was open and fences every request of the
//! old one. Then the high watermark of every partition is taken, the topic is read in
//! `read_committed` from the stored positions up to there, and what is missing is published.
//! Whatever became of a transaction is thus read, never guessed. What is found under a number is
//! compared with what the spool holds under it: another recall there is that of a copy of the
//! spool, and the spool takes a new name from that number on. `docs/architecture.md` goes
//! through the cases one by one.
//!
//! # Rooms
//!
//! [`machine`] decides what to do next, pure ([`events`] are what it and the driver tell each other); [`found`] holds
//! what a reading found, [`mod@compare`] whether the spool holds the same; `driver` does it; `damaged` says what is kept of a row that the disk has damaged;
//! `keeper` runs it, and replaces it where its [`pulse`](crate::pulse) says that it is stuck in librdkafka;
//! [`kafka`] is all that touches librdkafka. [`bypass`] is the way past the spool, for when it cannot be
//! written.

pub mod bypass;
pub mod compare;
mod damaged;
mod driver;
pub mod events;
pub mod found;
pub mod kafka;
mod keeper;
pub mod machine;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rdkafka::ClientConfig;

use crate::ops::metrics::Metrics;
use crate::ops::status::KafkaCell;
use crate::spool::{Seq, Spool, SpoolError};
use kafka::topic::Creation;

/// Its name among the components that are watched.
const COMPONENT: &str = "publisher";

/// What the publisher works with.
#[derive(Clone)]
pub struct Options {
    /// Where events come from.
    pub spool: Spool,
    /// Where records go.
    pub topic: String,
    /// librdkafka's settings, without those that the publisher owns.
    pub config: ClientConfig,
    /// Transactions (`exactly_once`), or only an idempotent producer (`at_least_once`).
    pub transactional: bool,
    /// Make the topic where it is missing.
    pub creation: Option<Creation>,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
    /// Where it shows its state.
    pub kafka: KafkaCell,
}

/// How far the publisher's threads give way to others, as nice(2).
const NICE: i32 = 10;

/// Why the publisher ended. No event is lost by it; the process ends and the next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum PublisherError {
    /// The spool failed.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// An event that the spool gave out is not there.
    #[error("event {0} is missing from the spool")]
    Missing(Seq),
    /// An event is not a record of this release or an earlier one.
    #[error("event {0} in the spool is not a record")]
    Undecodable(Seq),
    /// The thread could not be started.
    #[error("the publisher's thread could not be started: {0}")]
    Thread(std::io::Error),
    /// The thread panicked.
    #[error("the publisher's thread panicked")]
    Panicked,
    /// Another thread does the work of this one.
    #[error("the publisher's thread was given up")]
    Abandoned,
    /// The Kafka client did not come back from its calls, so often.
    #[error("the Kafka client was stuck {0} times")]
    Stuck(u32),
}

/// The running publisher.
#[derive(Debug)]
pub struct PublisherHandle {
    stop: Arc<AtomicBool>,
    spool: Spool,
    thread: JoinHandle<Result<(), PublisherError>>,
}

/// Starts the publisher's thread; `on_end` is called on it when it has ended, for whatever reason.
pub fn start(options: Options, on_end: impl FnOnce() + Send + 'static) -> Result<PublisherHandle, PublisherError> {
    let stop = Arc::new(AtomicBool::new(false));
    let spool = options.spool.clone();
    let unused = spool.was_unused();
    let driver = driver::Driver::new(&options, Arc::clone(&stop), unused)?;
    let told = Arc::clone(&stop);
    let thread = std::thread::Builder::new()
        .name("publisher".to_owned())
        .spawn(move || {
            let result =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| keeper::run(&options, &told, driver)));
            on_end();
            result.unwrap_or(Err(PublisherError::Panicked))
        })
        .map_err(PublisherError::Thread)?;
    Ok(PublisherHandle { stop, spool, thread })
}

/// Where processors are short, acknowledging goes first: the sender waits 2 s and does not repeat,
/// Kafka has time. librdkafka's threads are started by this one and inherit it (Linux).
fn give_way() {
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), NICE) {
        tracing::debug!(%error, "the publisher keeps its priority");
    }
}

impl PublisherHandle {
    /// Tells it to publish what it can and end. Does not wait.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.spool.nudge();
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for its end.
    pub fn join(self) -> Result<(), PublisherError> {
        self.thread.join().unwrap_or(Err(PublisherError::Panicked))
    }
}
