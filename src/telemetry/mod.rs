//! Logging: one line per event on stderr, as JSON or as text. It never blocks and never panics.
//!
//! JSON lines have `timestamp` (RFC 3339, UTC), `level`, `target`, `message` and `event`, the event code. Other fields
//! are next to them. Records of the `log` crate are logged too; librdkafka's come through it.
//!
//! The path of a line: `event` collects the fields and cuts each to a limit. `budget` decides whether a peer can
//! cause the line, and then takes its bytes from one budget. `sink` adds it to a bounded buffer, from which one
//! thread writes. Lines that do not fit are dropped and counted.

mod budget;
mod event;
mod line;
mod panics;
mod sink;

use std::io::{self, IsTerminal};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::Subscriber;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt;

use self::budget::Budget;
use self::event::LogLines;
use self::line::Form;
pub use self::sink::DropReason;
use self::sink::Sink;
use crate::config::LogFormat;

/// The time that the exit of the process waits for the log.
const FLUSH: Duration = Duration::from_secs(1);

static SINK: OnceLock<Arc<Sink>> = OnceLock::new();

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not valid for `tracing-subscriber`.
    #[error("invalid log filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The system refuses a thread for the writer.
    #[error("cannot start the thread that writes the log: {0}")]
    Thread(#[from] io::Error),
}

/// Starts logging for the process, and logs panics. A second call changes nothing.
///
/// `filter` is a filter of `tracing-subscriber`, for example `info,librdkafka=debug`.
///
/// # Errors
/// The filter is not valid, or the writer's thread cannot be started.
pub fn init(filter: &str, format: LogFormat) -> Result<(), TelemetryError> {
    let filter: Targets = filter.parse()?;
    let form = Form::new(format, io::stderr().is_terminal());
    let sink = if let Some(sink) = SINK.get() {
        Arc::clone(sink)
    } else {
        let sink = Sink::to_stderr(form)?;
        Arc::clone(SINK.get_or_init(|| sink))
    };
    panics::install(Arc::clone(&sink), form);
    // An error means that a subscriber exists already, as in a test binary.
    let _ = subscriber(filter, form, sink).try_init();
    Ok(())
}

/// Writes text unchanged, in order with the lines of the log. Returns `false` if logging was not started.
pub fn raw(text: &str) -> bool {
    SINK.get().is_some_and(|sink| {
        sink.push(text.as_bytes().to_vec(), false);
        true
    })
}

/// Waits until all lines are written, for at most 1 s.
pub fn flush() {
    if let Some(sink) = SINK.get() {
        sink.flush(FLUSH);
    }
}

/// The number of lines that were not written since the start of the process.
pub fn dropped(reason: DropReason) -> u64 {
    SINK.get().map_or(0, |sink| sink.dropped(reason))
}

/// The subscriber that [`init`] installs, for `sink`.
fn subscriber(filter: Targets, form: Form, sink: Arc<Sink>) -> impl Subscriber + Send + Sync {
    tracing_subscriber::registry().with(filter).with(LogLines::new(form, Budget::default(), sink))
}

#[cfg(test)]
mod tests;
