//! `recall-bridge tail`: reads the topic as a consumer, and can verify that no record is missing.

use anyhow::anyhow;
use rdkafka::message::BorrowedMessage;
use serde_json::{Value, json};

use super::CommandError;
use super::node_status;
use super::output::Output;
use super::topic::{RecordFilter, Start, TopicReader, as_json, on_interrupt, start};
use crate::config::Config;
use crate::escape::{json_text, plain};
use crate::verify::{NodeProgress, SequenceReport, Verifier};

/// With a start time, the verification also reads the records of this period before it: sequence numbers and
/// timestamps of different partitions need not have the same order.
const MARGIN_MS: i64 = 60_000;

/// Arguments of `tail`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct TailArgs {
    /// Where to start: `beginning`, `end`, a time (2026-01-31T12:00:00Z), or a period before now (90s, 30m, 24h, 7d).
    /// Default: `end`; with --until-end `beginning`.
    #[arg(long, value_name = "START", value_parser = start)]
    from: Option<Start>,
    #[command(flatten)]
    filter: RecordFilter,
    /// Stop after printing this number of records.
    #[arg(long)]
    count: Option<u64>,
    /// Stop at the end that the topic had when the command started.
    #[arg(long)]
    until_end: bool,
    /// Verify keys, values, event ids, order, gaps and duplicates of all records read, also of those that --account and
    /// --key do not select; exit 1 on any error, or if there is no record.
    #[arg(long)]
    verify: bool,
    /// Also compare with the published sequence of a node: the URL of its /status.
    #[arg(long, value_name = "URL", requires_all = ["verify", "until_end"])]
    status_url: Option<reqwest::Url>,
    /// Print one JSON object per record, and one with the result of --verify.
    #[arg(long)]
    json: bool,
    /// Print only the result of --verify, no records.
    #[arg(long, requires = "verify")]
    quiet: bool,
}

/// Reads and prints records until Ctrl-C, or until --count or --until-end is reached.
///
/// # Errors
/// The broker or the node fails, or --verify finds an error or no record.
pub fn run(args: &TailArgs) -> Result<(), CommandError> {
    // This command does not need the apps.
    let config = Config::from_env_with(&[("BRIDGE_APPS", "0:unused")])?;
    // The node is asked before the topic is read: everything that it has published by then is in the topic.
    let node = args.status_url.as_ref().map(node_status::ask).transpose()?;
    let mut verifier = args.verify.then(Verifier::default);
    let mut output = Output::live();
    let complete = read(args, &config, verifier.as_mut(), &mut output).map_err(CommandError::Outside)?;
    match verifier {
        None => output.finish(),
        Some(verifier) => conclude(args, verifier, complete, node, output),
    }
}

/// Prints the result of the verification.
fn conclude(
    args: &TailArgs,
    mut verifier: Verifier,
    complete: bool,
    node: Option<NodeProgress>,
    mut output: Output,
) -> Result<(), CommandError> {
    if output.is_closed() {
        let why = anyhow!("stdout was closed before the end; nothing is verified");
        return Err(CommandError::Negative(why));
    }
    if let Some(node) = node {
        verifier.compare_with(node, complete);
    }
    let report = verifier.finish();
    if args.json {
        output.json(&json!({ "verified": report.is_verified(), "report": report }));
    } else {
        output.line(&report);
    }
    output.finish()?;
    verdict(&report)
}

fn verdict(report: &SequenceReport) -> Result<(), CommandError> {
    match report {
        report if !report.is_clean() => Err(CommandError::Negative(anyhow!("verification failed"))),
        report if report.records == 0 => Err(CommandError::Negative(anyhow!(
            "nothing to verify: no record was read; check BRIDGE_TOPIC, and start earlier with --from"
        ))),
        _ => Ok(()),
    }
}

/// Reads the topic. Returns whether the reading includes the first record that each partition ever had.
fn read(
    args: &TailArgs,
    config: &Config,
    mut verifier: Option<&mut Verifier>,
    output: &mut Output,
) -> anyhow::Result<bool> {
    let stop = on_interrupt()?;
    let from = args.from.unwrap_or(if args.until_end { Start::Beginning } else { Start::End });
    let (begin, shown_from) = match from {
        Start::At(ms) if args.verify => (Start::At(ms.saturating_sub(MARGIN_MS)), Some(ms)),
        from => (from, None),
    };
    let topic = TopicReader::open(&config.kafka.client_config(), &config.topic, begin)?;
    if let Some(verifier) = verifier.as_deref_mut() {
        verifier.partitions(topic.partitions());
    }
    let mut left = args.count.unwrap_or(u64::MAX);
    if left == 0 {
        return Ok(topic.is_complete());
    }
    let mut each = |message: &BorrowedMessage<'_>, is_late: bool| {
        let record = as_json(message);
        let is_early = shown_from.is_some_and(|from| record["timestamp_ms"].as_i64().is_some_and(|at| at < from));
        let is_outside = is_early || is_late;
        if let Some(verifier) = verifier.as_deref_mut() {
            if is_outside {
                verifier.note_outside(&record);
            } else {
                verifier.note(&record);
            }
        }
        if is_outside || !args.filter.matches(&record) {
            return Ok(true);
        }
        left -= 1;
        Ok((args.quiet || print(output, &record, args.json)) && left > 0)
    };
    match (args.until_end, args.verify) {
        (false, _) => topic.follow(&stop, |message| each(message, false)),
        (true, false) => topic.read_to_end(&stop, |message| each(message, false)),
        (true, true) => topic.read_past_end(&stop, each),
    }?;
    Ok(topic.is_complete())
}

/// Prints a record. Returns `false` if further records would be lost.
fn print(output: &mut Output, record: &Value, json: bool) -> bool {
    if json {
        return output.json(record);
    }
    let field = |pointer: &str| match record.pointer(pointer) {
        Some(Value::String(text)) => plain(text).into_owned(),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => json_text(&other.to_string()).into_owned(),
    };
    output.line(format_args!(
        "{}@{}  {}  {}  recalled {}  seq {}",
        field("/partition"),
        field("/offset"),
        field("/value/official_account"),
        field("/value/msg_key"),
        field("/value/recalled_at"),
        field("/headers/bridge_seq"),
    ))
}
