//! State that all workers of the webhook listener share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::config::{AckAfter, Config};
use crate::ops::metrics::Metrics;
use crate::refused::RefusedJournal;
use crate::spool::Spool;
use crate::webhook::Apps;

use super::acceptance::Acceptance;
use super::direct::DirectPublish;
use super::outcome::Outcome;
use super::{path, refusals};

/// State that all workers share.
#[derive(Debug)]
pub struct Shared {
    /// The normalized path of the webhook.
    pub(super) webhook_path: String,
    /// The apps and their tokens.
    apps: ArcSwap<Apps>,
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
    acceptance: Acceptance,
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
            apps: ArcSwap::from_pointee(config.apps.clone()),
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
            acceptance: Acceptance::default(),
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
        self.apps.store(Arc::new(apps));
    }

    /// Counts a webhook under its outcome. `names_published`: its query names a published command.
    pub(super) fn count(&self, outcome: Outcome, names_published: bool) {
        self.metrics.count_webhook(outcome as usize);
        if names_published {
            self.metrics.count_published_command(outcome as usize);
            self.acceptance.note(outcome);
        }
    }

    pub(super) fn apps(&self) -> Arc<Apps> {
        self.apps.load_full()
    }
}
