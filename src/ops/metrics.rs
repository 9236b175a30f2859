//! Declares every metric once, in a separate registry.
//!
//! The counters of the accounting identity are derived at each scrape from one snapshot of the spool, so the identity
//! holds at every scrape.

mod refused;
mod register;
mod shares;
mod snapshot;

pub use snapshot::{TlsView, View};

use std::time::Duration;

use prometheus::{Encoder as _, Histogram, IntCounter, IntCounterVec, IntGauge, Registry, TextEncoder};

use register::{counters, histogram, options, register};
use snapshot::Snapshot;

const OTHER: &str = "other";
/// The label of commands that look like a published one and are kept in quarantine.
const NEAR_MISS: &str = "near_miss";
/// The label values of `component_stuck_total{component}`.
pub const COMPONENTS: [&str; 4] = ["publisher", "spool_writer", "control", "bypass"];

/// The known label values.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    /// The values of `webhooks_total{outcome}` and of `published_command_webhooks_total{outcome}`.
    pub outcomes: &'a [&'static str],
    /// The values of `ignored_commands_total{command}`.
    pub commands: &'a [&'static str],
    /// The values of `kafka_errors_total{kind}`.
    pub kafka_errors: &'a [&'static str],
}

/// The result of a transaction, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionResult {
    /// Committed.
    Committed,
    /// Kafka rejected a record permanently; it goes to quarantine.
    Refused,
    /// Unknown outcome: the publisher reconciles with the topic.
    UnknownOutcome,
}

impl TransactionResult {
    const ALL: [Self; 3] = [Self::Committed, Self::Refused, Self::UnknownOutcome];

    fn label(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Refused => "refused",
            Self::UnknownOutcome => "doubt",
        }
    }
}

/// All metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    webhooks: Vec<(&'static str, IntCounter)>,
    ignored_commands: IntCounterVec,
    /// Commands with their own label value.
    commands: Vec<&'static str>,
    /// Seconds from the request head to the response.
    pub ack_seconds: Histogram,
    /// Seconds from receipt to the commit in Kafka.
    pub publish_lag_seconds: Histogram,
    /// Seconds of a commit to the spool.
    pub spool_commit_seconds: Histogram,
    /// Events of a commit to the spool.
    pub spool_group_events: Histogram,
    /// Seconds of a Kafka transaction.
    pub kafka_transaction_seconds: Histogram,
    /// Absolute difference between `RequestTime` and this clock, in seconds.
    pub request_time_skew_seconds: Histogram,
    kafka_transactions: Vec<IntCounter>,
    kafka_errors: IntCounterVec,
    /// Records that reconciliations found in the topic.
    pub read_back_found: IntCounter,
    /// New spool identities because the spool was behind the topic.
    pub identity_renewals: IntCounter,
    /// Recalls published directly.
    pub unspooled_events: IntCounter,
    /// Webhooks acknowledged before Kafka had them, despite `BRIDGE_ACK_AFTER=published`.
    pub ack_fallbacks: IntCounter,
    stuck: IntCounterVec,
    published_command_webhooks: Vec<IntCounter>,
    /// 1 while publishing waits for a change that only an operator can make.
    pub kafka_needs_you: IntGauge,
    snapshot: parking_lot::Mutex<Snapshot>,
}

/// Declares label values, so that they are there with 0 from the start.
fn preset<'a>(counters: &IntCounterVec, values: impl IntoIterator<Item = &'a &'static str>) {
    for value in values {
        counters.with_label_values(&[value]);
    }
}

fn register_build_info(registry: &Registry) -> prometheus::Result<()> {
    let build = prometheus::IntGaugeVec::new(
        options("build_info", "1, labelled with version and commit."),
        &["version", "commit"],
    )?;
    build.with_label_values(&[crate::version::VERSION, crate::version::COMMIT]).set(1);
    registry.register(Box::new(build))
}

/// One counter for each outcome, in their order.
fn published_command_webhooks(registry: &Registry, outcomes: &[&str]) -> prometheus::Result<Vec<IntCounter>> {
    let help = "Webhooks whose query names a published command, by outcome.";
    let counters = counters(registry, "published_command_webhooks_total", help, "outcome")?;
    Ok(outcomes.iter().map(|outcome| counters.with_label_values(&[outcome])).collect())
}

impl Metrics {
    /// Declares all metrics. Every known label value starts at 0.
    ///
    /// # Errors
    /// A name or label is declared twice.
    pub fn new(labels: Labels<'_>) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let r = &registry;
        let outcomes = counters(r, "webhooks_total", "Webhooks by outcome.", "outcome")?;
        let ignored_commands =
            counters(r, "ignored_commands_total", "Webhooks of other callback commands.", "command")?;
        let transactions = counters(r, "kafka_transactions_total", "Kafka transactions by result.", "result")?;
        let kafka_errors = counters(r, "kafka_errors_total", "Failed steps of the publisher by kind.", "kind")?;
        preset(&ignored_commands, labels.commands.iter().chain([&OTHER, &NEAR_MISS]));
        let stuck = counters(r, "component_stuck_total", "Components that exceeded their timeout.", "component")?;
        preset(&stuck, &COMPONENTS);
        preset(&kafka_errors, labels.kafka_errors);
        register_build_info(r)?;
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let ms = [0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0];
        let long = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 3600.0, 86400.0];
        let sizes = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 5000.0];
        let skews = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 120.0, 600.0, 3600.0];
        Ok(Self {
            webhooks: labels.outcomes.iter().map(|&label| (label, outcomes.with_label_values(&[label]))).collect(),
            ignored_commands,
            commands: labels.commands.to_vec(),
            ack_seconds: histogram(r, "ack_seconds", "Seconds from the request head to the response.", &ms)?,
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
                "Absolute difference between RequestTime and this clock, in seconds.",
                &skews,
            )?,
            kafka_transactions: TransactionResult::ALL
                .iter()
                .map(|result| transactions.with_label_values(&[result.label()]))
                .collect(),
            kafka_errors,
            read_back_found: register(
                r,
                IntCounter::with_opts(options(
                    "read_back_found_total",
                    "Records that reconciliations found in the topic.",
                ))?,
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
                    "Recalls published directly, because the spool could not be written.",
                ))?,
            )?,
            ack_fallbacks: register(
                r,
                IntCounter::with_opts(options(
                    "ack_fallback_total",
                    "Webhooks acknowledged as spooled, because Kafka did not confirm them in time.",
                ))?,
            )?,
            stuck,
            published_command_webhooks: published_command_webhooks(r, labels.outcomes)?,
            kafka_needs_you: register(
                r,
                IntGauge::with_opts(options(
                    "kafka_needs_you",
                    "1 while publishing waits for a setting, a right or a topic that an operator must change.",
                ))?,
            )?,
            snapshot: parking_lot::Mutex::new(Snapshot::new(r)?),
            registry,
        })
    }

    /// Counts a webhook. `outcome` is an index of [`Labels::outcomes`].
    pub fn count_webhook(&self, outcome: usize) {
        if let Some((_, counter)) = self.webhooks.get(outcome) {
            counter.inc();
        }
    }

    /// Counts a webhook whose query names a published command. `outcome` is an index of [`Labels::outcomes`].
    pub fn count_published_command(&self, outcome: usize) {
        if let Some(counter) = self.published_command_webhooks.get(outcome) {
            counter.inc();
        }
    }

    /// Counts a webhook of another callback command.
    pub fn count_ignored_command(&self, command: &str) {
        let label = self.commands.iter().find(|known| **known == command).unwrap_or(&OTHER);
        self.ignored_commands.with_label_values(&[label]).inc();
    }

    /// Counts a webhook of a command that looks like a published one.
    pub fn count_near_miss(&self) {
        self.ignored_commands.with_label_values(&[NEAR_MISS]).inc();
    }

    /// Counts a transaction.
    pub fn count_transaction(&self, result: TransactionResult) {
        if let Some(counter) = self.kafka_transactions.get(result as usize) {
            counter.inc();
        }
    }

    /// Observes the lag of published records: from these times (UNIX milliseconds) to `now_ms`.
    pub fn observe_publish_lags(&self, times_ms: &[i64], now_ms: i64) {
        let lags = self.publish_lag_seconds.local();
        for time in times_ms {
            lags.observe(Duration::from_millis(now_ms.abs_diff(*time)).as_secs_f64());
        }
        lags.flush();
    }

    /// Counts a failed step of the publisher.
    pub fn count_kafka_error(&self, kind: &str) {
        self.kafka_errors.with_label_values(&[kind]).inc();
    }

    /// Counts a stuck component; `component` is one of [`COMPONENTS`].
    pub fn count_stuck(&self, component: &str) {
        self.stuck.with_label_values(&[component]).inc();
    }

    /// The webhooks of published commands so far, by outcome, in the order of [`Labels::outcomes`].
    pub fn published_command_webhooks(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.webhooks.iter().zip(&self.published_command_webhooks).map(|((label, _), counter)| (*label, counter.get()))
    }

    /// Returns the current metrics in the text format, version 0.0.4.
    ///
    /// # Errors
    /// The encoder failed.
    pub fn render(&self, view: &View) -> prometheus::Result<Vec<u8>> {
        // One scrape at a time: the derived counters are set, then gathered.
        let snapshot = self.snapshot.lock();
        snapshot.set(view);
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}
