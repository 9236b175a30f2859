//! `find` says where a recall is: spool, quarantine, refused journal, topic.

use std::fs::File;
use std::process::Stdio;

use recall_bridge::escape;
use serde_json::Value;

use crate::bridge::{APP, Bridge, Setup, TOKEN, TOPIC, eventually};
use crate::cli::{expect, json, only_spool, run, stale, stderr, stdout, stop};
use crate::mock::Kafka;
use crate::process::Start as _;
use crate::sender::Sender;

/// An address without a listener.
const NO_KAFKA: &str = "127.0.0.1:1";

fn recall(bridge: &Bridge, account: &str, keys: &[&str]) {
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged(account, keys);
}

#[track_caller]
fn find(setup: &Setup, code: i32, args: &[&str]) -> Vec<Value> {
    json(setup, code, &[&["find", "--json"][..], args].concat())
}

fn field<'v>(found: &'v [Value], name: &str) -> Vec<&'v str> {
    found.iter().map(|one| one[name].as_str().unwrap()).collect()
}

#[test]
fn a_recall_is_found_in_each_place_by_account_key_and_event_id() {
    // The broker is away, so recalls stay in the spool.
    let setup = Setup::new(NO_KAFKA).env("BRIDGE_SHUTDOWN_GRACE_SECONDS", 0);
    let mut bridge = setup.start();
    recall(&bridge, "#TOA#_1", &["1_1_1", "2_1_1"]);
    assert_eq!(stale(&bridge, "#TOA#_2", &["3_1_1"]), 120_008);
    let ask = only_spool(&setup);
    let check = || {
        let found = find(&ask, 0, &["#TOA#_1"]);
        assert_eq!((field(&found, "place"), field(&found, "msg_key")), (vec!["spool"; 2], vec!["1_1_1", "2_1_1"]));
        let found = find(&ask, 0, &["2_1_1"]);
        assert_eq!((&found[0]["bridge_seq"], &found[0]["account"]), (&2.into(), &"#TOA#_1".into()), "{found:?}");
        let id = recall_bridge::events::recall::event_id(APP, "#TOA#_2", "3_1_1").to_string();
        for key in ["3_1_1", "#TOA#_2", &id] {
            let found = find(&ask, 0, &[key]);
            assert_eq!(field(&found, "place"), ["quarantine", "refused"], "{key}");
            assert_eq!(field(&found, "event_id"), [&id, &id]);
        }
        let found = find(&ask, 1, &["1_1_1", "no-such-key"]);
        assert_eq!(field(&found, "key"), ["1_1_1"]);
        let output = ask.run(&["find", "no-such-key", "1_1_1"]);
        expect(&output, 1);
        assert!(stderr(&output).contains("not found: no-such-key"), "{output:?}");
        assert!(stderr(&output).contains("the topic is not searched"), "{output:?}");
    };
    check();
    // Brokers that are configured and away are an error: the answer is incomplete.
    expect(&setup.run(&["find", "1_1_1"]), 75);
    stop(&mut bridge);
    check();
    expect(&ask.run(&["find"]), 2);
    expect(&ask.run(&["find", ""]), 2);
}

#[test]
fn a_published_recall_is_found_in_the_topic_with_its_place() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    recall(&bridge, "#TOA#_1", &["1_1_1", "2_1_1"]);
    bridge.wait_published();
    let record = kafka.records().into_iter().find(|record| record.msg_key() == "2_1_1").unwrap();
    let id = record.value["event_id"].as_str().unwrap();
    eventually("the spool has removed it", || {
        (field(&find(bridge.setup(), 0, &["2_1_1"]), "place") == ["published"]).then_some(())
    });
    for key in ["2_1_1", id] {
        let found = find(bridge.setup(), 0, &[key]);
        assert_eq!(field(&found, "place"), ["published"]);
        assert_eq!((&found[0]["partition"], &found[0]["offset"]), (&record.partition.into(), &record.offset.into()));
        let command = found[0]["command"].as_str().unwrap();
        assert!(command.starts_with(&format!("kcat -C -b {} -t {TOPIC}", kafka.address())), "{command}");
        assert!(command.contains(&format!("-p {} -o {} ", record.partition, record.offset)), "{command}");
        let at: jiff::Timestamp = found[0]["at"].as_str().unwrap().parse().unwrap();
        assert_eq!(at.as_millisecond(), record.timestamp_ms);
    }
    let shown = run(bridge.setup(), 0, &["find", "#TOA#_1"]);
    assert_eq!(shown.matches("published ").count(), 2, "{shown}");
    assert!(shown.contains(&format!("{}@{}", record.partition, record.offset)), "{shown}");
    // Older records are not read.
    let later = jiff::Timestamp::from_millisecond(record.timestamp_ms + 1).unwrap().to_string();
    expect(&bridge.setup().run(&["find", "2_1_1", "--since", &later]), 1);
    // A machine without a spool finds what is in the topic.
    let elsewhere = bridge.setup().clone().env("BRIDGE_SPOOL_DIR", bridge.setup().home().join("none").display());
    let output = elsewhere.run(&["find", "2_1_1"]);
    expect(&output, 0);
    assert!(
        stderr(&output).contains("only the topic is searched") && stdout(&output).contains("published"),
        "{output:?}"
    );
    expect(&only_spool(&elsewhere).run(&["find", "2_1_1"]), 75);
}

/// All unsafe characters.
const EVIL: &str = "a\u{1b}[2J\r\n\u{7f}\u{85}\u{9b}31m\u{202e}\u{2066}\u{2028}\u{200b}\u{feff}z";

/// The commands that search and replay, for a recall with this account and key.
fn commands(key: &str) -> Vec<Vec<&str>> {
    vec![
        vec!["find", key],
        vec!["find", key, "--json"],
        vec!["tail", "--until-end", "--account", key, "--key", key],
        vec!["tail", "--until-end", "--account", key, "--json"],
        vec!["replay", "--since", "1h", "--account", key],
        vec!["replay", "--since", "1h", "--account", key, "--json"],
        vec!["replay", "--since", "1h", "--account", key, "--to-topic", "again"],
        vec!["replay", "--since", "1h", "--account", key, "--to-topic", "again", "--yes"],
    ]
}

#[test]
fn hostile_accounts_and_keys_are_escaped() {
    let kafka = Kafka::start();
    kafka.create_topic("again");
    let bridge = kafka.setup().start();
    recall(&bridge, EVIL, &[EVIL]);
    assert_eq!(stale(&bridge, EVIL, &[EVIL]), 120_008);
    bridge.wait_published();
    for args in commands(EVIL) {
        let output = bridge.setup().run(&args);
        expect(&output, 0);
        assert!(!output.stdout.is_empty(), "{args:?}");
        for text in [stdout(&output), stderr(&output)] {
            let bad = text.chars().find(|letter| *letter != '\n' && escape::is_unsafe(*letter));
            assert_eq!(bad, None, "{args:?}: {text}");
        }
    }
    let found = find(bridge.setup(), 0, &[EVIL]);
    assert_eq!(field(&found, "place"), ["quarantine", "refused", "published"]);
    assert!(field(&found, "account").iter().all(|account| *account == EVIL));
}

#[test]
fn a_full_stdout_is_an_error_and_a_closed_one_is_not() {
    let kafka = Kafka::start();
    kafka.create_topic("again");
    let bridge = kafka.setup().start();
    recall(&bridge, "#TOA#_1", &["#TOA#_1"]);
    bridge.wait_published();
    let setup = bridge.setup();
    let run = |args: &[&str], out: Stdio| {
        setup.command(args).stdout(out).stderr(Stdio::piped()).start().unwrap().wait_with_output().unwrap()
    };
    for args in commands("#TOA#_1") {
        let full = run(&args, File::options().write(true).open("/dev/full").unwrap().into());
        expect(&full, 75);
        assert!(stderr(&full).contains("could not be written"), "{args:?}: {full:?}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let closed = run(&args, writer.into());
        expect(&closed, 0);
        assert!(!stderr(&closed).contains("panicked"), "{args:?}: {closed:?}");
    }
}
