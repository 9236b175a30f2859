//! `recall-bridge check-config`: checks configuration, spool directory and broker before the bridge starts.

pub(super) mod topic;

use anyhow::anyhow;
use rdkafka::ClientConfig;
use serde_json::json;

use self::topic::{Findings, Warning};
use super::CommandError;
use super::output::{Output, note};
use crate::app::AppError;
use crate::config::{Config, Delivery};
use crate::escape::plain;
use crate::publisher::kafka::probe;
use crate::spool::SpoolError;

/// Arguments of `check-config`.
#[derive(Debug, clap::Args)]
pub struct CheckConfigArgs {
    /// Skip the broker.
    #[arg(long)]
    offline: bool,
    /// Print settings, warnings and problems as JSON.
    #[arg(long)]
    json: bool,
}

/// Checks the configuration and prints the result.
///
/// # Errors
/// The configuration is invalid, or the spool directory or the broker cannot be used.
pub fn run(args: &CheckConfigArgs) -> Result<(), CommandError> {
    let config = Config::from_env()?;
    let mut output = Output::new();
    if !args.json {
        print(&mut output, &config);
    }
    apps(&config).for_each(|line| note(format_args!("apps       {line}")));
    for line in super::check_tls::lines(&config) {
        note(format_args!("tls        {line}"));
    }
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    match crate::spool::probe(&config.spool_dir) {
        Ok(warnings) => {
            note(format_args!("spool      {}: ok", config.spool_dir.display()));
            for warning in &warnings {
                note(format_args!("warning    {warning}"));
            }
        }
        // A running bridge holds the lock. This is not a problem.
        Err(SpoolError::Locked { holder, .. }) => {
            note(format_args!("spool      {}: in use by a running bridge{holder}", config.spool_dir.display()));
        }
        Err(error) => problems.push(AppError::from(error).to_string()),
    }
    if !args.offline {
        match ask_broker(&config) {
            Ok(found) => {
                found.lines.iter().for_each(|line| note(format_args!("kafka      {line}")));
                found.warnings.iter().for_each(|warning| note(format_args!("warning    {warning}")));
                problems.extend(found.problems.into_iter().map(|problem| format!("kafka: {problem}")));
                warnings = found.warnings;
            }
            Err(error) => problems.push(format!("kafka: {error:#}")),
        }
    }
    if args.json {
        print_json(&mut output, &config, &warnings, &problems);
    }
    output.finish()?;
    if problems.is_empty() {
        return Ok(());
    }
    Err(CommandError::Outside(anyhow!("{}", problems.join("\n"))))
}

/// Prints the settings under their names, and `apps`, `warnings` and `problems`.
fn print_json(output: &mut Output, config: &Config, warnings: &[Warning], problems: &[String]) {
    let settings = config
        .effective()
        .map(|setting| (setting.name.to_owned(), setting.value.clone().into()))
        .chain(config.kafka.effective().map(|(name, value)| (name.to_owned(), value.into())));
    let apps: Vec<_> = config.apps.token_lengths().collect();
    let apps = apps.iter().map(|(app, tokens)| json!({ "sdk_app_id": app, "token_characters": tokens }));
    let found =
        [("apps", apps.collect::<Vec<_>>().into()), ("warnings", json!(warnings)), ("problems", json!(problems))];
    let found = found.into_iter().map(|(name, value)| (name.to_owned(), value));
    let all: serde_json::Map<String, serde_json::Value> = settings.chain(found).collect();
    output.json(&all);
}

/// Returns a line for each app, with the length of its tokens: a shell or a Docker Compose file may have cut one.
fn apps(config: &Config) -> impl Iterator<Item = String> {
    config.apps.token_lengths().map(|(app, tokens)| {
        let tokens: Vec<String> = tokens.iter().map(|length| format!("token with {length} characters")).collect();
        format!("{app}: {}", if tokens.is_empty() { "unsigned".to_owned() } else { tokens.join(", ") })
    })
}

fn print(output: &mut Output, config: &Config) {
    for setting in config.effective() {
        let note = if setting.is_default { "  (default)" } else { "" };
        output.line(format_args!("{}={}{note}", setting.name, plain(&setting.value)));
    }
    for (name, value) in config.kafka.effective() {
        output.line(format_args!("{name}={}", plain(&value)));
    }
}

/// Checks that the broker is reachable, that the topic exists with suitable settings, and that the bridge may write,
/// read and use transactions.
fn ask_broker(config: &Config) -> anyhow::Result<Findings> {
    let client: ClientConfig = config.kafka.client_config();
    let servers = config.kafka.bootstrap_servers();
    let brokers = probe::brokers(&client).map_err(|trouble| {
        anyhow!("{servers} cannot be reached: {trouble}; check the address, the network and the security protocol")
    })?;
    let mut found = Findings::default();
    found.lines.push(format!("{servers}: reachable, {brokers} broker(s)"));
    if let Some(partitions) = probe::partitions(&client, &config.topic)? {
        found.lines.push(format!("topic {}: {partitions} partition(s)", config.topic));
        found.add(topic::look(&client, config)?);
    } else if config.topic_create {
        found.lines.push(format!("topic {}: does not exist, will be created", config.topic));
        found.warnings = topic::look_ahead(config, brokers);
    } else {
        return Err(anyhow!("topic {} does not exist; create it, or set BRIDGE_TOPIC_CREATE=true", config.topic));
    }
    let transactional = config.delivery == Delivery::ExactlyOnce;
    match probe::producer(&client, &config.topic, transactional) {
        Ok(()) if transactional => found.lines.push("transactions: allowed".to_owned()),
        Ok(()) => found.lines.push("producer id: allowed".to_owned()),
        // The earlier findings are reported too.
        Err(trouble) if transactional => found.problems.push(format!(
            "{trouble}; exactly_once requires transactions; if the broker does not support them, set \
             BRIDGE_DELIVERY=at_least_once"
        )),
        Err(trouble) => found.problems.push(format!(
            "{trouble}; at_least_once requires a producer id; allow InitProducerId (ACL IdempotentWrite)"
        )),
    }
    Ok(found)
}
