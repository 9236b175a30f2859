//! `recall-bridge replay`: publishes again what the topic holds for a time.
//!
//! Records for the topic of the running node go through its spool; records for another topic are published by this
//! process. [`crate::replay`] has the reasons.

mod accounts;
mod destination;
mod passage;
mod selection;

use anyhow::anyhow;
use serde_json::json;
use uuid::Uuid;

use self::destination::Destination;
use self::passage::{Passage, ReplayCounts};
use self::selection::Selection;
use super::output::Output;
use super::quarantine::select::{quoted, since};
use super::topic::on_interrupt;
use super::{CommandError, Place};
use crate::clock::{self, iso8601};
use crate::config::Config;
use crate::escape::plain;

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// Records with this timestamp or a later one: a time (2026-01-31T12:00:00Z), or a period before now (30m, 24h).
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: i64,
    /// Records with an earlier timestamp than this: a time, or a period before now. Default: now.
    #[arg(long, value_name = "TIME", value_parser = since)]
    until: Option<i64>,
    /// Only records of this `Official_Account`; can be repeated.
    #[arg(long = "account", value_name = "ACCOUNT")]
    accounts: Vec<String>,
    /// Include records that an earlier replay has published; their originals may be past retention.
    #[arg(long)]
    with_repeats: bool,
    /// Publish to this existing topic instead of the node's.
    #[arg(long, value_name = "TOPIC")]
    to_topic: Option<String>,
    /// Publish. Without it, the command counts the records and changes nothing.
    #[arg(long)]
    yes: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Counts the matching records, or publishes them again.
///
/// # Errors
/// The topic cannot be read, no node runs, the node publishes elsewhere, or it cannot take the records.
pub fn run(args: &ReplayArgs) -> Result<(), CommandError> {
    // This command does not need the apps.
    let config = Config::from_env_with(&[("BRIDGE_APPS", "0:unused")])?;
    let now = clock::now_ms();
    let selection = Selection {
        since_ms: args.since,
        until_ms: args.until.map_or(now, |until| until.min(now)),
        accounts: args.accounts.clone(),
        with_repeats: args.with_repeats,
    };
    if selection.since_ms >= selection.until_ms {
        let (since, until) = (iso8601(selection.since_ms), iso8601(selection.until_ms));
        return Err(CommandError::Usage(anyhow!("--since {since} is not before --until {until}")));
    }
    if args.to_topic.as_deref() == Some(config.topic.as_str()) {
        return Err(CommandError::Usage(anyhow!(
            "--to-topic {} is BRIDGE_TOPIC; records for it go through its running node, so leave --to-topic out",
            config.topic
        )));
    }
    let replay = Uuid::now_v7();
    let place = args.place.config()?;
    let mut destination = match &args.to_topic {
        Some(topic) => Destination::topic(&config, topic).map_err(CommandError::Outside)?,
        None => Destination::node(&config, place.dir)?,
    };
    if args.yes {
        publish(args, &config, &selection, replay, &mut destination)
    } else {
        preview(args, &config, &selection, &destination)
    }
}

/// Counts the records, and prints the command that publishes them.
fn preview(
    args: &ReplayArgs,
    config: &Config,
    selection: &Selection,
    destination: &Destination,
) -> Result<(), CommandError> {
    let stop = on_interrupt().map_err(CommandError::Outside)?;
    let passage = Passage { config, selection, stop: &stop, hidden: args.json };
    let counts = passage.count().map_err(CommandError::Outside)?;
    if counts.interrupted {
        return Err(CommandError::Negative(anyhow!("interrupted; nothing was published")));
    }
    let confirm = confirmation(args, selection);
    let mut output = Output::new();
    if args.json {
        let confirm = (counts.records > 0).then_some(confirm);
        output.json(&json!({
            "topic": config.topic, "to": destination.to_string(), "published": false,
            "since": iso8601(selection.since_ms), "until": iso8601(selection.until_ms),
            "records": counts.records, "accounts": counts.accounts.count(), "left_out": { "repeats": counts.repeats, "foreign": counts.foreign },
            "confirm": confirm,
        }));
        return output.finish();
    }
    output.line(format_args!(
        "topic {}, from {} until {}: {counts}",
        plain(&config.topic),
        iso8601(selection.since_ms),
        iso8601(selection.until_ms),
    ));
    if counts.records == 0 {
        output.line("nothing was published");
    } else {
        let command = quoted(&confirm);
        output.line(format_args!(
            "nothing was published. To publish these records again to {}:\n  {}",
            plain(&destination.to_string()),
            plain(&command)
        ));
    }
    output.finish()
}

/// The command line that publishes exactly these records. A period becomes a fixed time.
fn confirmation(args: &ReplayArgs, selection: &Selection) -> Vec<String> {
    let mut line = ["recall-bridge", "replay"].map(str::to_owned).to_vec();
    let mut add = |name: &str, value: String| line.extend([name.to_owned(), value]);
    add("--since", iso8601(selection.since_ms));
    add("--until", iso8601(selection.until_ms));
    args.accounts.iter().for_each(|account| add("--account", account.clone()));
    if let Some(topic) = &args.to_topic {
        add("--to-topic", topic.clone());
    }
    if let Some(dir) = &args.place.dir {
        add("--dir", dir.display().to_string());
    }
    if args.with_repeats {
        line.push("--with-repeats".to_owned());
    }
    line.push("--yes".to_owned());
    line
}

fn publish(
    args: &ReplayArgs,
    config: &Config,
    selection: &Selection,
    replay: Uuid,
    destination: &mut Destination,
) -> Result<(), CommandError> {
    let stop = on_interrupt().map_err(CommandError::Outside)?;
    let passage = Passage { config, selection, stop: &stop, hidden: args.json };
    let mut output = Output::live();
    if !args.json {
        output.line(format_args!("bridge_replay={replay}"));
    }
    let mut counts = ReplayCounts::default();
    let passed = passage.publish(replay, destination, &mut counts);
    if args.json {
        output.json(&json!({
            "bridge_replay": replay, "to": destination.to_string(), "published": true,
            "records": counts.records, "accounts": counts.accounts.count(), "left_out": { "repeats": counts.repeats, "foreign": counts.foreign },
            "complete": passed.is_ok() && !counts.interrupted,
            "first": counts.first, "last": counts.last,
        }));
    } else {
        let done = destination.done();
        output.line(format_args!("{counts} {done}"));
        if let (Some(first), Some(last)) = (&counts.first, &counts.last) {
            output
                .line(format_args!("bridge_seq {} to {} of {}", first.bridge_seq, last.bridge_seq, last.bridge_spool));
        }
    }
    // The records that were published are printed, also after an error.
    let written = output.finish();
    passed.map_err(|error| {
        CommandError::Outside(error.context(
            "the replay is incomplete; records that were published stay, and a new run publishes all of them again",
        ))
    })?;
    written?;
    if counts.interrupted {
        return Err(CommandError::Negative(anyhow!(
            "interrupted; the replay is incomplete. A new run publishes all records again"
        )));
    }
    Ok(())
}
