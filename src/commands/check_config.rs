//! `recall-bridge check-config`: is everything as it must be, before it is needed?

use std::time::Duration;

use anyhow::anyhow;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::CommandError;
use crate::config::{Config, Delivery};
use crate::publisher::kafka::probe;
use crate::spool::{Spool, SpoolError};

const TIMEOUT: Duration = Duration::from_secs(10);

/// What to leave out.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Do not ask the broker.
    #[arg(long)]
    offline: bool,
    /// Print what is effective as JSON.
    #[arg(long)]
    json: bool,
}

/// Checks and prints.
///
/// # Errors
/// Faults of the configuration; a spool directory or broker that cannot be used.
pub fn run(args: &Args) -> Result<(), CommandError> {
    let config = Config::from_env()?;
    print(&config, args.json);
    super::check_tls::lines(&config).iter().for_each(|line| eprintln!("tls        {line}"));
    let mut problems = Vec::new();
    match Spool::probe(&config.spool_dir) {
        Ok(()) => eprintln!("spool      {}: ok", config.spool_dir.display()),
        // A running bridge holds it: as it should be.
        Err(SpoolError::Locked { holder, .. }) => {
            eprintln!("spool      {}: in use by a running bridge{holder}", config.spool_dir.display());
        }
        Err(error) => problems.push(error.to_string()),
    }
    if !args.offline {
        match ask_broker(&config) {
            Ok(lines) => lines.iter().for_each(|line| eprintln!("kafka      {line}")),
            Err(error) => problems.push(format!("kafka: {error:#}")),
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(CommandError::Outside(anyhow!("{}", problems.join("\n"))))
}

fn print(config: &Config, json: bool) {
    if json {
        let settings: serde_json::Map<String, serde_json::Value> = config
            .effective()
            .map(|setting| (setting.name.to_owned(), setting.value.into()))
            .chain(config.kafka.effective().map(|(name, value)| (name.to_owned(), value.into())))
            .collect();
        println!("{}", serde_json::Value::Object(settings));
        return;
    }
    for setting in config.effective() {
        let note = if setting.is_default { "  (default)" } else { "" };
        println!("{}={}{note}", setting.name, setting.value);
    }
    for (name, value) in config.kafka.effective() {
        println!("{name}={value}");
    }
}

/// Reachable? The topic there? Allowed to write and read it, and to begin transactions?
fn ask_broker(config: &Config) -> anyhow::Result<Vec<String>> {
    let client: ClientConfig = config.kafka.client_config();
    let servers = config.kafka.bootstrap_servers();
    let consumer: BaseConsumer = client.create()?;
    let metadata = consumer
        .fetch_metadata(None, TIMEOUT)
        .map_err(|error| anyhow!("{servers} cannot be reached within {} s: {error}", TIMEOUT.as_secs()))?;
    let mut lines = vec![format!("{servers}: reachable, {} broker(s)", metadata.brokers().len())];
    if let Some(partitions) = probe::partitions(&client, &config.topic)? {
        lines.push(format!("topic {}: {partitions} partition(s)", config.topic));
    } else if config.topic_create {
        lines.push(format!("topic {}: not there, will be created", config.topic));
    } else {
        return Err(anyhow!("topic {} is not there; create it, or set BRIDGE_TOPIC_CREATE=true", config.topic));
    }
    if config.delivery == Delivery::ExactlyOnce {
        probe::transactions(&client)?;
        lines.push("transactions: allowed".to_owned());
    }
    Ok(lines)
}
