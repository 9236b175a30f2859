//! Gauges and derived counters, set at each scrape from one snapshot of the components.

use std::time::Duration;

use prometheus::{IntCounter, IntGauge, Registry};

use super::register::{counters, options, raise, register, signed};
use super::{refused, shares};
use crate::refused::JournalSize;
use crate::spool::{DedupUsage, Progress, Usage};
use crate::telemetry::{self, DropReason};

/// Gauges and derived counters, set at each scrape.
#[derive(Debug)]
pub(super) struct Snapshot {
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
    wal_bytes: IntGauge,
    connections: IntGauge,
    connections_max: IntGauge,
    connections_evicted: IntCounter,
    connections_stalled: IntCounter,
    log_dropped: Vec<(DropReason, IntCounter)>,
    refused: refused::RefusedMetrics,
}

/// The state of the components that a scrape needs.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// The sequence numbers of the spool.
    pub progress: Progress,
    /// The bytes of spool and quarantine.
    pub usage: Usage,
    /// The deduplication window.
    pub dedup: DedupUsage,
    /// Age of the oldest unpublished event.
    pub oldest_age: Duration,
    /// Whether the publisher is ready.
    pub kafka_up: bool,
    /// The TLS state; `None` if the webhook listener does not use TLS.
    pub tls: Option<TlsView>,
    /// Size of the spool's WAL.
    pub wal_bytes: u64,
    /// Open connections to the webhook listener.
    pub connections: u64,
    /// The limit of open connections.
    pub connections_max: u64,
    /// Connections closed because of that limit.
    pub evicted: u64,
    /// Connections closed because the peer did not read.
    pub stalled: u64,
    /// The refused journal.
    pub refused: JournalSize,
}

/// The TLS state that a scrape needs.
#[derive(Debug, Clone, Copy)]
pub struct TlsView {
    /// Started handshakes.
    pub begun: u64,
    /// Successful handshakes.
    pub done: u64,
    /// Failed handshakes.
    pub failed: u64,
    /// When the certificate expires, in UNIX seconds.
    pub expires: i64,
}

impl Snapshot {
    pub(super) fn new(r: &Registry) -> prometheus::Result<Self> {
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
            refused: refused::RefusedMetrics::new(r)?,
            accepted: counter("events_accepted_total", "Events made durable since the start.")?,
            published: counter("records_published_total", "Records known to be in Kafka since the start.")?,
            quarantined: counter(
                "records_quarantined_total",
                "Records moved to quarantine since the start: rejected by Kafka, or corrupted on the disk.",
            )?,
            duplicates: counter(
                "duplicate_events_total",
                "Events not added, because they had been accepted within the deduplication window.",
            )?,
            dedup_ids: gauge("dedup_ids", "Events in the deduplication window.")?,
            dedup_covers: register(
                r,
                prometheus::Gauge::with_opts(options(
                    "dedup_covers_seconds",
                    "Seconds that the deduplication window covers.",
                ))?,
            )?,
            spool_events: gauge("spool_events", "Unpublished events.")?,
            recovered: gauge("spool_recovered_events", "Unpublished events at the start of the process.")?,
            bytes: gauge("spool_bytes", "Bytes of unpublished payload in the spool.")?,
            capacity: gauge("spool_capacity_bytes", "Limit of spool_bytes.")?,
            oldest_age: register(
                r,
                prometheus::Gauge::with_opts(options(
                    "spool_oldest_age_seconds",
                    "Seconds since the oldest unpublished event was accepted.",
                ))?,
            )?,
            quarantine_events: gauge("quarantine_events", "Entries in quarantine.")?,
            quarantine_bytes: gauge("quarantine_bytes", "Bytes in quarantine.")?,
            quarantine_shares: shares::Gauges::new(r)?,
            kafka_up: gauge("kafka_up", "1 while the publisher is ready to publish.")?,
            handshakes_begun: handshakes.with_label_values(&["begun"]),
            handshakes_done: handshakes.with_label_values(&["done"]),
            handshakes_failed: handshakes.with_label_values(&["failed"]),
            wal_bytes: gauge("spool_wal_bytes", "Size of the WAL of the spool, in bytes.")?,
            connections: gauge("webhook_connections", "Open connections to the webhook listener.")?,
            connections_max: gauge("webhook_connections_max", "Limit of webhook_connections.")?,
            connections_evicted: counter(
                "webhook_connections_evicted_total",
                "Connections closed to make room for new ones, or not accepted because all others were busy.",
            )?,
            connections_stalled: counter(
                "webhook_connections_stalled_total",
                "Connections closed because the peer did not read its response.",
            )?,
            certificate_expiry: gauge(
                "tls_certificate_expiry_timestamp_seconds",
                "Expiry of the webhook listener's certificate, in UNIX seconds; 0 without TLS.",
            )?,
        })
    }

    pub(super) fn set(&self, view: &View) {
        let progress = &view.progress;
        raise(&self.accepted, progress.accepted());
        raise(&self.published, progress.published());
        raise(&self.quarantined, progress.quarantined);
        raise(&self.duplicates, view.dedup.duplicates);
        self.dedup_ids.set(signed(view.dedup.ids));
        self.dedup_covers.set(view.dedup.covers.as_secs_f64());
        self.spool_events.set(signed(progress.depth()));
        self.recovered.set(signed(progress.recovered()));
        self.bytes.set(signed(view.usage.bytes));
        self.capacity.set(signed(view.usage.max_bytes));
        self.oldest_age.set(view.oldest_age.as_secs_f64());
        self.quarantine_events.set(signed(view.usage.quarantine_events));
        self.quarantine_bytes.set(signed(view.usage.quarantine_bytes));
        self.quarantine_shares.set(&view.usage);
        self.kafka_up.set(i64::from(view.kafka_up));
        self.wal_bytes.set(signed(view.wal_bytes));
        self.connections.set(signed(view.connections));
        self.connections_max.set(signed(view.connections_max));
        raise(&self.connections_evicted, view.evicted);
        raise(&self.connections_stalled, view.stalled);
        for (reason, counter) in &self.log_dropped {
            raise(counter, telemetry::dropped(*reason));
        }
        self.refused.set(&view.refused);
        if let Some(tls) = &view.tls {
            raise(&self.handshakes_done, tls.done);
            raise(&self.handshakes_failed, tls.failed);
            raise(&self.handshakes_begun, tls.begun);
            self.certificate_expiry.set(tls.expires);
        }
    }
}
