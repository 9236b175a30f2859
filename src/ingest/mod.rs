//! From a request to its answer: the checks, the spool, one outcome for each delivery.

mod answer;
pub mod checks;
mod outcome;
mod path;
mod refusals;
mod settle;
mod worker;

pub use outcome::Outcome;

use std::sync::Arc;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::config::{AckAfter, Config};
use crate::edge;
use crate::ops::metrics::Metrics;
use crate::publisher::bypass::Bypass;
use crate::spool::{Appender, Published, Spool};
use crate::webhook::Apps;

/// What every worker needs.
#[derive(Debug)]
pub struct Shared {
    /// Where webhooks are expected, without slashes that mean nothing.
    webhook_path: String,
    /// The apps and their tokens.
    apps: RwLock<Arc<Apps>>,
    /// Largest body, in bytes.
    pub max_body_bytes: usize,
    /// How far `RequestTime` may be from now, in seconds.
    pub request_time_window_seconds: u64,
    /// From the head of a request to its answer.
    pub ack_timeout: Duration,
    /// Where deliveries go.
    pub spool: Spool,
    /// Where they go while the spool cannot be written, where that is wanted.
    pub bypass: Option<Arc<Bypass>>,
    /// Whether acknowledgements wait for Kafka.
    pub ack_after_published: bool,
    /// Where they are counted.
    pub metrics: Arc<Metrics>,
    draining: AtomicBool,
    refusals: refusals::Throttle,
}

impl Shared {
    /// Puts the parts together.
    pub fn new(config: &Config, spool: Spool, bypass: Option<Arc<Bypass>>, metrics: Arc<Metrics>) -> Self {
        Self {
            webhook_path: String::from_utf8_lossy(&path::normal(config.webhook_path.as_bytes())).into_owned(),
            apps: RwLock::new(Arc::new(config.apps.clone())),
            max_body_bytes: config.max_body_bytes,
            request_time_window_seconds: config.request_time_window_seconds,
            ack_timeout: config.ack_timeout,
            spool,
            bypass,
            ack_after_published: config.ack_after == AckAfter::Published,
            metrics,
            draining: AtomicBool::new(false),
            refusals: refusals::Throttle::default(),
        }
    }

    /// Refuses every further delivery.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether deliveries are refused because the process is ending.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Puts other apps in place, from the next delivery on.
    pub fn replace_apps(&self, apps: Apps) {
        *self.apps.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(apps);
    }

    fn apps(&self) -> Arc<Apps> {
        Arc::clone(&self.apps.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// Starts the webhook listener.
///
/// # Errors
/// The socket cannot be used, or TLS lacks what it needs.
pub fn run(options: edge::Options, shared: &Arc<Shared>) -> std::io::Result<edge::Server> {
    let shared = Arc::clone(shared);
    edge::run(options, move || worker::Worker {
        appender: Appender::new(&shared.spool),
        published: shared.ack_after_published.then(|| Published::new(&shared.spool)),
        shared: Arc::clone(&shared),
    })
}
