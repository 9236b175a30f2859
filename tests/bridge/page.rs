//! The page and its JSON over HTTP: headers, tables, search, and permission for actions.

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::bridge::{APP, Bridge, PATIENCE, TOKEN, eventually};
use crate::faulty_disk::{Action, DATABASE, FaultyDisk, LOG, Rule, call};
use crate::mock::Kafka;
use crate::raw::{RawAnswer, read_answer};
use crate::sender::{Sender, signed_query};
use crate::{bridge::Setup, cli};

fn sender(bridge: &Bridge) -> Sender {
    Sender::new(&bridge.url(), APP, TOKEN)
}

#[track_caller]
fn get(bridge: &Bridge, path: &str) -> Value {
    let (status, text) = bridge.ops_get(path);
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

fn send(bridge: &Bridge, request: &str) -> RawAnswer {
    let mut stream = TcpStream::connect(bridge.ops_address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    read_answer(&mut stream).unwrap()
}

/// An action with these headers besides `Host`.
fn act(bridge: &Bridge, headers: &[&str], body: &str) -> (u16, String) {
    let (headers, length) = (headers.join("\r\n"), body.len());
    let request =
        format!("POST /actions HTTP/1.1\r\nHost: node:9100\r\n{headers}\r\nContent-Length: {length}\r\n\r\n{body}");
    let answer = send(bridge, &request);
    (answer.status, answer.body)
}

const PAGE: [&str; 2] = ["X-Recall-Bridge: page", "Content-Type: application/json"];

#[test]
fn every_response_forbids_frames_foreign_content_and_caches() {
    let bridge = Setup::new("127.0.0.1:1").start();
    for path in ["/", "/page/main.js", "/page/page.css", "/docs/operations.md", "/status", "/livez", "/nothing"] {
        let answer = send(&bridge, &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{path}: {policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        assert!(answer.header("set-cookie").is_none() && answer.header("access-control-allow-origin").is_none());
    }
    let (status, page) = bridge.ops_get("/");
    assert_eq!(status, 200);
    assert!(
        !page.contains(" style=") && !page.contains("<style") && !page.contains("onclick") && !page.contains("://")
    );
}

#[test]
fn every_file_that_the_page_names_is_there() {
    let bridge = Setup::new("127.0.0.1:1").start();
    let mut waiting = vec!["/".to_owned()];
    let mut seen = Vec::new();
    while let Some(path) = waiting.pop() {
        let (status, text) = bridge.ops_get(&path);
        assert_eq!(status, 200, "{path}");
        let quoted = text.split('"').filter(|part| part.starts_with("page/") || part.starts_with("./"));
        for name in quoted.map(|part| format!("/page/{}", part.trim_start_matches("page/").trim_start_matches("./"))) {
            if !seen.contains(&name) {
                seen.push(name.clone());
                waiting.push(name);
            }
        }
    }
    assert!(seen.len() > 10, "{seen:?}");
}

#[test]
fn the_verdict_of_status_follows_the_state() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let state = || get(&bridge, "/status")["verdict"]["state"].as_str().unwrap().to_owned();
    eventually("it has connected", || (state() == "accepting").then_some(()));
    assert_eq!(sender(&bridge).post(&signed_query(APP, "wrong"), "{}").code(), 120_007);
    let verdict = get(&bridge, "/status")["verdict"].clone();
    assert_eq!(verdict["state"], "losing", "{verdict}");
    assert_eq!(verdict["runbook"], "docs/operations.md#recallbridgerefusalsjump");
    for number in 0..3 {
        sender(&bridge).acknowledged("a", &[format!("k{number}")]);
    }
    assert_ne!(state(), "losing", "one unsigned webhook among more accepted ones");
}

#[test]
fn the_history_has_columns_of_one_length_and_refuses_other_times() {
    let bridge = Setup::new("127.0.0.1:1").start();
    let history = eventually("the first sample", || {
        let history = get(&bridge, "/history?minutes=1440");
        (history["at"].as_array().unwrap().len() == 1).then_some(history)
    });
    for column in ["accepted", "ack_p99_seconds", "publish_lag_p50_seconds", "backlog", "oldest_age_seconds", "kafka"] {
        assert_eq!(history[column].as_array().unwrap().len(), 1, "{column}");
    }
    assert_eq!((&history["started"][0], &history["step_seconds"]), (&true.into(), &120.into()));
    for wrong in ["0", "1441", "-1", "x", "1&minutes=2"] {
        assert_eq!(bridge.ops_get(&format!("/history?minutes={wrong}")).0, 400, "{wrong}");
    }
}

#[test]
fn the_search_finds_a_recall_in_every_place() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    sender(&bridge).acknowledged("#TOA#_1", &["71_1_1698741698"]);
    bridge.wait_published();
    assert_eq!(cli::stale(&bridge, "#TOA#_1", &["72_1_1", "73_1_1"]), 120_008);
    kafka.down();
    sender(&bridge).acknowledged("#TOA#_1", &["74_1_1"]);
    let places = |key: &str| -> Vec<String> {
        let report = get(&bridge, &format!("/find?key={key}"));
        assert_eq!(report["complete"], true, "{report}");
        report["found"].as_array().unwrap().iter().map(|one| one["place"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(places("%23TOA%23_1"), ["published", "spool", "quarantine", "refused"]);
    assert_eq!(places("71_1_1698741698"), ["published"]);
    assert_eq!(places("73_1_1"), ["quarantine", "refused"]);
    assert_eq!(places("74_1_1"), ["spool"]);
    let id = uuid::Uuid::new_v5(
        &uuid::uuid!("155042e4-d14e-51a0-9d89-925f36014ef8"),
        format!("{APP}/#TOA#_1/73_1_1").as_bytes(),
    );
    assert_eq!(places(&id.to_string()), ["quarantine", "refused"]);
    assert!(places("absent").is_empty());
    let record = &get(&bridge, "/published")["records"][0];
    assert_eq!((&record["msg_key"], &record["bridge_seq"]), (&"71_1_1698741698".into(), &1.into()));
    let offset = &get(&bridge, "/find?key=71_1_1698741698")["found"][0]["offset"];
    assert_eq!((&record["offset"], offset), (&0.into(), &0.into()));
    for wrong in ["/find", "/find?key=", "/find?key=%20", "/find?key=a&key=b", "/find?x=1", "/find?key=%ff"] {
        assert_eq!(bridge.ops_get(wrong).0, 400, "{wrong}");
    }
}

#[test]
fn hostile_texts_are_short_and_escaped() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let long = format!(r#"{{"Official_Account":"{}","WithdrawMsgList":[{{"MsgKey":"k"}}]}}"#, "x".repeat(30_000));
    assert_eq!(cli::malformed(&bridge, long), 120_009);
    assert_eq!(cli::stale(&bridge, "\u{202e}\u{1b}<b>", &["k"]), 120_008);
    let key = "y".repeat(20_000);
    sender(&bridge).acknowledged("a", &[&key]);
    bridge.wait_published();
    for path in ["/quarantine", "/refused", "/published", "/accounts", "/find?key=a", "/find?key=k"] {
        let (status, text) = bridge.ops_get(path);
        assert_eq!(status, 200, "{path}");
        assert!(
            text.len() < 12_000 && !text.contains('\u{202e}') && !text.contains('\u{1b}'),
            "{path}: {}",
            text.len()
        );
    }
    assert_eq!(get(&bridge, "/quarantine?account=%e2%80%ae%1b%3cb%3e")["total"], 1);
    assert_eq!(get(&bridge, "/quarantine?reason=malformed")["entries"].as_array().unwrap().len(), 1);
    assert_eq!(get(&bridge, "/quarantine?id=1")["reason"], "malformed");
    assert_eq!(bridge.ops_get("/quarantine?id=99").0, 404);
}

#[test]
fn the_number_of_listed_accounts_is_limited() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    for number in 0..260 {
        sender(&bridge).acknowledged(&format!("account {number}"), &["k"]);
    }
    bridge.wait_published();
    assert_eq!(get(&bridge, "/accounts")["accounts"].as_array().unwrap().len(), 50);
    assert_eq!(get(&bridge, "/published?limit=200")["records"].as_array().unwrap().len(), 200);
    assert_eq!(bridge.ops_get("/published?limit=201").0, 400);
}

#[test]
fn without_the_switch_no_request_changes_anything() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    assert_eq!(cli::stale(&bridge, "a", &["k"]), 120_008);
    let (status, text) = act(&bridge, &PAGE, r#"{"action":"drop","ids":[1]}"#);
    assert_eq!(status, 403);
    assert!(text.contains("recall-bridge quarantine"), "{text}");
    assert_eq!(get(&bridge, "/quarantine")["total"], 1);
    assert_eq!(get(&bridge, "/status")["actions"], false);
}

#[test]
fn only_the_page_itself_can_act() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env("BRIDGE_OPS_ACTIONS", true).start();
    for key in ["k1", "k2", "k3"] {
        assert_eq!(cli::stale(&bridge, "a", &[key]), 120_008);
    }
    let drop = r#"{"action":"drop","ids":[1]}"#;
    for (headers, status) in [
        (vec![PAGE[1]], 403),
        (vec![PAGE[0]], 415),
        (vec![PAGE[0], "Content-Type: text/plain"], 415),
        (vec![PAGE[0], "Content-Type: application/x-www-form-urlencoded"], 415),
        (vec![PAGE[0], PAGE[1], "Origin: http://evil.example"], 403),
        (vec![PAGE[0], PAGE[1], "Origin: null"], 403),
        (vec![PAGE[0], PAGE[1], "Sec-Fetch-Site: cross-site"], 403),
    ] {
        assert_eq!(act(&bridge, &headers, drop).0, status, "{headers:?}");
    }
    for (body, status) in [("{", 400), ("{}", 400), (r#"{"action":"stop","ids":[1]}"#, 400), (&"x".repeat(20_000), 413)]
    {
        assert_eq!(act(&bridge, &PAGE, body).0, status, "{body:.40}");
    }
    let many = json!({ "action": "drop", "ids": (1..=257).collect::<Vec<_>>() });
    assert_eq!(act(&bridge, &PAGE, &many.to_string()).0, 400);
    let options = send(&bridge, "OPTIONS /actions HTTP/1.1\r\nHost: a\r\nOrigin: http://evil.example\r\n\r\n");
    assert!(options.header("access-control-allow-origin").is_none(), "no preflight is granted");
    assert_eq!(bridge.ops_get("/actions").0, 405);
    assert_eq!(get(&bridge, "/quarantine")["total"], 3, "nothing was changed until here");

    let same_origin = [PAGE[0], PAGE[1], "Origin: http://node:9100", "Sec-Fetch-Site: same-origin"];
    let (status, text) = act(&bridge, &same_origin, drop);
    assert_eq!((status, text.contains(r#""result":"dropped""#)), (200, true), "{text}");
    let (_, text) = act(&bridge, &PAGE, r#"{"action":"requeue","ids":[2]}"#);
    assert!(text.contains(r#""result":"requeued""#), "{text}");
    let (_, text) = act(&bridge, &PAGE, r#"{"action":"replay","ids":[3]}"#);
    assert!(text.contains(r#""result":"replayed""#), "{text}");
    let records = kafka.topic().read_count(2);
    assert_eq!([records[0].msg_key(), records[1].msg_key()], ["k2", "k3"]);
    assert_eq!(get(&bridge, "/quarantine")["total"], 0);
}

#[test]
fn a_disk_that_hangs_costs_only_the_tables_that_need_it() {
    let kafka = Kafka::start();
    let disk = FaultyDisk::new();
    let bridge = disk.under(kafka.setup()).start();
    assert_eq!(cli::stale(&bridge, "a", &["k"]), 120_008);
    disk.set(Rule::all(call::READ | call::OPEN | call::SYNC | call::WRITE, DATABASE | LOG, Action::Hang));
    // SQLite has pages in its cache: at last a request reads the disk.
    eventually("the disk does not answer", || (bridge.ops_get("/quarantine").0 == 503).then_some(()));
    for path in ["/livez", "/", "/status", "/history", "/refused", "/published", "/accounts", "/metrics"] {
        assert_eq!(bridge.ops_get(path).0, 200, "{path}");
    }
    disk.heal();
    eventually("the disk answers", || (bridge.ops_get("/quarantine").0 == 200).then_some(()));
}
