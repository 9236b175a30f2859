//! The checked configuration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::choices::{AckAfter, Delivery, LogFormat, SpoolFailure};
use super::kafka::KafkaProperties;
use super::tls::Tls;
use super::variables::Setting;
use crate::webhook::Apps;

/// The checked configuration. Built by [`Config::load`] or [`Config::from_env`] only.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// The apps and their tokens, from `BRIDGE_APPS` or the file of `BRIDGE_APPS_FILE`.
    pub apps: Apps,
    /// The file the apps came from, to be read again on SIGHUP ([`read_secret_file`]).
    pub apps_file: Option<PathBuf>,
    /// Whether an app without a token is accepted (`BRIDGE_ALLOW_UNSIGNED`).
    pub allow_unsigned: bool,
    /// Where webhooks arrive (`BRIDGE_LISTEN`); port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where metrics, health and status are served (`BRIDGE_OPS_LISTEN`).
    pub ops_listen: SocketAddr,
    /// TLS on the webhook listener (`BRIDGE_TLS_CERT`, `BRIDGE_TLS_KEY`, `BRIDGE_TLS_CLIENT_CA`).
    pub tls: Option<Tls>,
    /// The path of the webhook, from its `/` (`BRIDGE_WEBHOOK_PATH`).
    pub webhook_path: String,
    /// The largest body accepted, in bytes (`BRIDGE_MAX_BODY_BYTES`).
    pub max_body_bytes: usize,
    /// How long a connection may be idle between two webhooks (`BRIDGE_KEEP_ALIVE_SECONDS`).
    pub keep_alive: Duration,
    /// How far a `RequestTime` may be from now, in seconds, either way
    /// (`BRIDGE_REQUEST_TIME_WINDOW_SECONDS`).
    pub request_time_window_seconds: u64,
    /// How long a delivery may take to become durable (`BRIDGE_ACK_TIMEOUT_MS`).
    pub ack_timeout: Duration,
    /// When a delivery is acknowledged (`BRIDGE_ACK_AFTER`).
    pub ack_after: AckAfter,
    /// The directory of the spool (`BRIDGE_SPOOL_DIR`).
    pub spool_dir: PathBuf,
    /// The bound of unpublished payload, in bytes (`BRIDGE_SPOOL_MAX_BYTES`).
    pub spool_max_bytes: u64,
    /// The bound of the quarantine, in bytes (`BRIDGE_QUARANTINE_MAX_BYTES`).
    pub quarantine_max_bytes: u64,
    /// What becomes of a delivery while the spool cannot be written (`BRIDGE_SPOOL_FAILURE`).
    pub spool_failure: SpoolFailure,
    /// How long a delivery is recognized when the sender repeats it; zero: not at all
    /// (`BRIDGE_DEDUP_WINDOW_SECONDS`).
    pub dedup_window: Duration,
    /// The topic the records go to (`BRIDGE_TOPIC`).
    pub topic: String,
    /// Whether to create the topic when it is missing (`BRIDGE_TOPIC_CREATE`).
    pub topic_create: bool,
    /// Partitions of a topic that the bridge creates (`BRIDGE_TOPIC_PARTITIONS`).
    pub topic_partitions: i32,
    /// Replicas of a topic that the bridge creates (`BRIDGE_TOPIC_REPLICATION`).
    pub topic_replication: i32,
    /// How far the promise goes (`BRIDGE_DELIVERY`).
    pub delivery: Delivery,
    /// How long the port stays open after the signal to stop, to answer 503 (`BRIDGE_DRAIN_SECONDS`).
    pub drain: Duration,
    /// How long a stop may take to publish what remains (`BRIDGE_SHUTDOWN_GRACE_SECONDS`).
    pub shutdown_grace: Duration,
    /// The log filter, as `tracing-subscriber` reads it (`BRIDGE_LOG`).
    pub log: String,
    /// The form of a log line; `None`: text on a terminal, else JSON (`BRIDGE_LOG_FORMAT`).
    pub log_format: Option<LogFormat>,
    /// Worker threads of the webhook listener (`BRIDGE_WORKERS`).
    pub workers: usize,
    /// librdkafka's properties (`KAFKA_…`).
    pub kafka: KafkaProperties,
    /// Variables that were taken for Kubernetes' Service variables, or for those of Kafka's own scripts,
    /// and not looked at, by name.
    pub ignored: Vec<String>,
    /// Every `BRIDGE_` variable in effect, in the order of the table.
    pub(super) settings: Vec<Setting>,
}

impl Config {
    /// Every `BRIDGE_` variable in effect, in the order of the table. Files are included only if they are set; `KAFKA_…` is
    /// in [`KafkaProperties::effective`].
    pub fn effective(&self) -> impl Iterator<Item = &Setting> {
        self.settings.iter()
    }
}
