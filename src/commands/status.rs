//! `recall-bridge status`: the state of a running node in words.

use anyhow::anyhow;
use serde_json::Value;

use super::CommandError;
use super::node_client::NodeClient;
use super::output::Output;
use crate::escape::plain;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Address of the operations listener, such as <http://node-1:9100>, if it is not `BRIDGE_OPS_LISTEN`.
    #[arg(long)]
    url: Option<String>,
    /// Print the JSON of /status.
    #[arg(long)]
    json: bool,
}

/// Prints the verdict and the numbers of a node.
///
/// # Errors
/// The node does not respond, or it loses recalls.
pub fn run(args: &StatusArgs) -> Result<(), CommandError> {
    let node = NodeClient::new(args.url.as_deref())?;
    let status = super::block_on(node.json("/status")).map_err(CommandError::Outside)?;
    let mut output = Output::new();
    if args.json {
        output.json(&status);
    } else {
        for line in verdict_lines(&status).into_iter().chain(number_lines(&status)) {
            output.line(line);
        }
    }
    output.finish()?;
    match text(&status["verdict"]["state"]).as_str() {
        "losing" | "stopping" => Err(CommandError::Negative(anyhow!("{}", text(&status["verdict"]["headline"])))),
        _ => Ok(()),
    }
}

/// The verdict of a `/status`: the state, the headline, the details, the next step.
pub(super) fn verdict_lines(status: &Value) -> Vec<String> {
    let verdict = &status["verdict"];
    let state = text(&verdict["state"]).to_uppercase();
    let since = text(&verdict["since"]);
    let since = if since.is_empty() { since } else { format!(" (since {since})") };
    let mut lines = vec![format!("{state}{since}"), text(&verdict["headline"])];
    lines.extend(verdict["details"].as_array().into_iter().flatten().map(|detail| format!("- {}", text(detail))));
    for (name, value) in [("next step", &verdict["next_step"]), ("runbook", &verdict["runbook"])] {
        if !value.is_null() {
            lines.push(format!("{name}: {}", text(value)));
        }
    }
    lines
}

/// The numbers of a `/status`.
pub(super) fn number_lines(status: &Value) -> Vec<String> {
    let line = |name: &str, text: String| format!("{name:<11} {text}");
    let get = |name: &str| text(&status[name]);
    let kafka = &status["kafka"];
    let error = match &kafka["last_error"] {
        Value::Null => String::new(),
        last => format!("; last error at {}: {}", text(&last["at"]), text(&last["text"])),
    };
    let waiting = if status["depth"] == 0 {
        "nothing".to_owned()
    } else {
        format!("{}, the oldest for {:.1} s", count(&status["depth"], "event"), seconds(&status["oldest_age_seconds"]))
    };
    vec![
        line("node", format!("recall-bridge {} ({}), spool {}", get("version"), get("commit"), get("spool_uuid"))),
        line("waiting", format!("{waiting}; {} of {} bytes", get("bytes"), get("capacity_bytes"))),
        line("sequence", format!("accepted {}, published {}", get("accepted_seq"), get("published_seq"))),
        line("kafka", format!("{}{error}", text(&kafka["state"]))),
        line("quarantine", tallies(&status["quarantine_events"], &status["quarantine"])),
        line("refused", tallies(&status["refused"]["entries"], &status["refused"]["by_outcome"])),
    ]
}

/// `3 entries: stale 2, malformed 1`.
fn tallies(total: &Value, by_name: &Value) -> String {
    let events = |value: &Value| text(value.get("events").unwrap_or(value));
    let parts = by_name.as_object().into_iter().flatten();
    let parts: Vec<String> = parts.map(|(name, value)| format!("{} {}", plain(name), events(value))).collect();
    let total = count(total, "entry");
    if parts.is_empty() { total } else { format!("{total}: {}", parts.join(", ")) }
}

fn count(number: &Value, noun: &str) -> String {
    let plural = noun.strip_suffix('y').map_or_else(|| format!("{noun}s"), |stem| format!("{stem}ies"));
    format!("{} {}", text(number), if *number == 1 { noun.to_owned() } else { plural })
}

fn seconds(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

/// A value for people; null is empty.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text).into_owned(),
        Value::Null => String::new(),
        other => plain(&other.to_string()).into_owned(),
    }
}
