use std::io::Read as _;

use super::*;

fn written(filter: &str, format: LogFormat, log: impl FnOnce()) -> String {
    let form = Form::new(format, false);
    let sink = Arc::new(Sink::new(form));
    let filter: Targets = filter.parse().unwrap();
    tracing::subscriber::with_default(subscriber(filter, form, Arc::clone(&sink)), log);
    sink.waiting()
}

#[test]
fn a_json_line_has_its_fields_time_level_target_and_message() {
    let line = written("info", LogFormat::Json, || {
        tracing::warn!(target: "recall_bridge", depth = 7, "the spool fills");
    });
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["message"], "the spool fills");
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["target"], "recall_bridge");
    assert_eq!(line["depth"], 7);
    let time: jiff::Timestamp = line["timestamp"].as_str().unwrap().parse().unwrap();
    assert!(time.as_second() > 0);
    assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn a_text_line_contains_no_unsafe_characters() {
    let line = written("info", LogFormat::Text, || {
        tracing::info!(port = 8080, account = "\u{1b}[2J\u{202e}x\ny", "listening");
    });
    assert!(line.contains("INFO") && line.contains("listening") && line.contains(" port=8080"), "{line}");
    assert!(!line.trim_end().chars().any(crate::escape::is_unsafe), "{line}");
}

#[test]
fn the_filter_selects_lines_by_target_and_level() {
    let line = written("warn,loud=debug", LogFormat::Json, || {
        tracing::info!("unheard");
        tracing::debug!(target: "loud", "heard");
    });
    assert!(line.contains("heard") && !line.contains("unheard"), "{line}");
}

#[test]
fn lines_of_libraries_keep_their_target() {
    use rdkafka::ClientContext;

    // This also connects the `log` crate; the lines go to this thread's subscriber.
    init("info", LogFormat::Json).unwrap();
    let line = written("info", LogFormat::Json, || {
        rdkafka::client::DefaultClientContext.error(rdkafka::error::KafkaError::Canceled, "all brokers down");
    });
    let line: serde_json::Map<_, _> = serde_json::from_str(&line).unwrap();
    assert_eq!(line["target"], "rdkafka::client");
    assert_eq!(line["level"], "ERROR");
    assert!(line["message"].as_str().unwrap().contains("all brokers down"));
    let names: Vec<_> = line.keys().collect();
    assert_eq!(names, ["event", "level", "message", "target", "timestamp"]);
    assert_eq!(line["event"], "library_log");
}

#[test]
fn a_second_start_changes_nothing() {
    init("info", LogFormat::Json).unwrap();
    init("info", LogFormat::Text).unwrap();
    assert!(init("a=b=c", LogFormat::Json).is_err());
}

#[test]
fn long_fields_are_cut_and_marked() {
    for unit in ["x", "公", "\u{1b}", "\"", "\u{e0041}"] {
        let long = unit.repeat(65_000);
        let line = written("info", LogFormat::Json, || {
            tracing::info!(target: "recall_bridge", a = long, b = long, c = ?long, d = %long, e = long, f = long, "{long}");
        });
        assert!(line.len() < 10_000, "{unit:?}: {}", line.len());
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(line["message"].as_str().unwrap().ends_with("… (cut)"), "{line}");
    }
}

#[test]
fn lines_caused_by_peers_share_one_budget() {
    let lines = written("trace", LogFormat::Json, || {
        for _ in 0..2000 {
            tracing::error!(target: "actix_http::h1::dispatcher", query = "x".repeat(500), "a bad head");
            tracing::trace!(target: "mio::poll", "deregistering");
        }
        tracing::info!(target: "recall_bridge::app", "our own state");
    });
    assert!(lines.len() < 100_000, "{}", lines.len());
    assert!(lines.contains("our own state"));
}

#[test]
fn lost_lines_are_counted_and_reported() {
    let form = Form::new(LogFormat::Json, false);
    let (mut reader, writer) = std::io::pipe().unwrap();
    let sink = Sink::start(form, writer).unwrap();
    // A pipe holds 64 KiB: the writer blocks, and the logging thread does not.
    for number in 0..3000 {
        sink.push(format!("{number} {}\n", "x".repeat(1000)).into_bytes(), false);
    }
    let dropped = sink.dropped(DropReason::Buffer);
    assert!((1000..3000).contains(&dropped), "{dropped}");
    sink.flush(Duration::from_millis(1));
    let mut text = String::new();
    let mut chunk = [0; 8192];
    while !text.contains("log_lines_dropped") {
        let read = reader.read(&mut chunk).unwrap();
        text.push_str(&String::from_utf8_lossy(&chunk[..read]));
    }
    assert!(text.contains(&format!("\"lines\":{dropped}")), "{}", text.lines().last().unwrap());
}

#[test]
fn a_closed_pipe_loses_lines_and_nothing_else() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let sink = Sink::start(Form::new(LogFormat::Json, false), writer).unwrap();
    sink.push(b"a\n".to_vec(), false);
    sink.flush(Duration::from_secs(20));
    assert_eq!(sink.dropped(DropReason::Write), 1);
}
