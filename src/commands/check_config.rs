//! `recall-bridge check-config`: is everything as it must be, before it is needed?

mod topic;

use anyhow::anyhow;
use rdkafka::ClientConfig;

use self::topic::{Findings, Warning};
use super::CommandError;
use crate::config::{Config, Delivery};
use crate::publisher::kafka::probe;
use crate::spool::{Spool, SpoolError};

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
    if !args.json {
        print(&config);
    }
    for line in super::check_tls::lines(&config) {
        eprintln!("tls        {line}");
    }
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
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
            Ok(found) => {
                found.lines.iter().for_each(|line| eprintln!("kafka      {line}"));
                found.warnings.iter().for_each(|warning| eprintln!("warning    {warning}"));
                problems.extend(found.problems.into_iter().map(|problem| format!("kafka: {problem}")));
                warnings = found.warnings;
            }
            Err(error) => problems.push(format!("kafka: {error:#}")),
        }
    }
    if args.json {
        print_json(&config, &warnings, &problems).map_err(|error| CommandError::Outside(error.into()))?;
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(CommandError::Outside(anyhow!("{}", problems.join("\n"))))
}

/// Settings under their names, beside them `warnings` and `problems`.
fn print_json(config: &Config, warnings: &[Warning], problems: &[String]) -> serde_json::Result<()> {
    let settings = config
        .effective()
        .map(|setting| (setting.name.to_owned(), setting.value.into()))
        .chain(config.kafka.effective().map(|(name, value)| (name.to_owned(), value.into())));
    let found = [("warnings", serde_json::to_value(warnings)?), ("problems", serde_json::to_value(problems)?)];
    let found = found.into_iter().map(|(name, value)| (name.to_owned(), value));
    let all: serde_json::Map<String, serde_json::Value> = settings.chain(found).collect();
    println!("{}", serde_json::Value::Object(all));
    Ok(())
}

fn print(config: &Config) {
    for setting in config.effective() {
        let note = if setting.is_default { "  (default)" } else { "" };
        println!("{}={}{note}", setting.name, setting.value);
    }
    for (name, value) in config.kafka.effective() {
        println!("{name}={value}");
    }
}

/// Reachable? The topic there, and fit? Allowed to write and read it, and to begin transactions?
fn ask_broker(config: &Config) -> anyhow::Result<Findings> {
    let client: ClientConfig = config.kafka.client_config();
    let servers = config.kafka.bootstrap_servers();
    let brokers = probe::brokers(&client).map_err(|trouble| anyhow!("{servers} cannot be reached: {trouble}"))?;
    let mut found = Findings::default();
    found.lines.push(format!("{servers}: reachable, {brokers} broker(s)"));
    if let Some(partitions) = probe::partitions(&client, &config.topic)? {
        found.lines.push(format!("topic {}: {partitions} partition(s)", config.topic));
        found.add(topic::look(&client, config)?);
    } else if config.topic_create {
        found.lines.push(format!("topic {}: not there, will be created", config.topic));
        found.warnings = topic::look_ahead(config, brokers);
    } else {
        return Err(anyhow!("topic {} is not there; create it, or set BRIDGE_TOPIC_CREATE=true", config.topic));
    }
    let transactional = config.delivery == Delivery::ExactlyOnce;
    match probe::producer(&client, &config.topic, transactional) {
        Ok(()) if transactional => found.lines.push("transactions: allowed".to_owned()),
        Ok(()) => found.lines.push("producer: the broker gives it an id".to_owned()),
        // What was found before is told all the same.
        Err(trouble) if transactional => found.problems.push(format!(
            "{trouble}; exactly_once needs transactions: where the broker has none, set BRIDGE_DELIVERY=at_least_once"
        )),
        Err(trouble) => found.problems.push(format!("{trouble}; at_least_once needs a producer id (InitProducerId)")),
    }
    Ok(found)
}
