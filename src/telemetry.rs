//! Logging: one line per event on stderr, as JSON or as text.
//!
//! JSON lines have `timestamp` (RFC 3339, UTC), `level`, `target` and `message`; an event's fields
//! stand beside them. Records of the `log` crate (librdkafka's come through it) come out too.

use std::fmt;
use std::io::{self, IsTerminal};

use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogFormat;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is none that `tracing-subscriber` understands.
    #[error("the log filter cannot be read: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
}

/// Starts logging for the process. A second call changes nothing: the first one stays.
///
/// `filter` is `tracing-subscriber`'s, for example `info,librdkafka=debug`.
///
/// # Errors
/// When the filter cannot be read.
pub fn init(filter: &str, format: LogFormat) -> Result<(), TelemetryError> {
    let ansi = io::stderr().is_terminal();
    // An error means that a subscriber is there already, as in a test binary.
    let _ = subscriber(filter, format, ansi, io::stderr)?.try_init();
    Ok(())
}

/// The subscriber that [`init`] installs, writing to `writer`.
fn subscriber<W>(
    filter: &str,
    format: LogFormat,
    ansi: bool,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(EnvFilter::builder().parse(filter)?).with_writer(writer);
    Ok(match format {
        LogFormat::Json => Box::new(
            builder
                .json()
                .flatten_event(true)
                .with_current_span(true)
                .with_span_list(false)
                .map_event_format(WithoutLogFields)
                .finish(),
        ),
        LogFormat::Text => Box::new(builder.with_ansi(ansi).finish()),
    })
}

/// A JSON format that leaves out the `log.…` fields, which a record of the `log` crate carries
/// through `tracing`: they repeat the target and name source files of the build.
struct WithoutLogFields<F>(F);

impl<F, S, N> FormatEvent<S, N> for WithoutLogFields<F>
where
    F: FormatEvent<S, N>,
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        // The target under which `tracing-log` dispatches every record.
        if event.metadata().target() != "log" {
            return self.0.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        match serde_json::from_str::<serde_json::Map<_, _>>(&line) {
            Ok(mut fields) => {
                fields.retain(|name, _| !name.starts_with("log."));
                writeln!(writer, "{}", serde_json::Value::Object(fields))
            }
            Err(_) => writer.write_str(&line),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A writer whose lines a test can read back.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(filter: &str, format: LogFormat, log: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(filter, format, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_json_line_has_its_fields_beside_time_level_target_and_message() {
        let line = written("info", LogFormat::Json, || {
            tracing::warn!(target: "somewhere", depth = 7, "the spool fills");
        });
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["message"], "the spool fills");
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["target"], "somewhere");
        assert_eq!(line["depth"], 7);
        let time: jiff::Timestamp = line["timestamp"].as_str().unwrap().parse().unwrap();
        assert!(time.as_second() > 0);
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn a_text_line_has_no_escape_codes_off_a_terminal() {
        let line = written("info", LogFormat::Text, || {
            tracing::info!(port = 8080, "listening");
        });
        assert!(line.contains("INFO") && line.contains("listening port=8080"), "{line}");
        assert!(!line.contains('\u{1b}'), "{line}");
    }

    #[test]
    fn the_filter_holds() {
        let line = written("warn,loud=debug", LogFormat::Json, || {
            tracing::info!("unheard");
            tracing::debug!(target: "loud", "heard");
        });
        assert!(line.contains("heard") && !line.contains("unheard"), "{line}");
    }

    #[test]
    fn what_librdkafkas_wrapper_logs_comes_out_with_its_own_target() {
        use rdkafka::ClientContext;

        // Also what connects the `log` crate; the lines go to this thread's subscriber.
        init("info", LogFormat::Json).unwrap();
        let line = written("info", LogFormat::Json, || {
            rdkafka::client::DefaultClientContext.error(rdkafka::error::KafkaError::Canceled, "all brokers down");
        });
        let line: serde_json::Map<_, _> = serde_json::from_str(&line).unwrap();
        assert_eq!(line["target"], "rdkafka::client");
        assert_eq!(line["level"], "ERROR");
        assert!(line["message"].as_str().unwrap().contains("all brokers down"));
        let names: Vec<_> = line.keys().collect();
        assert_eq!(names, ["level", "message", "target", "timestamp"]);
    }

    #[test]
    fn starting_twice_does_no_harm() {
        init("info", LogFormat::Json).unwrap();
        init("info", LogFormat::Text).unwrap();
        assert!(init("a=b=c", LogFormat::Json).is_err());
    }
}
