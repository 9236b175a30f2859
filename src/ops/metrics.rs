//! Every metric, declared once, in a registry of its own.
//!
//! The counters of the accounting identity are not counted where things happen but derived, at
//! each scrape, from one snapshot of the spool: so the identity holds at every scrape.

mod shares;

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
    histogram_opts, opts,
};

use crate::spool::{Progress, RecentUsage, Usage};
use crate::telemetry::{self, DropReason};

const NAMESPACE: &str = "recall_bridge";
/// Other callback commands counted under their own name; further ones under `other`.
const IGNORED_COMMANDS: [&str; 20] = [
    "OfficialAccount.CallbackBeforeCreateOfficialAccount",
    "OfficialAccount.CallbackAfterCreateOfficialAccount",
    "OfficialAccount.CallbackAfterOfficialAccountInfoChanged",
    "OfficialAccount.CallbackAfterOfficialAccountDestroyed",
    "OfficialAccount.CallbackBeforeAddSubscriber",
    "OfficialAccount.CallbackAfterAddSubscriber",
    "OfficialAccount.CallbackAfterDeleteSubscriber",
    "OfficialAccount.CallbackAfterOfficialAccountFull",
    "OfficialAccount.CallbackBeforeSendMsg",
    "OfficialAccount.CallbackAfterSendMsg",
    "C2C.CallbackBeforeSendMsg",
    "C2C.CallbackAfterSendMsg",
    "C2C.CallbackAfterMsgReport",
    "C2C.CallbackAfterMsgWithDraw",
    "Group.CallbackBeforeSendMsg",
    "Group.CallbackAfterSendMsg",
    "Group.CallbackAfterRecallMsg",
    "State.StateChange",
    "Sns.CallbackFriendAdd",
    "Profile.CallbackPortraitSet",
];
const OTHER: &str = "other";
/// Commands that look like one that is published, and are kept in quarantine.
const NEAR_MISS: &str = "near_miss";
/// The label values of `component_stuck_total{component}`.
pub const COMPONENTS: [&str; 4] = ["publisher", "spool_writer", "control", "bypass"];

/// The label values that are known beforehand.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    /// Of `webhooks_total{outcome}`.
    pub outcomes: &'a [&'static str],
    /// Of `kafka_errors_total{kind}`.
    pub kafka_errors: &'a [&'static str],
}

/// How a transaction ended, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionResult {
    /// Committed.
    Committed,
    /// Refused for good: a record is to be quarantined.
    Refused,
    /// Unknown: the topic is read back.
    Doubt,
}

impl TransactionResult {
    const ALL: [Self; 3] = [Self::Committed, Self::Refused, Self::Doubt];

    fn label(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Refused => "refused",
            Self::Doubt => "doubt",
        }
    }
}

/// All metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    webhooks: Vec<(&'static str, IntCounter)>,
    ignored_commands: IntCounterVec,
    /// Seconds from the head of a request to its answer.
    pub ack_seconds: Histogram,
    /// Seconds from receipt to the commit in Kafka.
    pub publish_lag_seconds: Histogram,
    /// Seconds of a commit to the spool.
    pub spool_commit_seconds: Histogram,
    /// Events of a commit to the spool.
    pub spool_group_events: Histogram,
    /// Seconds of a Kafka transaction.
    pub kafka_transaction_seconds: Histogram,
    /// Seconds between `RequestTime` and this clock, without sign.
    pub request_time_skew_seconds: Histogram,
    kafka_transactions: Vec<IntCounter>,
    kafka_errors: IntCounterVec,
    /// Records found in the topic when it was read back, that need not be published again.
    pub read_back_found: IntCounter,
    /// New identities taken because the spool was behind the topic.
    pub identity_renewals: IntCounter,
    /// Events published past the spool.
    pub unspooled_events: IntCounter,
    /// Deliveries acknowledged before they were in Kafka, against `BRIDGE_ACK_AFTER=published`.
    pub ack_fallbacks: IntCounter,
    stuck: IntCounterVec,
    /// 1 while publishing waits for what only a person can change.
    pub kafka_needs_you: IntGauge,
    snapshot: std::sync::Mutex<Snapshot>,
}

/// Gauges and derived counters, set at each scrape.
#[derive(Debug)]
struct Snapshot {
    accepted: IntCounter,
    published: IntCounter,
    quarantined: IntCounter,
    duplicates: IntCounter,
    dedup_ids: IntGauge,
    dedup_covers: prometheus::Gauge,
    spool_events: IntGauge,
    recovered: IntGauge,
    bytes: IntGauge,
    capacity: IntGauge,
    oldest_age: prometheus::Gauge,
    quarantine_events: IntGauge,
    quarantine_bytes: IntGauge,
    quarantine_shares: shares::Gauges,
    kafka_up: IntGauge,
    handshakes_begun: IntCounter,
    handshakes_done: IntCounter,
    handshakes_failed: IntCounter,
    certificate_expiry: IntGauge,
    connections: IntGauge,
    connections_max: IntGauge,
    connections_evicted: IntCounter,
    connections_stalled: IntCounter,
    log_dropped: Vec<(DropReason, IntCounter)>,
}

/// What a scrape needs to know of the parts.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Of the spool.
    pub progress: Progress,
    /// Of the spool.
    pub usage: Usage,
    /// Of the spool.
    pub recent: RecentUsage,
    /// Age of the oldest event not published.
    pub oldest_age: Duration,
    /// Whether the publisher is ready.
    pub kafka_up: bool,
    /// Where the webhook listener speaks TLS.
    pub tls: Option<TlsView>,
    /// Open connections to the webhook listener.
    pub connections: u64,
    /// Their bound.
    pub connections_max: u64,
    /// Connections ended for the bound.
    pub evicted: u64,
    /// Connections ended because the peer did not read.
    pub stalled: u64,
}

/// What a scrape needs to know of TLS.
#[derive(Debug, Clone, Copy)]
pub struct TlsView {
    /// Handshakes begun.
    pub begun: u64,
    /// Those that made a connection.
    pub done: u64,
    /// Those that made none.
    pub failed: u64,
    /// When the certificate expires, in UNIX seconds.
    pub expires: i64,
}

impl Metrics {
    /// Declares all of them; every label value known beforehand is there with 0.
    ///
    /// # Errors
    /// A name or label is declared twice.
    pub fn new(labels: Labels<'_>) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let r = &registry;
        let outcomes = counters(r, "webhooks_total", "Deliveries by outcome.", "outcome")?;
        let ignored_commands =
            counters(r, "ignored_commands_total", "Deliveries of other callback commands.", "command")?;
        let transactions = counters(r, "kafka_transactions_total", "Kafka transactions by result.", "result")?;
        let kafka_errors = counters(r, "kafka_errors_total", "Failed steps of the publisher by kind.", "kind")?;
        for command in IGNORED_COMMANDS.iter().chain([&OTHER, &NEAR_MISS]) {
            ignored_commands.with_label_values(&[command]);
        }
        let stuck = counters(
            r,
            "component_stuck_total",
            "Parts of the process that did not get on within their bound.",
            "component",
        )?;
        for component in COMPONENTS {
            stuck.with_label_values(&[component]);
        }
        for kind in labels.kafka_errors {
            kafka_errors.with_label_values(&[kind]);
        }
        let build = prometheus::IntGaugeVec::new(
            options("build_info", "1, labelled with version and commit."),
            &["version", "commit"],
        )?;
        build.with_label_values(&[crate::version::VERSION, crate::version::COMMIT]).set(1);
        registry.register(Box::new(build))?;
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let ms = [0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0];
        let long = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 3600.0, 86400.0];
        let sizes = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 5000.0];
        let skews = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 120.0, 600.0, 3600.0];
        Ok(Self {
            webhooks: labels.outcomes.iter().map(|&label| (label, outcomes.with_label_values(&[label]))).collect(),
            ignored_commands,
            ack_seconds: histogram(r, "ack_seconds", "Seconds from the head of a request to its answer.", &ms)?,
            publish_lag_seconds: histogram(
                r,
                "publish_lag_seconds",
                "Seconds from receipt to the commit in Kafka, per record.",
                &long,
            )?,
            spool_commit_seconds: histogram(r, "spool_commit_seconds", "Seconds of a commit to the spool.", &ms)?,
            spool_group_events: histogram(r, "spool_group_events", "Events of a commit to the spool.", &sizes)?,
            kafka_transaction_seconds: histogram(
                r,
                "kafka_transaction_seconds",
                "Seconds of a committed Kafka transaction.",
                &long[..11],
            )?,
            request_time_skew_seconds: histogram(
                r,
                "request_time_skew_seconds",
                "Seconds between RequestTime and this clock, without sign.",
                &skews,
            )?,
            kafka_transactions: TransactionResult::ALL
                .iter()
                .map(|result| transactions.with_label_values(&[result.label()]))
                .collect(),
            kafka_errors,
            read_back_found: register(
                r,
                IntCounter::with_opts(options("read_back_found_total", "Records found when the topic was read back."))?,
            )?,
            identity_renewals: register(
                r,
                IntCounter::with_opts(options(
                    "spool_identity_renewals_total",
                    "New spool UUIDs taken because the spool was behind the topic.",
                ))?,
            )?,
            unspooled_events: register(
                r,
                IntCounter::with_opts(options(
                    "unspooled_events_total",
                    "Events published directly, because the spool could not be written.",
                ))?,
            )?,
            ack_fallbacks: register(
                r,
                IntCounter::with_opts(options(
                    "ack_fallback_total",
                    "Deliveries acknowledged as spooled, because Kafka did not confirm them in time.",
                ))?,
            )?,
            stuck,
            kafka_needs_you: register(
                r,
                IntGauge::with_opts(options(
                    "kafka_needs_you",
                    "1 while publishing waits for a setting, a right or a topic that only a person can change.",
                ))?,
            )?,
            snapshot: std::sync::Mutex::new(Snapshot::new(r)?),
            registry,
        })
    }

    /// Counts a delivery; `outcome` is its place in [`Labels::outcomes`].
    pub fn count_webhook(&self, outcome: usize) {
        if let Some((_, counter)) = self.webhooks.get(outcome) {
            counter.inc();
        }
    }

    /// Counts a delivery of another callback command.
    pub fn count_ignored_command(&self, command: &str) {
        let label = IGNORED_COMMANDS.iter().find(|known| **known == command).unwrap_or(&OTHER);
        self.ignored_commands.with_label_values(&[label]).inc();
    }

    /// Counts a delivery of a command that looks like one that is published.
    pub fn count_near_miss(&self) {
        self.ignored_commands.with_label_values(&[NEAR_MISS]).inc();
    }

    /// Counts a transaction.
    pub fn count_transaction(&self, result: TransactionResult) {
        if let Some(counter) = self.kafka_transactions.get(result as usize) {
            counter.inc();
        }
    }

    /// Counts a failed step of the publisher.
    pub fn count_kafka_error(&self, kind: &str) {
        self.kafka_errors.with_label_values(&[kind]).inc();
    }

    /// Counts a part that does not get on; `component` is one of [`COMPONENTS`].
    pub fn count_stuck(&self, component: &str) {
        self.stuck.with_label_values(&[component]).inc();
    }

    /// The text format, version 0.0.4, of this moment.
    ///
    /// # Errors
    /// The encoder failed.
    pub fn render(&self, view: &View) -> prometheus::Result<Vec<u8>> {
        // One scrape at a time: the derived counters are set, then gathered.
        let snapshot = self.snapshot.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        snapshot.set(view);
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

impl Snapshot {
    fn new(r: &Registry) -> prometheus::Result<Self> {
        let counter =
            |name, help| -> prometheus::Result<IntCounter> { register(r, IntCounter::with_opts(options(name, help))?) };
        let gauge =
            |name, help| -> prometheus::Result<IntGauge> { register(r, IntGauge::with_opts(options(name, help))?) };
        let handshakes = counters(
            r,
            "tls_handshakes_total",
            "TLS handshakes of the webhook listener: begun, done, failed.",
            "step",
        )?;
        let log_dropped =
            counters(r, "log_lines_dropped_total", "Log lines that were not written, by reason.", "reason")?;
        let log_dropped =
            DropReason::ALL.map(|reason| (reason, log_dropped.with_label_values(&[reason.label()]))).to_vec();
        Ok(Self {
            log_dropped,
            accepted: counter("events_accepted_total", "Events made durable since the start.")?,
            published: counter("records_published_total", "Records known to be in Kafka since the start.")?,
            quarantined: counter(
                "records_quarantined_total",
                "Records moved to quarantine since the start: refused by Kafka for good, or damaged on the disk.",
            )?,
            duplicates: counter("duplicate_events_total", "Events not added, as they had been accepted lately.")?,
            dedup_ids: gauge("dedup_ids", "Events remembered as accepted lately.")?,
            dedup_covers: register(
                r,
                prometheus::Gauge::with_opts(options(
                    "dedup_covers_seconds",
                    "How far back the memory for events accepted lately reaches.",
                ))?,
            )?,
            spool_events: gauge("spool_events", "Events waiting to be published.")?,
            recovered: gauge("spool_recovered_events", "Events that waited when the process started.")?,
            bytes: gauge("spool_bytes", "Bytes of unpublished payload in the spool.")?,
            capacity: gauge("spool_capacity_bytes", "Bound of spool_bytes.")?,
            oldest_age: register(
                r,
                prometheus::Gauge::with_opts(options(
                    "spool_oldest_age_seconds",
                    "Seconds since the oldest waiting event was accepted.",
                ))?,
            )?,
            quarantine_events: gauge("quarantine_events", "Entries in quarantine.")?,
            quarantine_bytes: gauge("quarantine_bytes", "Bytes in quarantine.")?,
            quarantine_shares: shares::Gauges::new(r)?,
            kafka_up: gauge("kafka_up", "1 while the publisher is ready to publish.")?,
            handshakes_begun: handshakes.with_label_values(&["begun"]),
            handshakes_done: handshakes.with_label_values(&["done"]),
            handshakes_failed: handshakes.with_label_values(&["failed"]),
            connections: gauge("webhook_connections", "Open connections to the webhook listener.")?,
            connections_max: gauge("webhook_connections_max", "Bound of webhook_connections.")?,
            connections_evicted: counter(
                "webhook_connections_evicted_total",
                "Connections ended to make room for new ones, or not taken because all others were busy.",
            )?,
            connections_stalled: counter(
                "webhook_connections_stalled_total",
                "Connections ended because the peer did not read its reply.",
            )?,
            certificate_expiry: gauge(
                "tls_certificate_expiry_timestamp_seconds",
                "When the webhook listener's certificate expires, in UNIX seconds; 0 without TLS.",
            )?,
        })
    }

    fn set(&self, view: &View) {
        let progress = &view.progress;
        raise(&self.accepted, progress.accepted());
        raise(&self.published, progress.published());
        raise(&self.quarantined, progress.quarantined);
        raise(&self.duplicates, view.recent.repeats);
        self.dedup_ids.set(signed(view.recent.ids));
        self.dedup_covers.set(view.recent.covers.as_secs_f64());
        self.spool_events.set(signed(progress.depth()));
        self.recovered.set(signed(progress.recovered()));
        self.bytes.set(signed(view.usage.bytes));
        self.capacity.set(signed(view.usage.max_bytes));
        self.oldest_age.set(view.oldest_age.as_secs_f64());
        self.quarantine_events.set(signed(view.usage.quarantine_events));
        self.quarantine_bytes.set(signed(view.usage.quarantine_bytes));
        self.quarantine_shares.set(&view.usage);
        self.kafka_up.set(i64::from(view.kafka_up));
        self.connections.set(signed(view.connections));
        self.connections_max.set(signed(view.connections_max));
        raise(&self.connections_evicted, view.evicted);
        raise(&self.connections_stalled, view.stalled);
        for (reason, counter) in &self.log_dropped {
            raise(counter, telemetry::dropped(*reason));
        }
        if let Some(tls) = &view.tls {
            raise(&self.handshakes_done, tls.done);
            raise(&self.handshakes_failed, tls.failed);
            raise(&self.handshakes_begun, tls.begun);
            self.certificate_expiry.set(tls.expires);
        }
    }
}

fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn options(name: &str, help: &str) -> Opts {
    opts!(name, help).namespace(NAMESPACE)
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn counters(registry: &Registry, name: &str, help: &str, label: &str) -> prometheus::Result<IntCounterVec> {
    register(registry, IntCounterVec::new(options(name, help), &[label])?)
}

fn histogram(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
    let options: HistogramOpts = histogram_opts!(name, help, buckets.to_vec()).namespace(NAMESPACE);
    register(registry, Histogram::with_opts(options)?)
}
