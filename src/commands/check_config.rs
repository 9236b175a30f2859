//! `recall-bridge check-config`: checks configuration, spool directory and broker before the bridge starts.

pub(super) mod topic;

use anyhow::anyhow;
use rdkafka::ClientConfig;
use serde_json::json;

use self::topic::{Findings, Severity, Warning};
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

/// Everything that was found.
#[derive(Default)]
struct Found {
    /// What works, each with the name of the part.
    lines: Vec<(&'static str, String)>,
    /// Warnings about the spool directory.
    spool_warnings: Vec<String>,
    warnings: Vec<Warning>,
    /// What keeps the bridge from starting, or Kafka from taking any record.
    problems: Vec<String>,
}

/// Checks the configuration and prints the result: problems first, the verdict last.
///
/// # Errors
/// The configuration is invalid, the spool directory or the broker cannot be used, or the settings lose recalls.
pub fn run(args: &CheckConfigArgs) -> Result<(), CommandError> {
    let config = Config::from_env()?;
    let mut found = Found::default();
    found.lines.extend(apps(&config).map(|line| ("apps", line)));
    found.lines.extend(super::check_tls::lines(&config).into_iter().map(|line| ("tls", line)));
    found.spool(&config);
    if !args.offline {
        found.broker(&config);
    }
    let verdict = found.verdict(args.offline);
    found.problems.iter().for_each(|problem| note(format_args!("problem    {problem}")));
    found.warnings.iter().for_each(|warning| note(format_args!("warning    {warning}")));
    found.spool_warnings.iter().for_each(|warning| note(format_args!("warning    {warning}")));
    found.lines.iter().for_each(|(part, line)| note(format_args!("{part:<10} {line}")));
    let mut output = Output::new();
    if args.json {
        print_json(&mut output, &config, &found, &verdict);
    } else {
        print(&mut output, &config);
        output.line(format_args!("verdict: {verdict}"));
    }
    output.finish()?;
    if !found.problems.is_empty() {
        return Err(CommandError::Outside(anyhow!("{}", found.problems.join("\n"))));
    }
    if found.loses() { Err(CommandError::Negative(anyhow!("{verdict}"))) } else { Ok(()) }
}

impl Found {
    fn spool(&mut self, config: &Config) {
        let dir = config.spool_dir.display();
        match crate::spool::probe(&config.spool_dir) {
            Ok(warnings) => {
                self.lines.push(("spool", format!("{dir}: ok")));
                self.spool_warnings = warnings.iter().map(ToString::to_string).collect();
            }
            // A running bridge holds the lock. This is not a problem.
            Err(SpoolError::Locked { holder, .. }) => {
                self.lines.push(("spool", format!("{dir}: in use by a running bridge{holder}")));
            }
            Err(error) => self.problems.push(AppError::from(error).to_string()),
        }
    }

    fn broker(&mut self, config: &Config) {
        match ask_broker(config) {
            Ok(found) => {
                self.lines.extend(found.lines.into_iter().map(|line| ("kafka", line)));
                self.problems.extend(found.problems.into_iter().map(|problem| format!("kafka: {problem}")));
                self.warnings = found.warnings;
            }
            Err(error) => self.problems.push(format!("kafka: {error:#}")),
        }
    }

    /// Whether recalls are lost or refused while everything works.
    fn loses(&self) -> bool {
        self.warnings.iter().any(|warning| warning.severity == Severity::Loses)
    }

    fn verdict(&self, offline: bool) -> String {
        let names = |severity| {
            let of_severity = self.warnings.iter().filter(|warning| warning.severity == severity);
            of_severity.map(|warning| warning.setting).collect::<Vec<_>>().join(", ")
        };
        if !self.problems.is_empty() {
            format!("NOT READY: {} problem(s) to solve first", self.problems.len())
        } else if self.loses() {
            format!("NOT SAFE: recalls would be lost or refused; change {}", names(Severity::Loses))
        } else if !self.warnings.is_empty() {
            format!("ready, with risks when a broker fails: {}", names(Severity::Risky))
        } else if offline {
            "ready, as far as this machine shows; the broker was not checked".to_owned()
        } else {
            "ready".to_owned()
        }
    }
}

/// Prints the settings under their names, and `apps`, `warnings`, `problems` and `verdict`.
fn print_json(output: &mut Output, config: &Config, found: &Found, verdict: &str) {
    let settings = config
        .effective()
        .map(|setting| (setting.name.to_owned(), setting.value.clone().into()))
        .chain(config.kafka.effective().map(|(name, value)| (name.to_owned(), value.into())));
    let apps: Vec<_> = config.apps.token_lengths().collect();
    let apps = apps.iter().map(|(app, tokens)| json!({ "sdk_app_id": app, "token_characters": tokens }));
    let found = [
        ("apps", apps.collect::<Vec<_>>().into()),
        ("warnings", json!(found.warnings)),
        ("problems", json!(found.problems)),
        ("verdict", verdict.into()),
    ];
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
    let brokers = probe::brokers(&client).map_err(|error| {
        anyhow!("{servers} cannot be reached: {error}; check the address, the network and the security protocol")
    })?;
    let mut found = Findings::default();
    found.lines.push(format!("{servers}: reachable, {brokers} broker(s)"));
    if let Some(partitions) = probe::partitions(&client, &config.topic)? {
        found.lines.push(format!("topic {}: {partitions} partition(s)", config.topic));
        found.add(topic::look(&client, config)?);
    } else if config.topic_create {
        found.lines.push(format!("topic {}: does not exist, will be created", config.topic));
        found.add(topic::look_ahead(config, brokers));
    } else {
        return Err(anyhow!("topic {} does not exist; create it, or set BRIDGE_TOPIC_CREATE=true", config.topic));
    }
    let transactional = config.delivery == Delivery::ExactlyOnce;
    match probe::producer(&client, &config.topic, transactional) {
        Ok(()) if transactional => found.lines.push("transactions: allowed".to_owned()),
        Ok(()) => found.lines.push("producer id: allowed".to_owned()),
        // The earlier findings are reported too.
        Err(error) if transactional => found.problems.push(format!(
            "{error}; exactly_once requires transactions; if the broker does not support them, set \
             BRIDGE_DELIVERY=at_least_once"
        )),
        Err(error) => found
            .problems
            .push(format!("{error}; at_least_once requires a producer id; allow InitProducerId (ACL IdempotentWrite)")),
    }
    Ok(found)
}
