//! State that all workers of the webhook listener share.

use std::sync::Arc;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::config::{AckAfter, Config};
use crate::ops::metrics::Metrics;
use crate::refused::RefusedJournal;
use crate::spool::Spool;
use crate::webhook::Apps;

use super::direct::DirectPublish;
use super::{path, refusals};

/// State that all workers share.
#[derive(Debug)]
pub struct Shared {
    /// The normalized path of the webhook.
    pub(super) webhook_path: String,
    /// The apps and their tokens.
    apps: RwLock<Arc<Apps>>,
    /// Maximum size of a body, in bytes.
    pub max_body_bytes: usize,
    /// Maximum difference between `RequestTime` and the clock, in seconds.
    pub request_time_window_seconds: u64,
    /// The time from the head of a request to its response.
    pub ack_timeout: Duration,
    /// The spool.
    pub spool: Spool,
    /// Publishes webhooks while the spool cannot be written, if that is configured.
    pub direct: Option<Arc<dyn DirectPublish>>,
    /// Whether acknowledgements wait for Kafka.
    pub ack_after_published: bool,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The journal of refused webhooks.
    pub journal: Arc<RefusedJournal>,
    draining: AtomicBool,
    pub(super) refusals: refusals::Throttle,
}

impl Shared {
    /// Creates the state from its components.
    pub fn new(
        config: &Config,
        spool: Spool,
        direct: Option<Arc<dyn DirectPublish>>,
        metrics: Arc<Metrics>,
        journal: Arc<RefusedJournal>,
    ) -> Self {
        Self {
            webhook_path: String::from_utf8_lossy(&path::normal(config.webhook_path.as_bytes())).into_owned(),
            apps: RwLock::new(Arc::new(config.apps.clone())),
            max_body_bytes: config.max_body_bytes,
            request_time_window_seconds: config.request_time_window_seconds,
            ack_timeout: config.ack_timeout,
            spool,
            direct,
            ack_after_published: config.ack_after == AckAfter::Published,
            metrics,
            journal,
            draining: AtomicBool::new(false),
            refusals: refusals::Throttle::default(),
        }
    }

    /// Refuses every further webhook.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether webhooks are refused because the process is stopping.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Replaces the apps, from the next webhook on.
    pub fn replace_apps(&self, apps: Apps) {
        *self.apps.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(apps);
    }

    pub(super) fn apps(&self) -> Arc<Apps> {
        Arc::clone(&self.apps.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}
