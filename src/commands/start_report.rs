//! The log lines of a start that say what runs with which settings, and what `check-config` would warn of.

use std::time::Duration;

use super::check_config::topic::{self, Warning};
use crate::app::App;
use crate::config::Config;
use crate::ops::status::{KafkaCell, KafkaState};
use crate::version;

/// How often to look whether Kafka is connected.
const POLL: Duration = Duration::from_millis(500);

/// Writes one line about the process and its settings, and one for each warning that needs no broker.
pub(super) fn started(config: &Config, app: &App) {
    let apps: Vec<String> = config.apps.ids().map(|id| id.to_string()).collect();
    tracing::info!(
        event = "started",
        version = version::VERSION,
        commit = version::COMMIT,
        brokers = config.kafka.bootstrap_servers(),
        topic = config.topic,
        delivery = config.delivery.as_str(),
        apps = apps.join(" "),
        dir = %config.spool_dir.display(),
        waiting = app.shared().spool.progress().depth(),
        "recall-bridge started"
    );
    topic::look_here(config).iter().for_each(warn);
}

/// Waits until Kafka is connected, then reads the topic's settings on a separate thread, once, and writes one line for
/// each warning. Nothing waits for it.
pub(super) async fn check_topic(config: Config, kafka: KafkaCell) {
    while kafka.get().state != KafkaState::Ready {
        tokio::time::sleep(POLL).await;
    }
    let thread = std::thread::Builder::new().name("topic-check".to_owned());
    if let Err(error) = thread.spawn(move || log_topic(&config)) {
        tracing::info!(event = "topic_not_checked", %error, "the settings of the topic were not checked");
    }
}

fn log_topic(config: &Config) {
    match topic::look(&config.kafka.client_config(), config) {
        Ok(found) => {
            for reason in found.lines {
                tracing::info!(event = "topic_not_checked", reason, "the settings of the topic were not checked");
            }
            let here = topic::look_here(config);
            found.warnings.iter().filter(|warning| !here.contains(warning)).for_each(warn);
            for problem in found.problems {
                tracing::error!(event = "topic_unusable", problem, "the topic's settings prevent publishing");
            }
        }
        Err(error) => {
            tracing::info!(event = "topic_not_checked", %error, "the settings of the topic were not checked");
        }
    }
}

fn warn(warning: &Warning) {
    let Warning { setting, value, why, fix, .. } = warning;
    tracing::warn!(event = "setting_risky", setting, value, why, fix, "a setting can lose or reject records");
}
