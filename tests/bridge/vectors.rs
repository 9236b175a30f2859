//! Sends every request of `tests/vectors` to a running bridge, signed for the current time.

use std::collections::BTreeMap;

use recall_bridge::webhook::Token;
use serde::Deserialize;
use serde_json::Value;

use crate::mock::Kafka;
use crate::sender::{Sender, unix_now};
use crate::topic::{Record, prove};

#[derive(Debug, Deserialize)]
struct Vector {
    name: String,
    apps: String,
    now: i64,
    query: String,
    body: String,
    outcome: String,
    records: Option<Vec<Expected>>,
}

#[derive(Debug, Deserialize)]
struct Expected {
    key: String,
    msg_key: String,
    recalled_at: Option<String>,
    message_sent_at: Option<String>,
}

/// The status and the stable code of each outcome.
fn answer_of(outcome: &str) -> (u16, u64) {
    match outcome {
        "accepted" | "ignored" | "empty" => (200, 0),
        "bad_query" => (400, 120_005),
        "unknown_app" => (403, 120_006),
        "bad_sign" => (403, 120_007),
        "stale" => (403, 120_008),
        "expired" => (403, 120_015),
        "malformed" => (400, 120_009),
        other => panic!("no answer is known for {other}"),
    }
}

impl Vector {
    fn param(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    fn tokens(&self) -> impl Iterator<Item = &str> {
        self.apps.split_once(':').into_iter().flat_map(|(_, tokens)| tokens.split('|'))
    }

    /// The same request as it would be sent now: as far from now as it was from the vector's now,
    /// 5 s further from the window's edge, with a Sign that is right if it was right, in the same case.
    fn query_now(&self) -> String {
        let Some(time) = self.param("RequestTime") else { return self.query.clone() };
        let sign = self.param("Sign").expect("both or none");
        let skew = self.now - time.parse::<i64>().unwrap();
        let safe = match skew.abs() {
            0 => 0,
            within @ 1..=60 => within - 5,
            outside => outside + 5,
        };
        let request_time = (unix_now() - safe * skew.signum()).to_string();
        let by = |token: &str, time: &str| token.parse::<Token>().unwrap().sign(time);
        // A Sign that no token of the app proves stays wrong: that of yet another token.
        let token = self.tokens().find(|token| by(token, time).eq_ignore_ascii_case(sign)).unwrap_or("another");
        let mut fresh = by(token, &request_time);
        if sign.chars().any(|c| c.is_ascii_uppercase()) {
            fresh.make_ascii_uppercase();
        }
        self.query
            .replace(&format!("Sign={sign}"), &format!("Sign={fresh}"))
            .replace(&format!("RequestTime={time}"), &format!("RequestTime={request_time}"))
    }
}

#[test]
fn every_request_of_the_vectors_has_its_outcome_metric_and_records() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("../vectors/requests.json")).unwrap();
    assert!(vectors.len() >= 28);
    let mut by_apps = BTreeMap::<&str, Vec<&Vector>>::new();
    for vector in &vectors {
        by_apps.entry(&vector.apps).or_default().push(vector);
    }
    for (apps, vectors) in by_apps {
        check(apps, &vectors);
    }
}

fn check(apps: &str, vectors: &[&Vector]) {
    let kafka = Kafka::start();
    let setup = kafka.setup().env("BRIDGE_APPS", apps).env("BRIDGE_ALLOW_UNSIGNED", true);
    // Each vector stands for itself: many are the same recall, said in another way.
    let bridge = setup.env("BRIDGE_DEDUP_WINDOW_SECONDS", 0).start();
    let sender = Sender::new(&bridge.url(), 0, "unused");
    let mut counted = BTreeMap::new();
    for vector in vectors {
        let query = vector.query_now();
        let answer = sender.post(&query, vector.body.clone());
        let name = &vector.name;
        assert_eq!(answer.is_ok(), answer.status == 200, "{name}: {answer:?}");
        assert_eq!((answer.status, answer.code()), answer_of(&vector.outcome), "{name}: {answer:?}");
        assert_eq!(answer.info().is_empty(), answer.status == 200, "{name}: {answer:?}");
        let time = query.split("RequestTime=").nth(1).map(|rest| rest.split('&').next().unwrap());
        for token in vector.tokens() {
            assert!(!answer.text.contains(token), "{name}: {answer:?}");
            let expected = time.map(|time| token.parse::<Token>().unwrap().sign(time));
            let shown = expected.is_some_and(|sign| answer.text.to_ascii_lowercase().contains(&sign));
            assert!(!shown, "{name}: {answer:?}");
        }
        *counted.entry(vector.outcome.as_str()).or_insert(0.0) += 1.0;
        for (outcome, count) in &counted {
            let metric = format!("webhooks_total{{outcome=\"{outcome}\"}}");
            assert!((bridge.metric(&metric) - count).abs() < 0.1, "{name}: {metric}");
        }
    }

    let expected: Vec<&Expected> = vectors.iter().flat_map(|vector| vector.records.iter().flatten()).collect();
    bridge.wait_published();
    let mut records = kafka.records();
    prove(&records);
    records.sort_by_key(Record::seq);
    assert_eq!(records.len(), expected.len());
    let spool = bridge.status()["spool_uuid"].as_str().unwrap().to_owned();
    for ((record, expected), seq) in records.iter().zip(expected).zip(1_u64..) {
        assert_eq!(record.seq(), seq);
        assert_eq!(record.spool(), spool);
        check_record(record, expected);
    }
}

fn check_record(record: &Record, expected: &Expected) {
    let value = &record.value;
    assert_eq!(record.key, expected.key);
    assert_eq!(value["schema_version"], 1);
    assert_eq!(value["sdk_app_id"], 1_400_000_001);
    assert_eq!(value["official_account"], expected.key.as_str());
    assert_eq!(value["msg_key"], expected.msg_key.as_str());
    assert_eq!(value["recalled_at"], Value::from(expected.recalled_at.clone()));
    assert_eq!(value["message_sent_at"], Value::from(expected.message_sent_at.clone()));
    assert_eq!(value["opt_platform"], "RESTAPI");
    assert_eq!(value["client_ip"], "127.0.0.1");
    let received: jiff::Timestamp = value["received_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(record.timestamp_ms, received.as_millisecond(), "the record's time is that of receipt");
    assert!((unix_now() - received.as_second()).abs() < 60, "{received}");

    let mut headers = record.headers.clone();
    let mut take = |name: &str| headers.remove(name).unwrap_or_else(|| panic!("no header {name}"));
    assert_eq!(take("ce_specversion"), "1.0");
    assert_eq!(take("ce_id"), value["event_id"].as_str().unwrap());
    assert_eq!(take("ce_source"), "/tencent-chat/apps/1400000001");
    assert_eq!(take("ce_type"), "tencent.chat.official_account.message_recalled.v1");
    assert_eq!(take("ce_subject"), expected.msg_key);
    assert_eq!(take("content-type"), "application/json");
    take("bridge_spool");
    take("bridge_seq");
    assert_eq!(headers.remove("ce_time"), expected.recalled_at.clone());
    assert!(headers.is_empty(), "unexpected headers: {headers:?}");
    if expected.key == "#TOA#_123" && expected.msg_key == "71_1_1698741698" {
        assert_eq!(value["event_id"], "ca32d5e7-07c8-5653-9baa-ddf3ff26851e");
    }
}
