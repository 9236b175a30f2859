//! Checks the settings of the topic. A *warning* is a setting with which Kafka can lose or reject records later. A
//! *problem* is a setting with which no record can be published.

use std::fmt;

use rdkafka::ClientConfig;
use serde::Serialize;

use crate::config::Config;
use crate::events;
use crate::publisher::kafka::describe::{self, Settings};
use crate::publisher::kafka::errors::StepError;

#[cfg(test)]
#[path = "topic_tests.rs"]
mod tests;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const WEEK_MS: u64 = 7 * DAY_MS;
/// The defaults of librdkafka.
const MESSAGE_MAX_BYTES: u64 = 1_000_000;
const BATCH_SIZE: u64 = 1_000_000;
const ONE_COPY: &str = "the loss of one broker loses records, and no record is published while that broker is down";

/// What a setting does to recalls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::commands) enum Severity {
    /// Recalls are lost or refused while everything works.
    Loses,
    /// Recalls are lost, or not published, when something else fails.
    Risky,
}

/// A setting that should be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::commands) struct Warning {
    pub(in crate::commands) severity: Severity,
    /// Name of the setting, of the topic or of the bridge.
    pub(in crate::commands) setting: &'static str,
    pub(in crate::commands) value: String,
    pub(in crate::commands) why: String,
    pub(in crate::commands) fix: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}: {}; {}", self.setting, self.value, self.why, self.fix)
    }
}

/// The result of the checks.
#[derive(Debug, Default)]
pub(in crate::commands) struct Findings {
    pub(in crate::commands) lines: Vec<String>,
    pub(in crate::commands) warnings: Vec<Warning>,
    /// Settings with which no record can be published.
    pub(in crate::commands) problems: Vec<String>,
}

impl Findings {
    /// Adds the findings of another check.
    pub(super) fn add(&mut self, other: Self) {
        self.lines.extend(other.lines);
        self.warnings.extend(other.warnings);
        self.problems.extend(other.problems);
    }
}

/// Checks an existing topic.
///
/// # Errors
/// The broker does not respond.
pub(in crate::commands) fn look(client: &ClientConfig, config: &Config) -> Result<Findings, StepError> {
    let mut findings = Findings::default();
    let replicas = describe::replicas(client, &config.topic)?;
    let settings = match describe::settings(client, &config.topic) {
        Ok(settings) => settings,
        Err(error) => {
            let hint =
                if error.kind == "authorization" { "; to check them, allow DescribeConfigs on the topic" } else { "" };
            findings.lines.push(format!("topic {}: its settings cannot be read ({error}){hint}", config.topic));
            Settings::new()
        }
    };
    let topic = TopicCheck { config, settings: &settings, replicas };
    findings.warnings = topic.warnings();
    findings.problems.extend(topic.problem());
    Ok(findings)
}

/// Checks the settings of the bridge that no broker is needed for.
pub(in crate::commands) fn look_here(config: &Config) -> Vec<Warning> {
    TopicCheck { config, settings: &Settings::new(), replicas: 0 }.large_records_here().into_iter().collect()
}

/// Checks the settings of a topic that the bridge will create.
pub(super) fn look_ahead(config: &Config, brokers: usize) -> Findings {
    let replication = config.topic_replication;
    let mut findings = Findings::default();
    if usize::try_from(replication).unwrap_or(0) > brokers {
        findings.problems.push(format!(
            "BRIDGE_TOPIC_REPLICATION={replication}: the topic cannot be created with {brokers} broker(s); start more \
             brokers, or set a lower number"
        ));
    } else if replication == 1 {
        findings.warnings.push(Warning {
            severity: Severity::Risky,
            setting: "BRIDGE_TOPIC_REPLICATION",
            value: replication.to_string(),
            why: ONE_COPY.to_owned(),
            fix: "set 3, if three brokers exist".to_owned(),
        });
    }
    findings
}

/// The size of the largest record of a webhook, in bytes, including its batch header.
fn largest_record(config: &Config) -> u64 {
    // At most 16 MiB.
    let body = u64::try_from(config.max_body_bytes).unwrap_or(u64::from(u32::MAX));
    events::record_bytes_max(body)
}

struct TopicCheck<'a> {
    config: &'a Config,
    settings: &'a Settings,
    replicas: usize,
}

impl TopicCheck<'_> {
    fn get(&self, setting: &str) -> Option<&str> {
        self.settings.get(setting).map(String::as_str)
    }

    /// The value of a numeric setting. `None` for -1, which means no limit.
    fn number(&self, setting: &str) -> Option<u64> {
        self.get(setting)?.parse().ok()
    }

    /// The value of a property of librdkafka.
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

    fn warn(&self, severity: Severity, setting: &'static str, why: impl Into<String>, change: &str) -> Warning {
        let value = self.get(setting).unwrap_or_default().to_owned();
        Warning { severity, setting, value, why: why.into(), fix: self.set(change) }
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

    /// The problem, if Kafka would reject every record.
    fn problem(&self) -> Option<String> {
        let needed = self.number("min.insync.replicas")?;
        let have = u64::try_from(self.replicas).ok()?;
        (have > 0 && needed > have).then(|| {
            format!(
                "topic {}: min.insync.replicas={needed} with {have} replica(s): no record can be published; {}",
                self.config.topic,
                self.set(&format!("min.insync.replicas={have}"))
            )
        })
    }

    fn compacted(&self) -> Option<Warning> {
        let is_compacted = self.get("cleanup.policy")?.contains("compact");
        let why = "compaction keeps only the newest recall of each account";
        is_compacted.then(|| self.warn(Severity::Loses, "cleanup.policy", why, "cleanup.policy=delete"))
    }

    fn one_copy(&self) -> Option<Warning> {
        (self.replicas == 1).then(|| Warning {
            severity: Severity::Risky,
            setting: "replication factor",
            value: "1".to_owned(),
            why: ONE_COPY.to_owned(),
            fix:
                "give each partition three replicas with kafka-reassign-partitions.sh, or create the topic again with \
                  --replication-factor 3"
                    .to_owned(),
        })
    }

    fn one_in_sync(&self) -> Option<Warning> {
        let why = "Kafka confirms a record that only one broker has; the loss of that broker loses the record";
        (self.number("min.insync.replicas")? == 1)
            .then(|| self.warn(Severity::Risky, "min.insync.replicas", why, "min.insync.replicas=2"))
    }

    fn unclean_election(&self) -> Option<Warning> {
        let why = "a replica that is behind can become leader; confirmed records that it does not have are lost";
        (self.get("unclean.leader.election.enable")? == "true").then(|| {
            self.warn(Severity::Risky, "unclean.leader.election.enable", why, "unclean.leader.election.enable=false")
        })
    }

    fn retention(&self) -> Option<Warning> {
        let why = "Kafka may delete records before a consumer, or a restarted node, has read them";
        (self.number("retention.ms")? < DAY_MS)
            .then(|| self.warn(Severity::Loses, "retention.ms", why, &format!("retention.ms={WEEK_MS}")))
    }

    /// The timestamp of a record is its time of receipt. A record can wait in a spool for days after it.
    fn old_records(&self) -> Option<Warning> {
        const SETTING: &str = "message.timestamp.before.max.ms";
        let by_receipt = self.get("message.timestamp.type")? == "CreateTime";
        let why = "Kafka rejects recalls that waited longer than this during an outage; they go to quarantine";
        (by_receipt && self.number(SETTING)? < WEEK_MS)
            .then(|| self.warn(Severity::Loses, SETTING, why, "message.timestamp.type=LogAppendTime"))
    }

    fn large_records(&self) -> Option<Warning> {
        let needed = largest_record(self.config);
        let why = format!(
            "the record of a webhook of BRIDGE_MAX_BODY_BYTES={} can need {needed} bytes, and goes to quarantine",
            self.config.max_body_bytes
        );
        (self.number("max.message.bytes")? < needed).then(|| {
            self.warn(
                Severity::Loses,
                "max.message.bytes",
                why,
                &format!("max.message.bytes={}", needed.max(1_048_588)),
            )
        })
    }

    fn large_records_here(&self) -> Option<Warning> {
        let needed = largest_record(self.config);
        let limit = self.property("message.max.bytes", MESSAGE_MAX_BYTES);
        (limit < needed).then(|| Warning {
            severity: Severity::Loses,
            setting: "KAFKA_MESSAGE_MAX_BYTES",
            value: limit.to_string(),
            why: format!(
                "the record of a webhook of BRIDGE_MAX_BODY_BYTES={} can need {needed} bytes, and goes to quarantine",
                self.config.max_body_bytes
            ),
            fix: format!(
                "set KAFKA_MESSAGE_MAX_BYTES={needed}, and the topic's max.message.bytes to this value or more"
            ),
        })
    }

    /// While a backlog is published, batches reach the limit of the client.
    fn large_batches(&self) -> Option<Warning> {
        let batch = self.property("batch.size", BATCH_SIZE).min(self.property("message.max.bytes", MESSAGE_MAX_BYTES));
        let limit = self.number("max.message.bytes")?;
        (limit < batch).then(|| Warning {
            severity: Severity::Risky,
            setting: "KAFKA_BATCH_SIZE",
            value: batch.to_string(),
            why: format!(
                "the topic's max.message.bytes={limit} is smaller: while a backlog is published, Kafka may reject \
                 batches, which librdkafka then splits and sends again"
            ),
            fix: format!("set KAFKA_BATCH_SIZE={limit}"),
        })
    }
}
