//! Tests of `quarantine list`, `show` and `export`, with a running and with a stopped node.

use std::fs::File;
use std::process::Stdio;

use base64::Engine as _;
use serde_json::Value;

use crate::bridge::{APP, Bridge, Setup, TOKEN, eventually};
use crate::cli::{entries, expect, json, malformed, only_spool, run, stale, stderr};
use crate::mock::Kafka;
use crate::process::Start as _;
use crate::sender::Sender;

const NO_TEXT: &[u8] = b"{\"Official_Account\":\"\xff\x1b[2J\"";

/// A bridge with three entries: 1 `malformed`, 2 `stale`, 3 a record that Kafka rejected.
fn with_entries(kafka: &Kafka) -> Bridge {
    let bridge = kafka.setup().env("KAFKA_MESSAGE_MAX_BYTES", 2000).start();
    assert_eq!(malformed(&bridge, NO_TEXT), 120_009);
    assert_eq!(stale(&bridge, "@TOA#_公告", &["1_1_1", "2_1_1"]), 120_008);
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["before_1_1", &"large".repeat(600), "after_1_1"]);
    bridge.wait_published();
    bridge
}

#[test]
fn a_running_and_a_stopped_node_show_the_same_entries() {
    let kafka = Kafka::start();
    let mut bridge = with_entries(&kafka);
    let setup = only_spool(bridge.setup());
    let look = || {
        let mut said = Vec::new();
        for args in
            [&["list"][..], &["list", "--json"], &["show", "1", "2", "3"], &["show", "--json", "3"], &["export"]]
        {
            let output = setup.run(&[&["quarantine"], args].concat());
            expect(&output, 0);
            assert!(stderr(&output).is_empty(), "{output:?}");
            said.push(String::from_utf8(output.stdout).unwrap());
        }
        said
    };
    let running = look();
    bridge.kill();
    assert_eq!(look(), running);
    let all = running.concat();
    assert!(!all.contains(TOKEN) && !all.contains("Sign="), "{all}");
    assert!(!all.contains('\u{1b}'), "a terminal is given orders: {all:?}");
    // The commands change nothing, and the node starts again.
    bridge = bridge.restart();
    assert_eq!(look(), running);
    assert_eq!(bridge.metric("quarantine_events"), 3.0);
}

#[test]
fn a_list_shows_reason_account_and_missing_sequence_number() {
    let kafka = Kafka::start();
    let bridge = with_entries(&kafka);
    let uuid = bridge.status()["spool_uuid"].clone();
    let listed = json(bridge.setup(), 0, &["quarantine", "list", "--json"]);
    let field = |name: &str| listed.iter().map(|entry| entry[name].clone()).collect::<Vec<_>>();
    assert_eq!(field("id"), [1, 2, 3]);
    assert_eq!(field("reason"), ["malformed", "stale", "kafka_too_large"]);
    assert_eq!(field("account"), [Value::Null, "@TOA#_公告".into(), "#TOA#_1".into()]);
    assert_eq!(field("bridge_spool"), [Value::Null, Value::Null, uuid]);
    assert_eq!(field("bridge_seq"), [Value::Null, Value::Null, 2.into()]);
    assert!(listed.iter().all(|entry| !entry["detail"].as_str().unwrap().is_empty()), "{listed:?}");
    let table = run(bridge.setup(), 0, &["quarantine", "list"]);
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.lines().nth(2).unwrap().contains("stale") && table.contains("@TOA#_公告"), "{table}");

    let status = bridge.status();
    for (reason, events) in [("malformed", 1), ("stale", 1), ("kafka_too_large", 1)] {
        assert_eq!(status["quarantine"][reason]["events"], events, "{status}");
    }
    assert_eq!(status["quarantine_events"], 3);
}

#[test]
fn a_quarantine_export_contains_complete_entries() {
    let kafka = Kafka::start();
    let bridge = with_entries(&kafka);
    let exported = json(bridge.setup(), 0, &["quarantine", "export"]);
    let database = crate::spool::open(&bridge.setup().spool_dir());
    let mut statement = database.prepare("SELECT id, at_ms, reason, detail, query, body FROM quarantine").unwrap();
    let mut rows = statement.query([]).unwrap();
    for entry in &exported {
        let row = rows.next().unwrap().unwrap();
        for (at, name) in [(0, "id"), (1, "at_ms")] {
            assert_eq!(entry[name], row.get::<_, i64>(at).unwrap(), "{name}");
        }
        for (at, name) in [(2, "reason"), (3, "detail"), (4, "query")] {
            assert_eq!(entry[name], row.get::<_, String>(at).unwrap(), "{name}");
        }
        let body = match (&entry["body"], &entry["body_base64"]) {
            (Value::String(text), Value::Null) => text.clone().into_bytes(),
            (Value::Null, Value::String(text)) => base64::engine::general_purpose::STANDARD.decode(text).unwrap(),
            both => panic!("{both:?}"),
        };
        assert_eq!(body, row.get::<_, Vec<u8>>(5).unwrap());
    }
    assert_eq!(exported.len(), 3);
    assert!(exported[0]["body_base64"].is_string() && exported[1]["body"].is_string(), "{exported:?}");
    // A record is printed as text too.
    let record = &exported[2]["record"];
    assert_eq!((&record["key"], &record["headers"]["ce_specversion"]), (&"#TOA#_1".into(), &"1.0".into()));
    assert_eq!(record["value"]["msg_key"], "large".repeat(600));
}

#[test]
fn combined_filters_match_entries_that_meet_all_of_them() {
    let kafka = Kafka::start();
    let bridge = with_entries(&kafka);
    let listed = |args: &[&str]| {
        let listed = json(bridge.setup(), 0, &[&["quarantine", "list", "--json"], args].concat());
        listed.iter().map(|entry| entry["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(listed(&["--reason", "stale"]), [2]);
    assert_eq!(listed(&["--account", "#TOA#_1"]), [3]);
    assert_eq!(listed(&["--account", "@TOA#_公告", "--reason", "stale"]), [2]);
    assert_eq!(listed(&["--account", "@TOA#_公告", "--reason", "malformed"]), [0; 0]);
    assert_eq!(listed(&["--through", "2"]), [1, 2]);
    assert_eq!(listed(&["--since", "1h"]), [1, 2, 3]);
    assert_eq!(listed(&["--since", "2099-01-01T00:00:00Z"]), [0; 0]);
    let at = &json(bridge.setup(), 0, &["quarantine", "show", "--json", "2"])[0]["at"];
    assert_eq!(listed(&["--since", at.as_str().unwrap(), "--through", "2", "--reason", "stale"]), [2]);
    let wrong = bridge.setup().run(&["quarantine", "list", "--since", "yesterday"]);
    expect(&wrong, 2);
    assert!(stderr(&wrong).contains("24h"), "{wrong:?}");
}

#[test]
fn missing_entries_and_spools_have_their_exit_codes() {
    let setup = Setup::new("127.0.0.1:1");
    let nothing = only_spool(&setup).run(&["quarantine", "list"]);
    expect(&nothing, 75);
    assert!(stderr(&nothing).contains("no spool exists in") && stderr(&nothing).contains("--dir"), "{nothing:?}");
    assert!(!setup.spool_dir().exists(), "a spool was made");
    let misspelt = setup.clone().env("BRIDGE_SPOOL_DIRR", "elsewhere").run(&["quarantine", "list"]);
    expect(&misspelt, 78);
    assert!(stderr(&misspelt).contains("did you mean BRIDGE_SPOOL_DIR?"), "{misspelt:?}");

    let mut bridge = setup.start();
    for args in [&["quarantine", "list"][..], &["quarantine", "export"], &["quarantine", "list", "--json"]] {
        assert_eq!(run(&setup, 0, args), "");
    }
    let missing = setup.run(&["quarantine", "show", "7"]);
    expect(&missing, 1);
    assert!(stderr(&missing).contains("not in quarantine: 7"), "{missing:?}");
    bridge.kill();
    // `--dir` replaces the directory of the environment.
    let elsewhere = setup.clone().env("BRIDGE_SPOOL_DIR", "/nonexistent");
    run(&elsewhere, 0, &["quarantine", "list", "--dir", setup.spool_dir().to_str().unwrap()]);
    std::fs::remove_dir_all(setup.spool_dir()).unwrap();
    std::fs::create_dir(setup.spool_dir()).unwrap();
    std::fs::write(crate::spool::file(&setup.spool_dir()), "garbage ".repeat(5000)).unwrap();
    let garbage = setup.run(&["quarantine", "list"]);
    expect(&garbage, 70);
    assert!(stderr(&garbage).contains("is corrupted"), "{garbage:?}");
}

#[test]
fn a_closed_pipe_is_no_error_and_an_unwritable_result_is_one() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    for number in 0..20 {
        malformed(&bridge, format!("{number}{}", "x".repeat(20_000)));
    }
    let command =
        |to: Stdio| bridge.setup().command(&["quarantine", "export"]).stdout(to).stderr(Stdio::piped()).start();
    let mut enough = command(Stdio::piped()).unwrap();
    drop(enough.stdout.take());
    assert_eq!(enough.wait().unwrap().code(), Some(0));
    let full = command(File::options().write(true).open("/dev/full").unwrap().into()).unwrap();
    let full = full.wait_with_output().unwrap();
    expect(&full, 75);
    assert!(stderr(&full).contains("could not be written"), "{full:?}");
}

#[test]
fn a_list_shows_new_entries_and_does_not_disturb_the_node() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            for number in 0..200 {
                assert_eq!(malformed(&bridge, format!("no {number}")), 120_009);
            }
        });
        let mut before = 0;
        while !sender.is_finished() {
            let listed = entries(bridge.setup()).len();
            assert!(listed >= before, "{listed} after {before}");
            before = listed;
        }
        sender.join().unwrap();
    });
    let listed = entries(bridge.setup());
    assert!(listed.iter().map(|(id, _)| *id).eq(1..=200), "{listed:?}");
    eventually("all is counted", || (bridge.metric("quarantine_events") == 200.0).then_some(()));
}
