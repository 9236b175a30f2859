//! Runs the commands and snippets of `docs/consumers.md`, and compares their results with the document.

use std::process::{Command, Output};

use super::postgres::Postgres;
use super::purged::aborted;
use super::{Copy, broker};
use crate::bridge::{APP, TOKEN};
use crate::broker::java;
use crate::process::Start as _;
use crate::scene;
use crate::sender::Sender;
use crate::wait::until_settled;

const DOCUMENT: &str = include_str!("../../../docs/consumers.md");
const EVENT_ID: &str = "ca32d5e7-07c8-5653-9baa-ddf3ff26851e";

/// Returns the first code block in this language that contains `text`.
#[track_caller]
fn block(language: &str, text: &str) -> &'static str {
    let fence = format!("```{language}\n");
    let mut blocks = DOCUMENT.split(&fence).skip(1).filter_map(|rest| rest.split("```").next());
    blocks.find(|block| block.contains(text)).unwrap_or_else(|| panic!("no {language} block with {text}"))
}

#[track_caller]
fn lines(output: &Output) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn the_event_id_in_python_and_in_sql_is_the_one_of_the_record() {
    let python = Command::new("python3").arg("-c").arg(block("python", "uuid5")).run().unwrap();
    assert_eq!(lines(&python), [EVENT_ID]);
    // The Debian package postgresql contains the extension.
    assert_eq!(Postgres::start().query(block("sql", "uuid_generate_v5")), EVENT_ID);
}

/// Runs the class with the source launcher of the JDK, as in the document.
#[test]
fn the_event_id_in_java_is_the_one_of_the_record() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("EventId.java");
    std::fs::write(&source, block("java", "class EventId")).unwrap();
    assert_eq!(lines(&Command::new("java").arg(&source).run().unwrap()), [EVENT_ID]);
}

#[test]
fn kcat_and_the_console_consumer_show_every_committed_record() {
    let broker = broker();
    let topic = "documented";
    let mut bridge = scene::setup(broker, topic).start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_123", &["71_1_1698741698", "other"]);
    scene::stop(&mut bridge);
    aborted(broker, topic, &[Copy::new("#TOA#_123", "aborted")]);
    until_settled(&broker.client(), topic);

    let line = |start: &str| {
        let line = block("sh", start).lines().find(|line| line.starts_with(start)).unwrap();
        line.replace("localhost:9094", &broker.bootstrap()).replace("official-account.recalls", topic)
    };
    let kcat = Command::new("sh").args(["-c", &line("kcat ")]).run().unwrap();
    let shown = lines(&kcat);
    assert_eq!(shown.len(), 2, "{shown:#?} (Debian package kcat)");
    for (line, seq) in shown.iter().zip(1..) {
        assert!(line.contains(" #TOA#_123 ") && line.contains(&format!("bridge_seq={seq}")), "{line}");
        assert!(line.contains("ce_id=") && line.contains(r#"{"schema_version":1,"#), "{line}");
    }
    assert!(shown[0].contains(EVENT_ID), "{shown:#?}");

    // `kafka-console-consumer.sh` of Kafka's distribution starts this class.
    let line = line("kafka-console-consumer.sh ");
    let options = line.split_whitespace().skip(1);
    let ends = ["--timeout-ms", "10000", "--max-messages", "3"];
    let console = java().arg("org.apache.kafka.tools.consumer.ConsoleConsumer").args(options).args(ends).run();
    let console = console.unwrap();
    let text = String::from_utf8_lossy(&console.stdout);
    let shown: Vec<&str> = text.lines().filter(|line| line.contains("schema_version")).collect();
    assert_eq!(shown.len(), 2, "{text}\n{}", String::from_utf8_lossy(&console.stderr));
    for (line, seq) in shown.iter().zip(1..) {
        assert!(line.contains("#TOA#_123") && line.contains(&format!("bridge_seq:{seq}")), "{line}");
    }
}
