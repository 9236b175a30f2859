//! The content of the operations listener, from memory only.
//!
//! `/livez`, `/readyz` and `/metrics` must work while reads of the disk hang, because they report it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use super::history::{HistoryView, MINUTES_MAX};
use super::metrics::{Metrics, TlsView, View};
use super::params::Params;
use super::recorder::Recorder;
use super::sampler::Sampler;
use super::status::{KafkaCell, KafkaState, KafkaStatus};
use super::tables::{TableError, Tables};
use super::verdict::{NodeVerdict, VerdictFacts, verdict};
use crate::clock;
use crate::edge::Counters;
use crate::refused::{RefusedJournal, RefusedSummary};
use crate::spool::{DedupUsage, Identity, Seq, Spool, Tallies};
use crate::tls::Listener;

/// The sources of the listener's content.
pub struct Panel {
    /// The spool, read at each request.
    pub spool: Spool,
    /// Recent values of the disk and of Kafka.
    pub sampler: Arc<Sampler>,
    /// The publisher's state.
    pub kafka: KafkaCell,
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// The certificates of the webhook listener, if it uses TLS.
    pub tls: Option<Arc<Listener>>,
    /// Whether the process is shutting down.
    pub draining: Box<dyn Fn() -> bool + Send + Sync>,
    /// The counters of the webhook listener.
    pub connections: Arc<Counters>,
    /// The connection limit of the webhook listener.
    pub connections_max: usize,
    /// The journal of refused webhooks.
    pub journal: Arc<RefusedJournal>,
    /// The history and the last minutes.
    pub recorder: Arc<Recorder>,
    /// The tables of the page.
    pub tables: Tables,
    /// Whether the page may change something.
    pub actions: bool,
}

/// The response of `/status`.
#[derive(Debug, Serialize)]
pub struct NodeStatus {
    verdict: NodeVerdict,
    now: String,
    version: &'static str,
    commit: &'static str,
    spool_uuid: Uuid,
    depth: u64,
    bytes: u64,
    capacity_bytes: u64,
    oldest_age_seconds: f64,
    /// The last assigned sequence number, and the last one published or quarantined.
    accepted_seq: u64,
    published_seq: u64,
    kafka: KafkaStatus,
    dedup: DedupStatus,
    quarantine_events: u64,
    quarantine_bytes: u64,
    /// By reason; a reason without entries is left out.
    quarantine: Tallies,
    refused: RefusedSummary,
    ready: bool,
    reasons: Vec<String>,
    degraded: Vec<String>,
    /// Whether the page may change something.
    actions: bool,
    /// The spool UUIDs of unpublished events, and the last one.
    identities: Vec<SpoolIdentity>,
}

/// A spool UUID, and the sequence number of the event that has `bridge_seq` 1 in it.
#[derive(Debug, Serialize)]
struct SpoolIdentity {
    bridge_spool: Uuid,
    first_seq: Seq,
}

/// The deduplication window, and its memory.
#[derive(Debug, Serialize)]
struct DedupStatus {
    window_seconds: u64,
    /// Less than the window if it cannot hold all accepted recalls.
    covers_seconds: f64,
    ids: u64,
    bytes: u64,
}

impl From<DedupUsage> for DedupStatus {
    fn from(usage: DedupUsage) -> Self {
        Self {
            window_seconds: usage.window.as_secs(),
            covers_seconds: usage.covers.as_secs_f64(),
            ids: usage.ids,
            bytes: usage.bytes,
        }
    }
}

impl Panel {
    fn oldest_age(&self) -> Duration {
        if self.spool.progress().depth() == 0 {
            return Duration::ZERO;
        }
        let now = clock::now_ms();
        let age = |at: i64| Duration::from_millis(u64::try_from(now - at).unwrap_or(0));
        self.sampler.oldest_accepted_at_ms().map_or(Duration::ZERO, age)
    }

    pub(super) fn view(&self) -> View {
        let up = matches!(self.kafka.get().state, KafkaState::Ready | KafkaState::ReadingBack);
        let oldest_age = self.oldest_age();
        View {
            progress: self.spool.progress(),
            usage: self.spool.usage(),
            dedup: self.spool.dedup(),
            oldest_age,
            kafka_up: up,
            tls: self.tls.as_ref().map(|tls| TlsView {
                begun: tls.begun(),
                done: tls.done(),
                failed: tls.failed(),
                expires: tls.present().certificate().not_after,
            }),
            wal_bytes: self.sampler.wal_bytes(),
            connections: self.connections.open.load(Relaxed),
            connections_max: self.connections_max as u64,
            evicted: self.connections.evicted.load(Relaxed),
            stalled: self.connections.stalled.load(Relaxed),
            refused: self.journal.size(),
        }
    }

    pub(super) fn readiness(&self) -> Readiness {
        let (reasons, degraded) = self.reasons();
        Readiness { ready: reasons.is_empty(), reasons, degraded, kafka: self.kafka.get() }
    }

    /// Returns why webhooks cannot be accepted, and the errors that do not prevent that.
    pub(super) fn reasons(&self) -> (Vec<String>, Vec<String>) {
        let (mut reasons, degraded) = self.obstacles();
        if (self.draining)() {
            reasons.insert(0, "draining: the process is shutting down".to_owned());
        }
        (reasons, degraded)
    }

    /// [`Self::reasons`] without the shutdown.
    fn obstacles(&self) -> (Vec<String>, Vec<String>) {
        let (mut reasons, mut degraded) = (Vec::new(), Vec::new());
        let usage = self.spool.usage();
        if usage.full {
            reasons.push(format!("spool full: {} of {} bytes", usage.bytes, usage.max_bytes));
        }
        if let Some(fault) = self.spool.fault() {
            let broken = format!("spool broken: {fault}");
            match self.sampler.direct() {
                None => reasons.push(broken),
                Some(Err(error)) => reasons.push(format!("{broken}; Kafka is unreachable too: {error}")),
                Some(Ok(())) => degraded.push(format!("{broken}; recalls are published to Kafka directly")),
            }
        }
        (reasons, degraded)
    }

    fn verdict(&self, refused: &RefusedSummary) -> NodeVerdict {
        let (reasons, degraded) = self.obstacles();
        let usage = self.spool.usage();
        verdict(&VerdictFacts {
            now_ms: clock::now_ms(),
            draining: (self.draining)(),
            reasons: &reasons,
            degraded: &degraded,
            depth: self.spool.progress().depth(),
            oldest_age: self.oldest_age(),
            bytes: usage.bytes,
            capacity_bytes: usage.max_bytes,
            kafka: &self.kafka.get(),
            arrivals: &self.recorder.arrivals(),
            quarantine_events: usage.quarantine_events,
            replayable: refused.replayable,
        })
    }

    /// The response of `/history`; an hour without `minutes`.
    pub(super) fn history(&self, query: &[u8]) -> Result<HistoryView, TableError> {
        let minutes = Params::new(query, &["minutes"])?.number("minutes", &1, &MINUTES_MAX)?;
        Ok(self.recorder.history(minutes.unwrap_or(60)))
    }

    pub(super) fn status(&self) -> NodeStatus {
        let (progress, usage) = (self.spool.progress(), self.spool.usage());
        let (reasons, degraded) = self.reasons();
        let identities = self.spool.identities();
        let name = |identity: &Identity| SpoolIdentity { bridge_spool: identity.uuid, first_seq: identity.first_seq };
        let refused = self.journal.summary();
        NodeStatus {
            verdict: self.verdict(&refused),
            now: clock::iso8601(clock::now_ms()),
            version: crate::version::VERSION,
            commit: crate::version::COMMIT,
            spool_uuid: identities.last().map(|identity| identity.uuid).unwrap_or_default(),
            depth: progress.depth(),
            bytes: usage.bytes,
            capacity_bytes: usage.max_bytes,
            oldest_age_seconds: self.oldest_age().as_secs_f64(),
            accepted_seq: progress.next_seq - 1,
            published_seq: progress.published_end - 1,
            kafka: self.kafka.get(),
            dedup: self.spool.dedup().into(),
            quarantine_events: usage.quarantine_events,
            quarantine_bytes: usage.quarantine_bytes,
            quarantine: self.spool.quarantine_tallies(),
            refused,
            ready: reasons.is_empty(),
            reasons,
            degraded,
            actions: self.actions,
            identities: identities.iter().map(name).collect(),
        }
    }
}

/// The response of `/readyz`.
#[derive(Debug, Serialize)]
pub(super) struct Readiness {
    ready: bool,
    reasons: Vec<String>,
    degraded: Vec<String>,
    kafka: KafkaStatus,
}

impl Readiness {
    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }
}
