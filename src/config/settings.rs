//! The checked configuration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::choices::{AckAfter, Delivery, LogFormat, SpoolFailure};
use super::kafka::KafkaProperties;
use super::tls::ListenerTls;
use super::variables::Setting;
use crate::webhook::Apps;

/// The checked configuration. Built by [`Config::load`] or [`Config::from_env`] only.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// The apps and their tokens, from `BRIDGE_APPS` or the file of `BRIDGE_APPS_FILE`.
    pub apps: Apps,
    /// The file of the apps, which SIGHUP reads again ([`read_secret_file`](super::read_secret_file)).
    pub apps_file: Option<PathBuf>,
    /// Whether an app without a token is accepted (`BRIDGE_ALLOW_UNSIGNED`).
    pub allow_unsigned: bool,
    /// Address of the webhook listener (`BRIDGE_LISTEN`). Port 0: the system chooses a free port.
    pub listen: SocketAddr,
    /// Address for metrics, health and status (`BRIDGE_OPS_LISTEN`).
    pub ops_listen: SocketAddr,
    /// Whether the page may requeue, drop and replay (`BRIDGE_OPS_ACTIONS`).
    pub ops_actions: bool,
    /// TLS on the webhook listener (`BRIDGE_TLS_CERT`, `BRIDGE_TLS_KEY`, `BRIDGE_TLS_CLIENT_CA`).
    pub tls: Option<ListenerTls>,
    /// The path of the webhook, with its leading `/` (`BRIDGE_WEBHOOK_PATH`).
    pub webhook_path: String,
    /// The maximum size of a body, in bytes, inclusive (`BRIDGE_MAX_BODY_BYTES`).
    pub max_body_bytes: usize,
    /// The maximum idle time of a connection between two webhooks (`BRIDGE_KEEP_ALIVE_SECONDS`).
    pub keep_alive: Duration,
    /// The maximum difference between `RequestTime` and the clock, in seconds, in both directions
    /// (`BRIDGE_REQUEST_TIME_WINDOW_SECONDS`).
    pub request_time_window_seconds: u64,
    /// The maximum time until a webhook is durable (`BRIDGE_ACK_TIMEOUT_MS`).
    pub ack_timeout: Duration,
    /// When a webhook is acknowledged (`BRIDGE_ACK_AFTER`).
    pub ack_after: AckAfter,
    /// The directory of the spool (`BRIDGE_SPOOL_DIR`).
    pub spool_dir: PathBuf,
    /// The limit of unpublished payload, in bytes (`BRIDGE_SPOOL_MAX_BYTES`).
    pub spool_max_bytes: u64,
    /// The limit of the quarantine, in bytes (`BRIDGE_QUARANTINE_MAX_BYTES`).
    pub quarantine_max_bytes: u64,
    /// How webhooks are handled while the spool cannot be written (`BRIDGE_SPOOL_FAILURE`).
    pub spool_failure: SpoolFailure,
    /// The length of the deduplication window; zero: off (`BRIDGE_DEDUP_WINDOW_SECONDS`).
    pub dedup_window: Duration,
    /// The topic of the records (`BRIDGE_TOPIC`).
    pub topic: String,
    /// Whether to create the topic if it does not exist (`BRIDGE_TOPIC_CREATE`).
    pub topic_create: bool,
    /// Partitions of a topic that the bridge creates (`BRIDGE_TOPIC_PARTITIONS`).
    pub topic_partitions: i32,
    /// Replicas of a topic that the bridge creates (`BRIDGE_TOPIC_REPLICATION`).
    pub topic_replication: i32,
    /// The delivery guarantee (`BRIDGE_DELIVERY`).
    pub delivery: Delivery,
    /// How long the port stays open after the signal to stop and answers 503 (`BRIDGE_DRAIN_SECONDS`).
    pub drain: Duration,
    /// The shutdown grace period, in which the backlog is published (`BRIDGE_SHUTDOWN_GRACE_SECONDS`).
    pub shutdown_grace: Duration,
    /// The log filter, in the syntax of `tracing-subscriber` (`BRIDGE_LOG`).
    pub log: String,
    /// The format of log lines (`BRIDGE_LOG_FORMAT`). `None`: text on a terminal, otherwise JSON.
    pub log_format: Option<LogFormat>,
    /// Worker threads of the webhook listener (`BRIDGE_WORKERS`).
    pub workers: usize,
    /// librdkafka's properties (`KAFKA_…`).
    pub kafka: KafkaProperties,
    /// Names of ignored variables: those of Kubernetes Services and of Kafka's scripts.
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
