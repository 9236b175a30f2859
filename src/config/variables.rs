//! The table of the bridge's variables. Parsing, hints for unknown names, `check-config` and the table in docs/configuration.md use it.

use std::time::Duration;

use serde::Deserialize;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
/// `SQLite` counts in signed 64 bits.
const MOST_BYTES: u64 = i64::MAX.unsigned_abs();
/// The limit of `actix-server`.
const MOST_WORKERS: u64 = 512;
/// The longest `BRIDGE_DEDUP_WINDOW_SECONDS`.
pub const MAX_DEDUP_WINDOW: Duration = Duration::from_secs(86_400);

/// The prefix of the bridge's own variables.
pub(super) const BRIDGE: &str = "BRIDGE_";

/// A variable of the bridge.
#[derive(Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its values, with the default.
    pub values: Values,
    /// What it sets, as docs/configuration.md says it.
    pub help: &'static str,
}

/// The values of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// A secret; required, here or in a file.
    Secret,
    /// The path of a file. Default: none.
    File,
    /// Text with this default.
    Text(&'static str),
    /// `true` or `false`. Default: `false`.
    Flag,
    /// One of these words. Default: the first.
    Words(&'static [&'static str]),
    /// A whole number from `least` to `most`.
    Number {
        /// The default.
        default: u64,
        /// The smallest value.
        least: u64,
        /// The largest value.
        most: u64,
        /// What it counts.
        unit: &'static str,
    },
    /// A number of threads up to this one. Default: the number of cores.
    Threads(u64),
}

/// A variable in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The variable.
    pub name: &'static str,
    /// Its value in the form in which it is set. A secret is `***`.
    pub value: String,
    /// Whether the value is the default.
    pub is_default: bool,
}

const fn number(default: u64, least: u64, most: u64, unit: &'static str) -> Values {
    Values::Number { default, least, most, unit }
}

/// For each row: a constant, a field of [`Raw`], and an element of [`VARIABLES`].
macro_rules! variables {
    ($($constant:ident $field:ident: $values:expr, $help:literal;)*) => {
        $(pub(super) const $constant: &Variable =
            &Variable { name: concat!("BRIDGE_", stringify!($constant)), values: $values, help: $help };)*

        /// All variables, in the order of docs/configuration.md.
        pub const VARIABLES: &[&Variable] = &[$($constant),*];

        /// The environment: every value is text, so that all errors are found at once.
        ///
        /// No `Debug`: `apps` holds tokens.
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct Raw {
            $($field: Option<String>,)*
        }

        impl Raw {
            /// The text of a variable, if it is set.
            pub(super) fn text(&self, variable: &Variable) -> Option<&str> {
                $(if variable.name == $constant.name {
                    return self.$field.as_deref();
                })*
                None
            }

            /// Sets a variable.
            pub(super) fn set(&mut self, variable: &Variable, text: String) {
                $(if variable.name == $constant.name {
                    self.$field = Some(text);
                    return;
                })*
            }
        }
    };
}

variables! {
    APPS apps: Values::Secret,
        "`sdkappid:token`, several separated by commas or lines; `sdkappid:token\\|token` while rotating";
    APPS_FILE apps_file: Values::File, "a file with that content instead; read again on SIGHUP";
    ALLOW_UNSIGNED allow_unsigned: Values::Flag, "accept apps without a token";
    LISTEN listen: Values::Text("0.0.0.0:8080"), "address for webhooks; port 0: the system chooses, the log shows which";
    OPS_LISTEN ops_listen: Values::Text("127.0.0.1:9100"),
        "address for metrics, health and status, on another port than the webhooks. `0.0.0.0:9100` in the image";
    OPS_ACTIONS ops_actions: Values::Flag,
        "the [page](operations.md#the-page) may requeue, drop and replay; see [security](security.md#the-page)";
    WEBHOOK_PATH webhook_path: Values::Text("/"), "the only path that accepts webhooks";
    MAX_BODY_BYTES max_body_bytes: number(65_536, KIB, 16 * MIB, "bytes"), "maximum size of a body";
    KEEP_ALIVE_SECONDS keep_alive_seconds: number(75, 1, 3600, "seconds"),
        "how long a connection may be idle between two webhooks; longer than the load balancer keeps its connections";
    REQUEST_TIME_WINDOW_SECONDS request_time_window_seconds: number(60, 1, 86_400, "seconds"),
        "maximum difference between `RequestTime` and the clock, in both directions";
    ACK_TIMEOUT_MS ack_timeout_ms: number(1500, 50, 10_000, "milliseconds"),
        "a webhook that is not durable by then is answered 503; the sender gives up after 2000";
    ACK_AFTER ack_after: Values::Words(&["spooled", "published"]),
        "when a webhook is acknowledged: durable on the disk, or in Kafka. If Kafka does not confirm within the time above \
         (less 0.1 s), the disk is enough";
    SPOOL_DIR spool_dir: Values::Text("./spool"),
        "a directory on a local disk, created if it is missing. `/var/lib/recall-bridge` in the image";
    SPOOL_MAX_BYTES spool_max_bytes: number(GIB, MIB, MOST_BYTES, "bytes"), "limit of unpublished payload";
    QUARANTINE_MAX_BYTES quarantine_max_bytes: number(64 * MIB, 64 * KIB, MOST_BYTES, "bytes"),
        "limit of the quarantine; a quarter of it for `stale` webhooks";
    SPOOL_FAILURE spool_failure: Values::Words(&["refuse", "publish"]),
        "while the spool cannot be written: refuse webhooks, or publish them to Kafka directly and acknowledge them after \
         Kafka did; see [guarantees](guarantees.md)";
    DEDUP_WINDOW_SECONDS dedup_window_seconds: number(600, 0, MAX_DEDUP_WINDOW.as_secs(), "seconds"),
        "how long a recall is remembered, so that a duplicate is acknowledged and not published again; 0: off. At most the \
         newest 917,504 are remembered, in 25 MB";
    TOPIC topic: Values::Text("official-account.recalls"), "the topic of the records";
    TOPIC_CREATE topic_create: Values::Flag,
        "create the topic if it is missing, with `cleanup.policy=delete`, `message.timestamp.type=LogAppendTime`";
    TOPIC_PARTITIONS topic_partitions: number(6, 1, 100_000, "partitions"), "of a topic that the bridge creates";
    // Kafka's protocol has 16 bits for it.
    TOPIC_REPLICATION topic_replication: number(3, 1, 32_767, "replicas"), "of a topic that the bridge creates";
    DELIVERY delivery: Values::Words(&["exactly_once", "at_least_once"]), "see [guarantees](guarantees.md)";
    DRAIN_SECONDS drain_seconds: number(2, 0, 300, "seconds"),
        "how long the port stays open after the signal to stop: webhooks and `/readyz` are answered 503";
    SHUTDOWN_GRACE_SECONDS shutdown_grace_seconds: number(20, 0, 3600, "seconds"),
        "how long a stop may take to publish the backlog";
    LOG log: Values::Text("info"), "a level, or a filter such as `info,librdkafka=debug`";
    LOG_FORMAT log_format: Values::Words(&["json", "text"]),
        "`text` is the default on a terminal. The log goes to stderr and never delays the service: see \
         [architecture.md](architecture.md#output)";
    WORKERS workers: Values::Threads(MOST_WORKERS), "threads of the webhook listener";
    TLS_CERT tls_cert: Values::File,
        "a PEM file of the certificate, followed by the intermediate certificates: webhooks then use TLS 1.2 or 1.3 only; \
         read again on SIGHUP";
    TLS_KEY tls_key: Values::File, "a PEM file of its private key; read again on SIGHUP";
    TLS_CLIENT_CA tls_client_ca: Values::File,
        "a PEM file of CA certificates: peers need a certificate that one of them issued; read again on SIGHUP";
}

impl Variable {
    /// The variable of this name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        VARIABLES.iter().copied().find(|variable| variable.name == name)
    }

    /// Its row in the table of docs/configuration.md.
    pub fn document_row(&self) -> String {
        let code = |text: &str| format!("`{text}`");
        let (default, range) = match self.values {
            Values::Secret => ("required".to_owned(), String::new()),
            Values::File => (String::new(), String::new()),
            Values::Text(default) => (code(default), String::new()),
            Values::Flag => (code("false"), String::new()),
            Values::Words(words) => {
                let all: Vec<String> = words.iter().map(|word| code(word)).collect();
                (words.first().map(|word| code(word)).unwrap_or_default(), all.join(" or "))
            }
            Values::Number { default, least, most: MOST_BYTES, .. } => {
                (code(&default.to_string()), format!("at least {least}"))
            }
            Values::Number { default, least, most, .. } => (code(&default.to_string()), format!("{least} to {most}")),
            Values::Threads(most) => ("number of cores".to_owned(), format!("1 to {most}")),
        };
        let separator = if range.is_empty() { "" } else { "; " };
        let row = format!("| `{}` | {default} | {}{separator}{range} |", self.name, self.help);
        row.replace("|  |", "| |")
    }
}
