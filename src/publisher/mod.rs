//! Publishes events from the spool to Kafka, exactly once and in order.
//!
//! # Fence and reconcile with the topic
//!
//! Every record carries its spool UUID and its sequence number, so the topic itself is the source of what
//! was published. Records are published in sequence, in one Kafka transaction after the other. At the start,
//! and after any error, the publisher discards its producer and initializes a new one with the same
//! `transactional.id`: this ends an open transaction and fences every request of the old producer. Then it
//! takes the high watermark of every partition, reads the topic in `read_committed` from the stored next
//! offsets up to there, and publishes the missing records. So the publisher never guesses the outcome of a
//! transaction. Each recovered record is compared with the event of the same number in the spool. If they
//! differ, a copy of the spool published it, and the spool takes a new identity from that number on.
//! `docs/architecture.md` explains each case.
//!
//! # Modules
//!
//! - [`machine`] decides the next step and is pure. [`events`] has the types that it exchanges with the driver.
//! - [`recovered`] is the recovered set; [`mod@compare`] compares it with the spool.
//! - `driver` executes the steps. `damaged` makes quarantine entries of corrupted rows.
//! - `keeper` runs the driver, and replaces it if its [`pulse`](crate::pulse) shows that it is stuck in
//!   librdkafka.
//! - [`kafka`] has all calls to librdkafka.
//! - [`direct`] publishes directly while the spool cannot be written.
//! - [`replay`] publishes records again to another topic, for a command.

pub mod compare;
mod damaged;
pub mod direct;
mod driver;
pub mod events;
pub mod kafka;
mod keeper;
pub mod machine;
pub mod recovered;
pub mod replay;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rdkafka::ClientConfig;

use crate::ops::metrics::Metrics;
use crate::ops::status::KafkaCell;
use crate::published::PublishedRing;
use crate::spool::{Seq, Spool, SpoolError};
use kafka::topic::Creation;

/// The name of the component in logs and metrics.
const COMPONENT: &str = "publisher";

/// The settings and handles of the publisher.
#[derive(Clone)]
pub struct PublisherOptions {
    /// The source of the events.
    pub spool: Spool,
    /// The topic to publish to.
    pub topic: String,
    /// librdkafka's settings, without those that the publisher owns.
    pub config: ClientConfig,
    /// Transactions (`exactly_once`), or only an idempotent producer (`at_least_once`).
    pub transactional: bool,
    /// How to create the topic if it does not exist; `None`: do not create it.
    pub creation: Option<Creation>,
    /// The metrics of the process.
    pub metrics: Arc<Metrics>,
    /// The state that `/status` shows.
    pub kafka: KafkaCell,
    /// The last published records.
    pub published: PublishedRing,
}

/// Why the publisher exited. No event is lost: the process exits, and the next one continues.
#[derive(Debug, thiserror::Error)]
pub enum PublisherError {
    /// The spool failed.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The spool assigned this number, but has no event for it.
    #[error("event {0} is missing from the spool")]
    Missing(Seq),
    /// The event cannot be decoded as a record of this release or an earlier one.
    #[error("event {0} in the spool cannot be decoded as a record")]
    Undecodable(Seq),
    /// The thread could not be started.
    #[error("cannot start the publisher's thread: {0}")]
    Thread(std::io::Error),
    /// The thread panicked.
    #[error("the publisher's thread panicked")]
    Panicked,
    /// Another thread has taken over the work of this one.
    #[error("the publisher's thread was abandoned")]
    Abandoned,
    /// The Kafka client was stuck in a call this many times.
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

/// Starts the publisher's thread. The thread calls `on_end` before it ends, also after an error or a panic.
pub fn start(
    options: PublisherOptions,
    on_end: impl FnOnce() + Send + 'static,
) -> Result<PublisherHandle, PublisherError> {
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

impl PublisherHandle {
    /// Asks the publisher to publish the backlog and end. Does not wait.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.spool.nudge();
    }

    /// Whether the thread has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end of the thread.
    pub fn join(self) -> Result<(), PublisherError> {
        self.thread.join().unwrap_or(Err(PublisherError::Panicked))
    }
}
