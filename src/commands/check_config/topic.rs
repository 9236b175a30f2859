//! Is the topic one that keeps what is published to it? A setting that works, but loses or refuses
//! recalls one day, is a warning; one that cannot work is a problem.

use std::fmt;

use rdkafka::ClientConfig;
use serde::Serialize;

use crate::config::Config;
use crate::events;
use crate::publisher::kafka::describe::{self, Settings};
use crate::publisher::kafka::errors::Trouble;

#[cfg(test)]
#[path = "topic_tests.rs"]
mod tests;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const WEEK_MS: u64 = 7 * DAY_MS;
/// librdkafka's own defaults.
const MESSAGE_MAX_BYTES: u64 = 1_000_000;
const BATCH_SIZE: u64 = 1_000_000;

/// A setting worth changing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Warning {
    /// The setting, of the topic or of the bridge.
    setting: &'static str,
    value: String,
    why: String,
    fix: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}: {}; {}", self.setting, self.value, self.why, self.fix)
    }
}

/// What was found, for people; warnings apart.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) lines: Vec<String>,
    pub(super) warnings: Vec<Warning>,
    /// What cannot work.
    pub(super) problems: Vec<String>,
}

impl Findings {
    /// Adds what was found elsewhere.
    pub(super) fn add(&mut self, other: Self) {
        self.lines.extend(other.lines);
        self.warnings.extend(other.warnings);
        self.problems.extend(other.problems);
    }
}

/// Looks at a topic that is there.
///
/// # Errors
/// The broker does not answer.
pub(super) fn look(client: &ClientConfig, config: &Config) -> Result<Findings, Trouble> {
    let mut findings = Findings::default();
    let replicas = describe::replicas(client, &config.topic)?;
    let settings = match describe::settings(client, &config.topic) {
        Ok(settings) => settings,
        Err(trouble) => {
            let hint = if trouble.kind == "authorization" {
                "; allow DescribeConfigs on the topic to have them checked"
            } else {
                ""
            };
            findings
                .lines
                .push(format!("topic {}: its settings could not be looked at ({trouble}){hint}", config.topic));
            Settings::new()
        }
    };
    let topic = Topic { config, settings: &settings, replicas };
    findings.warnings = topic.warnings();
    findings.problems.extend(topic.problem());
    Ok(findings)
}

/// Looks at what a topic would be that the bridge is to create.
pub(super) fn look_ahead(config: &Config, brokers: usize) -> Vec<Warning> {
    let value = config.topic_replication.to_string();
    let warning = |why: String, fix: &str| {
        vec![Warning { setting: "BRIDGE_TOPIC_REPLICATION", value: value.clone(), why, fix: fix.to_owned() }]
    };
    let wanted = usize::try_from(config.topic_replication).unwrap_or(0);
    if wanted > brokers {
        let why = format!("there are {brokers} broker(s), so that the topic cannot be created");
        return warning(why, "start more brokers, or set it lower");
    }
    if wanted == 1 {
        let why = "one copy: a broker that is lost takes records with it, and nothing is published while it is away";
        return warning(why.to_owned(), "set 3, where there are brokers for it");
    }
    Vec::new()
}

/// The largest record that a delivery can become, its batch included.
fn largest_record(config: &Config) -> u64 {
    // At most 16 MiB.
    let body = u64::try_from(config.max_body_bytes).unwrap_or(u64::from(u32::MAX));
    events::record_bytes_max(body)
}

struct Topic<'a> {
    config: &'a Config,
    settings: &'a Settings,
    replicas: usize,
}

impl Topic<'_> {
    fn get(&self, setting: &str) -> Option<&str> {
        self.settings.get(setting).map(String::as_str)
    }

    /// A setting that is a number; -1, which stands for no bound, is none.
    fn number(&self, setting: &str) -> Option<u64> {
        self.get(setting)?.parse().ok()
    }

    /// What is set for librdkafka.
    fn property(&self, name: &str, default: u64) -> u64 {
        let client = self.config.kafka.client_config();
        client.get(name).and_then(|value| value.parse().ok()).unwrap_or(default)
    }

    fn set(&self, change: &str) -> String {
        let servers = self.config.kafka.bootstrap_servers();
        let topic = &self.config.topic;
        format!(
            "kafka-configs.sh --bootstrap-server {servers} --alter --entity-type topics --entity-name {topic} --add-config {change}"
        )
    }

    fn warn(&self, setting: &'static str, why: impl Into<String>, change: &str) -> Warning {
        let value = self.get(setting).unwrap_or_default().to_owned();
        Warning { setting, value, why: why.into(), fix: self.set(change) }
    }

    fn warnings(&self) -> Vec<Warning> {
        let found = [
            self.compacted(),
            self.one_copy(),
            self.one_in_sync(),
            self.unclean_election(),
            self.retention(),
            self.old_records(),
            self.large_records(),
            self.large_records_here(),
            self.large_batches(),
        ];
        found.into_iter().flatten().collect()
    }

    /// Every write would be refused.
    fn problem(&self) -> Option<String> {
        let needed = self.number("min.insync.replicas")?;
        let have = u64::try_from(self.replicas).ok()?;
        (have > 0 && needed > have).then(|| {
            format!(
                "topic {}: min.insync.replicas={needed}, but it has {have} replica(s): nothing can be published; {}",
                self.config.topic,
                self.set(&format!("min.insync.replicas={have}"))
            )
        })
    }

    fn compacted(&self) -> Option<Warning> {
        let is_compacted = self.get("cleanup.policy")?.contains("compact");
        let why = "compaction keeps the newest recall of each account and removes the others";
        is_compacted.then(|| self.warn("cleanup.policy", why, "cleanup.policy=delete"))
    }

    fn one_copy(&self) -> Option<Warning> {
        (self.replicas == 1).then(|| Warning {
            setting: "replication factor",
            value: "1".to_owned(),
            why: "a broker that is lost takes records with it, and nothing is published while it is away".to_owned(),
            fix: "give each partition three replicas with kafka-reassign-partitions.sh, or create the topic anew with \
                  --replication-factor 3"
                .to_owned(),
        })
    }

    fn one_in_sync(&self) -> Option<Warning> {
        let why = "a record counts as written when one broker has it, and is lost with that broker";
        (self.number("min.insync.replicas")? == 1)
            .then(|| self.warn("min.insync.replicas", why, "min.insync.replicas=2"))
    }

    fn unclean_election(&self) -> Option<Warning> {
        let why = "a replica that lags may become leader, and what it lacks is lost though Kafka confirmed it";
        (self.get("unclean.leader.election.enable")? == "true")
            .then(|| self.warn("unclean.leader.election.enable", why, "unclean.leader.election.enable=false"))
    }

    fn retention(&self) -> Option<Warning> {
        let why = "records are removed before a consumer, or a node that was down, has read them";
        (self.number("retention.ms")? < DAY_MS)
            .then(|| self.warn("retention.ms", why, &format!("retention.ms={WEEK_MS}")))
    }

    /// A record carries the time of its receipt, and may have waited in a spool since.
    fn old_records(&self) -> Option<Warning> {
        const SETTING: &str = "message.timestamp.before.max.ms";
        let by_receipt = self.get("message.timestamp.type")? == "CreateTime";
        let why = "recalls that waited longer than that in an outage are refused and go to quarantine";
        (by_receipt && self.number(SETTING)? < WEEK_MS)
            .then(|| self.warn(SETTING, why, "message.timestamp.type=LogAppendTime"))
    }

    fn large_records(&self) -> Option<Warning> {
        let needed = largest_record(self.config);
        let why = format!(
            "a delivery of BRIDGE_MAX_BODY_BYTES={} can need {needed}, and goes to quarantine",
            self.config.max_body_bytes
        );
        (self.number("max.message.bytes")? < needed)
            .then(|| self.warn("max.message.bytes", why, &format!("max.message.bytes={}", needed.max(1_048_588))))
    }

    fn large_records_here(&self) -> Option<Warning> {
        let needed = largest_record(self.config);
        let limit = self.property("message.max.bytes", MESSAGE_MAX_BYTES);
        (limit < needed).then(|| Warning {
            setting: "KAFKA_MESSAGE_MAX_BYTES",
            value: limit.to_string(),
            why: format!(
                "a delivery of BRIDGE_MAX_BODY_BYTES={} can need {needed}, and goes to quarantine",
                self.config.max_body_bytes
            ),
            fix: format!("set KAFKA_MESSAGE_MAX_BYTES={needed}, and the topic's max.message.bytes not below it"),
        })
    }

    /// While a backlog drains, batches are as large as the client lets them be.
    fn large_batches(&self) -> Option<Warning> {
        let batch = self.property("batch.size", BATCH_SIZE).min(self.property("message.max.bytes", MESSAGE_MAX_BYTES));
        let limit = self.number("max.message.bytes")?;
        (limit < batch).then(|| Warning {
            setting: "KAFKA_BATCH_SIZE",
            value: batch.to_string(),
            why: format!(
                "the topic's max.message.bytes={limit} is smaller: batches may be refused and have to be sent again in \
                 smaller ones while a backlog drains"
            ),
            fix: format!("set KAFKA_BATCH_SIZE={limit}"),
        })
    }
}
