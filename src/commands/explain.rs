//! `recall-bridge explain`: shows the outcome of a webhook, and the reason.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};

use super::output::Output;
use super::refused::source::each_refused;
use super::{CommandError, Place};
use crate::clock;
use crate::config::Config;
use crate::escape::{json_text, plain};
use crate::events::Origin;
use crate::ingest::Outcome;
use crate::ingest::checks::{Verdict, check};
use crate::refused::{RefusedFilter, RefusedId, RefusedView};

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// Full URL of the webhook, with its query.
    #[arg(long, required_unless_present = "refused")]
    url: Option<String>,
    /// Id of an entry of the refused journal, instead of a URL: see `refused list`.
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..), conflicts_with_all = ["url", "body", "at"])]
    refused: Option<RefusedId>,
    /// File with the body. Without it, only the URL is checked.
    #[arg(long)]
    body: Option<PathBuf>,
    /// Time to assume instead of now, in UNIX seconds. A captured URL leaves its time window soon.
    #[arg(long)]
    at: Option<i64>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Prints the outcome, and the check that failed.
///
/// # Errors
/// The webhook is refused (exit code 1); the URL cannot be read (2); the configuration is invalid; the body cannot be
/// read, or the journal has no such entry.
pub fn run(args: &ExplainArgs) -> Result<(), CommandError> {
    let explained = match (args.refused, &args.url) {
        (Some(id), _) => of_entry(id, &args.place)?,
        (None, Some(url)) => of_url(args, url)?,
        (None, None) => return Err(CommandError::Usage(anyhow!("give --url or --refused"))),
    };
    print(&explained, args.json)?;
    match explained["outcome"].as_str().and_then(Outcome::named) {
        Some(outcome) if outcome.is_refusal() => {
            Err(CommandError::Negative(anyhow!("the webhook is refused: {}", outcome.label())))
        }
        _ => Ok(()),
    }
}

/// Explains an entry of the refused journal.
fn of_entry(id: RefusedId, place: &Place) -> Result<Value, CommandError> {
    let filter = RefusedFilter { from: Some(id), through: Some(id), ..RefusedFilter::default() };
    let mut found = None;
    each_refused(&place.config()?.dir, &filter, |entry| {
        found = Some(entry.clone());
        false
    })?;
    let entry: RefusedView = found
        .ok_or_else(|| CommandError::Outside(anyhow!("the refused journal has no entry {id}; see `refused list`")))?;
    let outcome = Outcome::named(&entry.outcome);
    let next = match &entry {
        RefusedView { replayed: Some(_), .. } => "none: it was replayed",
        RefusedView { replayable: true, .. } => "`recall-bridge refused replay` publishes it",
        RefusedView { authentic: true, .. } => "recall the messages again: its body is not available",
        _ => "correct the cause, then recall the messages again: it is not authentic",
    };
    let mut explained = serde_json::to_value(&entry).map_err(|error| CommandError::Outside(error.into()))?;
    explained["check"] = outcome.and_then(Outcome::failed_check).into();
    explained["status"] = outcome.map(|outcome| outcome.status().as_u16()).into();
    explained["error_code"] = outcome.map(Outcome::error_code).into();
    explained["why"] = explained["reason"].take();
    explained["next"] = next.into();
    Ok(explained)
}

/// Explains a URL under the configuration of the environment.
fn of_url(args: &ExplainArgs, url: &str) -> Result<Value, CommandError> {
    let config = Config::from_env_with(&[("KAFKA_BOOTSTRAP_SERVERS", "unused:1")])?;
    let body = args.body.as_ref().map(|file| std::fs::read(file).with_context(|| file.display().to_string()));
    let body = body.transpose().map_err(CommandError::Outside)?;
    let fault = |error: &dyn std::fmt::Display| {
        CommandError::Usage(anyhow!("--url: {error}; give the full URL with http:// or https://"))
    };
    let url = reqwest::Url::parse(url).map_err(|error| fault(&error))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(fault(&format_args!("{} is not http or https", url.scheme())));
    }
    let mut explained = explain(&config, &url, body.as_deref(), args.at);
    let app = crate::webhook::glance(url.query().unwrap_or_default().as_bytes()).sdk_app_id;
    explained["app"] = app.into();
    Ok(explained)
}

fn print(explained: &Value, is_json: bool) -> Result<(), CommandError> {
    let mut output = Output::new();
    if is_json {
        output.json(explained);
        return output.finish();
    }
    for (name, value) in explained.as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::String(text) => drop(output.line(format_args!("{name:<14} {}", plain(text)))),
            other => drop(output.line(format_args!("{name:<14} {}", json_text(&other.to_string())))),
        }
    }
    output.finish()
}

fn explain(config: &Config, url: &reqwest::Url, body: Option<&[u8]>, at: Option<i64>) -> Value {
    let plain = |outcome: Outcome, why: String| answer(outcome, &why, None, None);
    if url.path() != config.webhook_path {
        let why = format!("path: {} is not BRIDGE_WEBHOOK_PATH {}", url.path(), config.webhook_path);
        return plain(Outcome::NotFound, why);
    }
    if let Some(size) = body.map(<[u8]>::len).filter(|size| *size > config.max_body_bytes) {
        return plain(Outcome::TooLarge, format!("body: {size} bytes, limit {}", config.max_body_bytes));
    }
    let now = at.unwrap_or_else(clock::now_seconds);
    let window = config.request_time_window_seconds;
    let verdict =
        check(url.query().unwrap_or_default().as_bytes(), body.unwrap_or_default(), &config.apps, now, window);
    let skew = verdict.verified().and_then(crate::webhook::Verified::skew_seconds);
    match verdict {
        Verdict::Quarantine { outcome: Outcome::Malformed, .. } if body.is_none() => {
            answer(Outcome::Accepted, "authentic; give --body to check the rest", skew, None)
        }
        Verdict::Answer { outcome, info, .. } => answer(outcome, &info, skew, None),
        Verdict::Quarantine { outcome, info, .. } => {
            answer(outcome, &format!("{info}; kept in quarantine"), skew, None)
        }
        Verdict::Publish(verified, messages) => {
            let origin = Origin::new(&verified, now * 1000, None);
            let records: Vec<_> = (0..messages.count()).map(|index| messages.describe(index, &origin)).collect();
            answer(Outcome::Accepted, "all checks passed", skew, Some(records.into()))
        }
    }
}

fn answer(outcome: Outcome, why: &str, skew: Option<i64>, records: Option<Value>) -> Value {
    let records = records.unwrap_or_default();
    json!({
        "outcome": outcome.label(),
        "check": outcome.failed_check(),
        "status": outcome.status().as_u16(),
        "error_code": outcome.error_code(),
        "why": why,
        "skew_seconds": skew,
        "records": records,
    })
}
