//! Every outcome that a client can cause, by correct and by unusual requests. Each webhook is counted once.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;

use recall_bridge::events::RECALL_COMMAND;
use reqwest::Method;

use crate::bridge::{APP, Bridge, TOKEN, eventually};
use crate::mock::Kafka;
use crate::raw;
use crate::sender::{Sender, query_at, recall_body, signed_query, unix_now};

/// The outcomes counted so far, without those of which there are none.
fn counted(bridge: &Bridge) -> BTreeMap<String, f64> {
    let name =
        |key: &str| Some(key.strip_prefix("recall_bridge_webhooks_total{outcome=\"")?.strip_suffix("\"}")?.to_owned());
    bridge
        .metrics()
        .iter()
        .filter(|(_, count)| **count > 0.0)
        .filter_map(|(key, count)| Some((name(key)?, *count)))
        .collect()
}

fn expect(counts: &[(&str, f64)]) -> BTreeMap<String, f64> {
    counts.iter().map(|(outcome, count)| ((*outcome).to_owned(), *count)).collect()
}

#[test]
fn another_path_or_method_is_refused_in_json_and_names_post() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env("BRIDGE_WEBHOOK_PATH", "/hook").start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    let root = sender.request(Method::POST, "");
    assert_eq!((root.status, root.code(), root.is_ok()), (404, 120_001, false));
    for path in ["hookx", "hook/x", "metrics", "livez", "readyz", "status", "%68ook2"] {
        assert_eq!(sender.request(Method::GET, path).status, 404, "{path}");
    }
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
        let answer = sender.request(method.clone(), "hook");
        assert_eq!((answer.status, answer.code(), answer.is_ok()), (405, 120_002, false), "{method}");
        assert_eq!(answer.allow.as_deref(), Some("POST"));
    }
    assert_eq!(bridge.ops_get("/hook").0, 404, "webhooks are taken on their own listener only");
    let hook = Sender::new(&format!("{}hook", bridge.url()), APP, TOKEN);
    hook.acknowledged("#TOA#_1", &["1_1_1"]);
    assert_eq!(counted(&bridge), expect(&[("not_found", 8.0), ("method_not_allowed", 5.0), ("accepted", 1.0)]));
}

#[test]
fn other_commands_are_acknowledged_and_counted_under_a_fixed_set_of_names() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for command in ["C2C.CallbackAfterSendMsg", "Made.Up1", "Made.Up2"] {
        assert!(sender.post(&query_at(APP, TOKEN, command, unix_now()), "whatever").is_ok());
    }
    let count = |command| bridge.metric(&format!("ignored_commands_total{{command=\"{command}\"}}"));
    assert_eq!((count("C2C.CallbackAfterSendMsg"), count("other")), (1.0, 2.0));
    assert!(!bridge.ops_get("/metrics").1.contains("Made.Up"));
    assert_eq!(counted(&bridge), expect(&[("ignored", 3.0)]));
    assert_eq!(bridge.metric("events_accepted_total"), 0.0);
}

#[test]
fn a_too_large_body_gets_413_in_every_framing() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env("BRIDGE_MAX_BODY_BYTES", 1024).start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    let fits = recall_body("#TOA#_1", &["1_1_1"]);
    let fits = format!("{fits}{}", " ".repeat(1024 - fits.len()));
    assert!(sender.post(&signed_query(APP, TOKEN), fits.clone()).is_ok(), "a body at the bound");
    for extra in [1, 1024, 300_000] {
        let answer = sender.post(&signed_query(APP, TOKEN), format!("{fits}{}", " ".repeat(extra)));
        assert_eq!((answer.status, answer.code(), answer.is_ok()), (413, 120_004, false), "{extra}");
    }

    let chunked = |chunks: usize, end: &str| {
        let head = raw::head(&signed_query(APP, TOKEN), "Transfer-Encoding: chunked\r\n");
        let chunk = format!("{:x}\r\n{}\r\n", 512, "x".repeat(512));
        format!("{head}{}{end}", chunk.repeat(chunks))
    };
    let whole = raw::exchange(&bridge, &chunked(3, "0\r\n\r\n"));
    assert_eq!(whole.status, 413, "{whole:?}");
    // Neither ends: the peer goes on sending for as long as it likes.
    for request in [
        chunked(3, ""),
        chunked(40, ""),
        format!("{}{}", raw::head(&signed_query(APP, TOKEN), "Content-Length: 9999999\r\n"), "x".repeat(2000)),
    ] {
        let answer = raw::exchange(&bridge, &request);
        assert_eq!((answer.status, answer.code()), (413, 120_004), "{answer:?}");
    }
    assert_eq!(counted(&bridge), expect(&[("accepted", 1.0), ("too_large", 7.0)]));
}

#[test]
fn a_body_that_stalls_gets_408_within_the_time_to_answer() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env("BRIDGE_ACK_TIMEOUT_MS", 100).start();
    let head = raw::head(&signed_query(APP, TOKEN), "Content-Length: 200\r\n");
    let answer = raw::exchange(&bridge, &format!("{head}{{\"Callback"));
    assert_eq!((answer.status, answer.code()), (408, 120_012), "{answer:?}");
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(counted(&bridge), expect(&[("timeout", 1.0)]));
}

#[test]
fn a_peer_that_leaves_before_its_response_is_counted_as_client_gone() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let body = recall_body("#TOA#_1", &["1_1_1"]);
    for shutdown in [Shutdown::Both, Shutdown::Write] {
        let mut stream = raw::connect(&bridge);
        let head = raw::head(&signed_query(APP, TOKEN), &format!("Content-Length: {}\r\n", body.len()));
        write!(stream, "{head}{}", &body[..10]).unwrap();
        stream.shutdown(shutdown).unwrap();
        let _ = stream.read_to_string(&mut String::new());
    }
    eventually("both are counted", || (counted(&bridge) == expect(&[("client_gone", 2.0)])).then_some(()));
    assert_eq!(bridge.metric("events_accepted_total"), 0.0);
}

#[test]
fn malformed_and_stale_webhooks_are_stored_before_the_response() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    let malformed = b"{\"Official_Account\":\"\xff\xfe".to_vec();
    let stale_query = query_at(APP, TOKEN, RECALL_COMMAND, unix_now() - 3600);
    let stale_body = recall_body("#TOA#_1", &["1_1_1"]);
    assert_eq!(sender.post(&signed_query(APP, TOKEN), malformed.clone()).code(), 120_009);
    assert_eq!(sender.post(&stale_query, stale_body.clone()).code(), 120_008);
    // Answered: from here on a power cut must not lose it.
    assert_eq!(bridge.metric("quarantine_events"), 2.0);
    bridge.kill();
    let database = crate::spool::open(&bridge.setup().spool_dir());
    let mut statement =
        database.prepare("SELECT reason, detail, query, body, at_ms FROM quarantine ORDER BY id").unwrap();
    let rows: Vec<(String, String, String, Vec<u8>, i64)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].0.as_str(), rows[0].3.as_slice()), ("malformed", malformed.as_slice()));
    assert_eq!((rows[1].0.as_str(), rows[1].3.as_slice()), ("stale", stale_body.as_bytes()));
    for (_, detail, query, _, at_ms) in &rows {
        assert!(!query.contains("Sign="), "{query}");
        assert!(query.contains("SdkAppid=1400000001") && query.contains("RequestTime="), "{query}");
        assert!(!detail.is_empty());
        assert!((at_ms / 1000 - unix_now()).abs() < 60);
    }
    drop(statement);
    drop(database);
    let bridge = bridge.restart();
    assert_eq!(bridge.metric("quarantine_events"), 2.0);
    bridge.wait_published();
    assert!(kafka.records().is_empty(), "nothing of it is published");
}
