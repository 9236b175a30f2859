//! The requests of `tests/vectors`, each with the outcome it must have.

use serde::Deserialize;

use super::{Apps, Body, Refusal, parse, verify};

#[derive(Deserialize)]
struct Vector {
    name: String,
    apps: String,
    now: i64,
    query: String,
    body: String,
    outcome: String,
    records: Option<Vec<Expected>>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Expected {
    key: String,
    msg_key: String,
    recalled_at: Option<String>,
    message_sent_at: Option<String>,
}

#[test]
fn every_request_has_its_outcome() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../tests/vectors/requests.json")).unwrap();
    assert!(vectors.len() >= 28);
    for vector in vectors {
        let apps = Apps::parse(&vector.apps, true).unwrap();
        let (outcome, records) = walk(&vector, &apps);
        assert_eq!(outcome, vector.outcome, "{}", vector.name);
        assert_eq!(records, vector.records, "{}", vector.name);
    }
}

fn walk(vector: &Vector, apps: &Apps) -> (&'static str, Option<Vec<Expected>>) {
    let verified = match verify(vector.query.as_bytes(), apps, vector.now, 60) {
        Ok(verified) => verified,
        Err(Refusal::BadQuery(_)) => return ("bad_query", None),
        Err(Refusal::UnknownApp { .. }) => return ("unknown_app", None),
        Err(Refusal::BadSign(_)) => return ("bad_sign", None),
        Err(Refusal::Stale { .. }) => return ("stale", None),
        Err(Refusal::Expired { .. }) => return ("expired", None),
    };
    if !verified.is_recall() {
        return ("ignored", None);
    }
    let recall = match parse(&verified, vector.body.as_bytes()) {
        Ok(Body::Recall(recall)) => recall,
        Ok(Body::Empty) => return ("empty", None),
        Err(_) => return ("malformed", None),
    };
    let time = |ms: i64| format!("{:.3}", jiff::Timestamp::from_millisecond(ms).unwrap());
    let records = recall.msg_keys().map(|msg_key| Expected {
        key: recall.official_account().to_owned(),
        msg_key: msg_key.to_owned(),
        recalled_at: recall.event_time_ms().map(time),
        message_sent_at: crate::record::message_sent_at(msg_key).map(|at| format!("{at:.0}")),
    });
    ("accepted", Some(records.collect()))
}
