//! Logs panics: the standard hook writes to stderr itself, and could block there.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;
use std::sync::Arc;

use serde_json::{Map, Value};
use tracing::Level;

use super::event::bounded;
use super::line::{FIELD_MAX_BYTES, Form};
use super::sink::Sink;

/// Writes panics to this sink from now on.
pub(super) fn install(sink: Arc<Sink>, form: Form) {
    // Tests of this crate need the standard output of a panic.
    if cfg!(test) {
        return;
    }
    // Not through `tracing`, which may itself have panicked.
    std::panic::set_hook(Box::new(move |info| sink.push(form.line(Level::ERROR, "panic", fields(info)), false)));
}

fn fields(info: &PanicHookInfo<'_>) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: String| drop(fields.insert(name.to_owned(), value.into()));
    put("event", "panic".to_owned());
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("panic without a message");
    put("message", bounded(format_args!("{text}"), FIELD_MAX_BYTES));
    put("thread", std::thread::current().name().unwrap_or("unnamed").to_owned());
    if let Some(location) = info.location() {
        put("location", location.to_string());
    }
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        put("backtrace", bounded(format_args!("{backtrace}"), 2 * FIELD_MAX_BYTES));
    }
    fields
}
