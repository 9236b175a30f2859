//! Formats one line as JSON or as text.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::Level;

use crate::config::LogFormat;
use crate::escape;

/// The maximum number of bytes of one field. A longer field is cut and marked.
pub(super) const FIELD_MAX_BYTES: usize = 2 << 10;
/// The maximum number of bytes of all fields of a line.
pub(super) const LINE_MAX_BYTES: usize = 8 << 10;

/// The format of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One JSON object.
    Json,
    /// Text for people.
    Text {
        /// Whether to use colours, for a terminal.
        ansi: bool,
    },
}

impl Form {
    pub(super) fn new(format: LogFormat, ansi: bool) -> Self {
        match format {
            LogFormat::Json => Self::Json,
            LogFormat::Text => Self::Text { ansi },
        }
    }

    /// Returns a whole line with its line end. `fields` includes `message`.
    pub(super) fn line(self, level: Level, target: &str, fields: Map<String, Value>) -> Vec<u8> {
        let now = format!("{:.6}", Timestamp::now());
        let mut line = match self {
            Self::Json => json(&now, level, target, fields),
            Self::Text { ansi } => text(&now, level, target, &fields, ansi),
        };
        line.push('\n');
        line.into_bytes()
    }
}

/// The most important fields come first.
#[derive(Serialize)]
struct JsonLine<'l> {
    timestamp: &'l str,
    level: &'l str,
    message: Value,
    #[serde(flatten)]
    fields: Map<String, Value>,
    target: &'l str,
}

fn json(timestamp: &str, level: Level, target: &str, mut fields: Map<String, Value>) -> String {
    let message = fields.remove("message").unwrap_or_default();
    // The line has these fields itself; another field of the same name would be a duplicate.
    for own in ["timestamp", "level", "target"] {
        fields.remove(own);
    }
    escape::json(&JsonLine { timestamp, level: level.as_str(), message, fields, target }).unwrap_or_default()
}

fn text(now: &str, level: Level, target: &str, fields: &Map<String, Value>, ansi: bool) -> String {
    let (colour, dim, end) = if ansi { (colour(level), "\u{1b}[2m", "\u{1b}[0m") } else { ("", "", "") };
    let message = fields.get("message").map(shown).unwrap_or_default();
    let mut line = format!("{dim}{now}{end} {colour}{level:>5}{end} {dim}{target}:{end} {message}");
    for (name, value) in fields.iter().filter(|(name, _)| *name != "message") {
        line.push(' ');
        line.push_str(name);
        line.push('=');
        line.push_str(&shown(value));
    }
    line
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => escape::plain(text).into_owned(),
        other => other.to_string(),
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\u{1b}[31m",
        Level::WARN => "\u{1b}[33m",
        Level::INFO => "\u{1b}[32m",
        Level::DEBUG => "\u{1b}[34m",
        Level::TRACE => "\u{1b}[35m",
    }
}
