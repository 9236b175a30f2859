//! Makes a line of an event of `tracing`: limits its fields, and takes its bytes from the budget of its class.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::budget::{Budget, is_caused_by_peers, is_own};
use super::line::{FIELD_MAX_BYTES, Form, LINE_MAX_BYTES};
use super::sink::{DropReason, Sink};
use crate::escape;

/// Appended to a text that was cut.
const CUT: &str = "… (cut)";

/// The event code of lines from libraries, which have none of their own.
const LIBRARY_EVENT: &str = "library_log";

/// The layer that makes lines of events.
pub(super) struct LogLines {
    form: Form,
    budget: Budget,
    sink: Arc<Sink>,
}

impl LogLines {
    pub(super) fn new(form: Form, budget: Budget, sink: Arc<Sink>) -> Self {
        Self { form, budget, sink }
    }
}

impl<S: Subscriber> Layer<S> for LogLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut fields = LogFields { map: Map::new(), target: None, left: LINE_MAX_BYTES };
        event.record(&mut fields);
        let LogFields { mut map, target, .. } = fields;
        // Records of the `log` crate have their target as a field.
        let target = target.as_deref().unwrap_or(metadata.target());
        if !map.contains_key("event") && !is_own(target) {
            map.insert("event".to_owned(), LIBRARY_EVENT.into());
        }
        let by_peers = is_caused_by_peers(target);
        let line = self.form.line(*metadata.level(), target, map);
        if by_peers && !self.budget.admit(line.len()) {
            self.sink.drop_line(DropReason::Budget);
            return;
        }
        self.sink.push(line, by_peers);
    }
}

/// The fields of one event, together within [`LINE_MAX_BYTES`].
struct LogFields {
    map: Map<String, Value>,
    target: Option<String>,
    left: usize,
}

impl LogFields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.left = self.left.saturating_sub(field.name().len() + 8);
        self.map.insert(field.name().to_owned(), value.into());
    }

    fn put_text(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if let Some(name) = field.name().strip_prefix("log.") {
            if name == "target" {
                self.target = Some(bounded(value, FIELD_MAX_BYTES));
            }
            // An operator does not need module, file and line of the build.
            return;
        }
        let text = bounded(value, FIELD_MAX_BYTES.min(self.left));
        self.left = self.left.saturating_sub(text.chars().map(written_bytes).sum());
        self.put(field, text);
    }
}

impl Visit for LogFields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if !field.name().starts_with("log.") {
            self.put(field, value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}

/// Formats a value up to `bound` bytes as they will be written. The rest of the value is not even formatted.
pub(super) fn bounded(value: fmt::Arguments<'_>, bound: usize) -> String {
    let mut text = Bounded { text: String::new(), left: bound };
    if text.write_fmt(value).is_err() {
        text.text.push_str(CUT);
    }
    text.text
}

struct Bounded {
    text: String,
    left: usize,
}

impl fmt::Write for Bounded {
    /// Fails when the text is full: formatting ends there.
    fn write_str(&mut self, part: &str) -> fmt::Result {
        part.chars().try_for_each(|letter| {
            self.left = self.left.checked_sub(written_bytes(letter)).ok_or(fmt::Error)?;
            self.text.push(letter);
            Ok(())
        })
    }
}

/// Bytes of a character in a line, including its escape.
fn written_bytes(letter: char) -> usize {
    match letter {
        '"' | '\\' => 2,
        letter if escape::is_unsafe(letter) => 6 * letter.len_utf16(),
        letter => letter.len_utf8(),
    }
}
