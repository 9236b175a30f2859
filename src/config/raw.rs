//! The environment as it is: every value a string, so that reading never stops at the first fault.

use serde::Deserialize;

/// One field per `BRIDGE_` variable, flat: envy cannot flatten typed fields.
///
/// No `Debug`: `apps` holds tokens.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) apps: Option<String>,
    pub(super) apps_file: Option<String>,
    pub(super) allow_unsigned: Option<String>,
    pub(super) listen: Option<String>,
    pub(super) ops_listen: Option<String>,
    pub(super) webhook_path: Option<String>,
    pub(super) tls_cert: Option<String>,
    pub(super) tls_key: Option<String>,
    pub(super) tls_client_ca: Option<String>,
    pub(super) max_body_bytes: Option<String>,
    pub(super) keep_alive_seconds: Option<String>,
    pub(super) request_time_window_seconds: Option<String>,
    pub(super) ack_timeout_ms: Option<String>,
    pub(super) ack_after: Option<String>,
    pub(super) spool_dir: Option<String>,
    pub(super) spool_max_bytes: Option<String>,
    pub(super) quarantine_max_bytes: Option<String>,
    pub(super) spool_failure: Option<String>,
    pub(super) dedup_window_seconds: Option<String>,
    pub(super) topic: Option<String>,
    pub(super) topic_create: Option<String>,
    pub(super) topic_partitions: Option<String>,
    pub(super) topic_replication: Option<String>,
    pub(super) delivery: Option<String>,
    pub(super) drain_seconds: Option<String>,
    pub(super) shutdown_grace_seconds: Option<String>,
    pub(super) log: Option<String>,
    pub(super) log_format: Option<String>,
    pub(super) workers: Option<String>,
}
