//! `recall-bridge explain`: shows the outcome of a webhook, and the reason.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};

use super::CommandError;
use super::output::Output;
use crate::clock;
use crate::config::Config;
use crate::escape::{json_text, plain};
use crate::events::Origin;
use crate::ingest::Outcome;
use crate::ingest::checks::{Verdict, check};

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// Full URL of the webhook, with its query.
    #[arg(long)]
    url: String,
    /// File with the body. Without it, only the URL is checked.
    #[arg(long)]
    body: Option<PathBuf>,
    /// Time to assume instead of now, in UNIX seconds. A captured URL leaves its time window soon.
    #[arg(long)]
    at: Option<i64>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Prints the outcome. Every outcome is a success of this command.
///
/// # Errors
/// The configuration is invalid, or the URL or the body cannot be read.
pub fn run(args: &ExplainArgs) -> Result<(), CommandError> {
    let config = Config::from_env_with(&[("KAFKA_BOOTSTRAP_SERVERS", "unused:1")])?;
    let body = args.body.as_ref().map(|file| std::fs::read(file).with_context(|| file.display().to_string()));
    let body = body.transpose().map_err(CommandError::Outside)?;
    let url = reqwest::Url::parse(&args.url).map_err(|error| {
        CommandError::Outside(anyhow!("--url: {error}; give the full URL with http:// or https://"))
    })?;
    let explained = explain(&config, &url, body.as_deref(), args.at);
    let mut output = Output::new();
    if args.json {
        output.json(&explained);
        return output.finish();
    }
    for (name, value) in explained.as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::String(text) => drop(output.line(format_args!("{name:<13} {}", plain(text)))),
            other => drop(output.line(format_args!("{name:<13} {}", json_text(&other.to_string())))),
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
        "status": outcome.status().as_u16(),
        "error_code": outcome.error_code(),
        "why": why,
        "skew_seconds": skew,
        "records": records,
    })
}
