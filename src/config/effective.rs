//! What is in effect, for people to read.

use super::Config;
use super::secret::HIDDEN;

/// One variable as it is in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The variable.
    pub name: &'static str,
    /// Its value as one would write it; a secret is `***`.
    pub value: String,
    /// Whether the variable was not set, so that the value is the default.
    pub is_default: bool,
}

impl Config {
    /// Every `BRIDGE_` variable in effect, in the order of the documentation's table.
    ///
    /// `BRIDGE_APPS_FILE` and `BRIDGE_TLS_…` are there only when they were set; `KAFKA_…` is in
    /// [`KafkaProperties::effective`](super::KafkaProperties::effective).
    pub fn effective(&self) -> impl Iterator<Item = Setting> {
        let apps_file = self.apps_file.as_ref();
        let tls = self.tls.as_ref().map(|tls| &tls.files);
        let path = |path: &std::path::PathBuf| path.display().to_string();
        let format = self.log_format.map_or("json (text on a terminal)", super::LogFormat::as_str);
        [
            ("BRIDGE_APPS", Some(HIDDEN.to_owned())),
            ("BRIDGE_APPS_FILE", apps_file.map(path)),
            ("BRIDGE_ALLOW_UNSIGNED", Some(self.allow_unsigned.to_string())),
            ("BRIDGE_LISTEN", Some(self.listen.to_string())),
            ("BRIDGE_OPS_LISTEN", Some(self.ops_listen.to_string())),
            ("BRIDGE_WEBHOOK_PATH", Some(self.webhook_path.clone())),
            ("BRIDGE_TLS_CERT", tls.map(|tls| path(&tls.cert))),
            ("BRIDGE_TLS_KEY", tls.map(|tls| path(&tls.key))),
            ("BRIDGE_TLS_CLIENT_CA", tls.and_then(|tls| tls.client_ca.as_ref()).map(path)),
            ("BRIDGE_MAX_BODY_BYTES", Some(self.max_body_bytes.to_string())),
            ("BRIDGE_KEEP_ALIVE_SECONDS", Some(self.keep_alive.as_secs().to_string())),
            ("BRIDGE_REQUEST_TIME_WINDOW_SECONDS", Some(self.request_time_window_seconds.to_string())),
            ("BRIDGE_ACK_TIMEOUT_MS", Some(self.ack_timeout.as_millis().to_string())),
            ("BRIDGE_ACK_AFTER", Some(self.ack_after.as_str().to_owned())),
            ("BRIDGE_SPOOL_DIR", Some(self.spool_dir.display().to_string())),
            ("BRIDGE_SPOOL_MAX_BYTES", Some(self.spool_max_bytes.to_string())),
            ("BRIDGE_QUARANTINE_MAX_BYTES", Some(self.quarantine_max_bytes.to_string())),
            ("BRIDGE_SPOOL_FAILURE", Some(self.spool_failure.as_str().to_owned())),
            ("BRIDGE_DEDUP_WINDOW_SECONDS", Some(self.dedup_window.as_secs().to_string())),
            ("BRIDGE_TOPIC", Some(self.topic.clone())),
            ("BRIDGE_TOPIC_CREATE", Some(self.topic_create.to_string())),
            ("BRIDGE_TOPIC_PARTITIONS", Some(self.topic_partitions.to_string())),
            ("BRIDGE_TOPIC_REPLICATION", Some(self.topic_replication.to_string())),
            ("BRIDGE_DELIVERY", Some(self.delivery.as_str().to_owned())),
            ("BRIDGE_DRAIN_SECONDS", Some(self.drain.as_secs().to_string())),
            ("BRIDGE_SHUTDOWN_GRACE_SECONDS", Some(self.shutdown_grace.as_secs().to_string())),
            ("BRIDGE_LOG", Some(self.log.clone())),
            ("BRIDGE_LOG_FORMAT", Some(format.to_owned())),
            ("BRIDGE_WORKERS", Some(self.workers.to_string())),
        ]
        .into_iter()
        .filter_map(|(name, value)| {
            Some(Setting {
                name,
                value: value?,
                // The apps have no default, wherever they were read from.
                is_default: name != "BRIDGE_APPS" && !self.given.contains(name),
            })
        })
    }
}
