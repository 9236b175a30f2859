//! `tail` with a start time, accounts and keys, and its comparison with a node.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::bridge::{APP, Bridge, TOKEN};
use crate::cli::{expect, json, run, stderr, stdout};
use crate::mock::Kafka;
use crate::sender::Sender;

fn recall(bridge: &Bridge, account: &str, keys: &[&str]) {
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged(account, keys);
}

/// A time between the webhooks before and after the call, in milliseconds as in a record.
fn between() -> String {
    let before = jiff::Timestamp::now().as_millisecond();
    let next = || jiff::Timestamp::now().as_millisecond();
    while next() <= before + 1 {
        std::thread::yield_now();
    }
    format!("{:.3}", jiff::Timestamp::from_millisecond(before + 1).unwrap())
}

fn keys(records: &[Value]) -> Vec<&str> {
    let mut keys: Vec<_> = records.iter().map(|record| record["value"]["msg_key"].as_str().unwrap()).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn tail_selects_records_by_time_account_and_key() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    recall(&bridge, "#TOA#_1", &["a", "b"]);
    let middle = between();
    recall(&bridge, "#TOA#_1", &["c"]);
    recall(&bridge, "#TOA#_2", &["c", "d"]);
    bridge.wait_published();
    let tail = |more: &[&str]| json(bridge.setup(), 0, &[&["tail", "--until-end", "--json"], more].concat());
    assert_eq!(keys(&tail(&[])), ["a", "b", "c", "c", "d"]);
    assert_eq!(keys(&tail(&["--from", "beginning"])), ["a", "b", "c", "c", "d"]);
    assert_eq!(keys(&tail(&["--from", &middle])), ["c", "c", "d"]);
    assert_eq!(keys(&tail(&["--from", "1h"])), ["a", "b", "c", "c", "d"]);
    assert_eq!(keys(&tail(&["--from", "end"])), [""; 0]);
    assert_eq!(keys(&tail(&["--account", "#TOA#_1"])), ["a", "b", "c"]);
    assert_eq!(keys(&tail(&["--account", "#TOA#_1", "--account", "#TOA#_2", "--key", "c"])), ["c", "c"]);
    assert_eq!(keys(&tail(&["--from", &middle, "--account", "#TOA#_1"])), ["c"]);
    assert_eq!(keys(&tail(&["--key", "b", "--count", "1"])), ["b"]);
    let wrong = bridge.setup().run(&["tail", "--from", "yesterday"]);
    expect(&wrong, 2);
    assert!(stderr(&wrong).contains("24h"), "{wrong:?}");
}

#[test]
fn a_selection_does_not_change_the_verification() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    recall(&bridge, "#TOA#_1", &["a", "b"]);
    let middle = between();
    recall(&bridge, "#TOA#_2", &["c", "d"]);
    bridge.wait_published();
    let tail = |more: &[&str]| run(bridge.setup(), 0, &[&["tail", "--until-end", "--verify"], more].concat());
    let said = tail(&["--account", "#TOA#_2"]);
    assert!(said.contains("4 records, 0 errors: verified") && said.lines().count() == 4, "{said}");
    let said = tail(&["--from", &middle]);
    assert!(said.contains(": 3 to 4, 0 missing") && said.contains("2 records, 0 errors: verified"), "{said}");
}

#[test]
fn nothing_to_verify_is_not_a_success() {
    let kafka = Kafka::start();
    let setup = kafka.setup();
    let output = setup.run(&["tail", "--from", "beginning", "--until-end", "--verify"]);
    expect(&output, 1);
    assert!(
        stdout(&output).contains("nothing to verify") && stderr(&output).contains("nothing to verify"),
        "{output:?}"
    );
    let output = setup.run(&["tail", "--from", "beginning", "--until-end", "--verify", "--json"]);
    expect(&output, 1);
    let verdict: Value = serde_json::from_str(stdout(&output).trim()).unwrap();
    assert_eq!((&verdict["verified"], &verdict["report"]["records"]), (&false.into(), &0.into()));
    // Without --verify, an empty topic is no error.
    run(&setup, 0, &["tail", "--from", "beginning", "--until-end"]);
}

/// Compares with the status of a node, or with one that this test made up.
#[track_caller]
fn compare(bridge: &Bridge, code: i32, url: &str) -> String {
    let args = ["tail", "--verify", "--until-end", "--quiet", "--status-url", url];
    let output = bridge.setup().run(&args);
    expect(&output, code);
    stdout(&output) + &stderr(&output)
}

/// The URL of a server that gives one response.
fn serve(status: &Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/status", listener.local_addr().unwrap());
    let body = status.to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).unwrap();
        write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    });
    url
}

#[test]
fn the_topic_is_compared_with_the_published_sequence_of_a_node() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    recall(&bridge, "#TOA#_1", &["a", "b", "c"]);
    bridge.wait_published();
    let url = format!("http://{}/status", bridge.ops_address());
    let said = compare(&bridge, 0, &url);
    assert!(said.contains("published up to 3, 0 waiting") && said.contains("3 records, 0 errors: verified"), "{said}");

    let status = bridge.status();
    let changed = |fields: &[(&str, Value)]| {
        let mut status = status.clone();
        for (name, value) in fields {
            status[*name] = value.clone();
        }
        serve(&status)
    };
    // Events that wait are no error.
    let said = compare(&bridge, 0, &changed(&[("accepted_seq", 9.into())]));
    assert!(said.contains("published up to 3, 6 waiting"), "{said}");
    // A number at the end that the topic does not have is one.
    let ahead = [("accepted_seq", json!(5)), ("published_seq", json!(5))];
    let said = compare(&bridge, 1, &changed(&ahead));
    assert!(said.contains("2 number(s) up to 5 missing: 4-5;"), "{said}");
    // Unless the quarantine explains it.
    let kept = ("quarantine", json!({ "kafka_too_large": { "events": 2, "bytes": 9 } }));
    let said = compare(&bridge, 0, &changed(&[&ahead[..], &[kept]].concat()));
    assert!(said.contains("2 missing and in quarantine: 4-5"), "{said}");
    let other = "00000000-0000-7000-8000-000000000000";
    let identities = json!([{ "bridge_spool": other, "first_seq": 1 }]);
    let said = compare(&bridge, 1, &changed(&[("spool_uuid", other.into()), ("identities", identities.clone())]));
    assert!(said.contains(other) && said.contains("no record of it was read"), "{said}");
    // A node that has published nothing yet has no record in the topic.
    let new = [("published_seq", json!(0)), ("identities", identities)];
    let said = compare(&bridge, 0, &changed(&new));
    assert!(said.contains("published up to 0, 3 waiting"), "{said}");
    // Sequence numbers of the node count on after a new spool UUID; those of the record begin with 1 again.
    let uuid = &status["spool_uuid"];
    let two = json!([{ "bridge_spool": other, "first_seq": 1 }, { "bridge_spool": uuid, "first_seq": 11 }]);
    let said = compare(
        &bridge,
        1,
        &changed(&[("accepted_seq", 14.into()), ("published_seq", 13.into()), ("identities", two)]),
    );
    assert!(said.contains(&format!("{}: published up to 3, 1 waiting", uuid.as_str().unwrap())), "{said}");
    assert!(said.contains(&format!("{other}: its node has published up to 10")), "{said}");
}

#[test]
fn a_rejected_record_explains_its_missing_number() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env("KAFKA_MESSAGE_MAX_BYTES", 2000).start();
    recall(&bridge, "#TOA#_1", &["1_1_1", &"large".repeat(600), "2_1_1", &"larger".repeat(600)]);
    bridge.wait_published();
    let said = compare(&bridge, 0, &format!("http://{}/status", bridge.ops_address()));
    assert!(said.contains("published up to 4, 0 waiting") && said.contains("in quarantine: 2, 4"), "{said}");
}

#[test]
fn a_node_that_does_not_respond_is_an_error() {
    let kafka = Kafka::start();
    let setup = kafka.setup();
    let ask = |url: &str| setup.run(&["tail", "--verify", "--until-end", "--status-url", url]);
    let output = ask("http://127.0.0.1:1/status");
    expect(&output, 75);
    assert!(stderr(&output).contains("--status-url"), "{output:?}");
    let output = ask(&serve(&json!({ "ready": true })));
    expect(&output, 75);
    assert!(stderr(&output).contains("not the /status of a node"), "{output:?}");
    expect(&setup.run(&["tail", "--status-url", "http://127.0.0.1:1/status"]), 2);
}
