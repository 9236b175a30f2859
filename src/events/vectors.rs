//! The requests of `tests/vectors`, each with the outcome it must have.

use serde::Deserialize;

use super::{Origin, find, is_published};
use crate::record::Record;
use crate::webhook::{Apps, Refusal, verify};

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
    let verified = match verify(vector.query.as_bytes(), apps, vector.now, 60, is_published) {
        Ok(verified) => verified,
        Err(Refusal::BadQuery(_)) => return ("bad_query", None),
        Err(Refusal::UnknownApp { .. }) => return ("unknown_app", None),
        Err(Refusal::BadSign(_)) => return ("bad_sign", None),
        Err(Refusal::Stale { .. }) => return ("stale", None),
        Err(Refusal::Expired { .. }) => return ("expired", None),
    };
    let Some(kind) = find(verified.command()) else { return ("ignored", None) };
    let messages = match kind.parse(&verified, vector.body.as_bytes()) {
        Ok(Some(messages)) => messages,
        Ok(None) => return ("empty", None),
        Err(_) => return ("malformed", None),
    };
    let origin = Origin::new(&verified, 0, None);
    let record = |index| {
        let mut bytes = Vec::new();
        messages.encode(index, &origin, &mut bytes);
        let record = Record::decode(&bytes).unwrap();
        let value: serde_json::Value = serde_json::from_slice(record.value).unwrap();
        let text = |field: &str| value[field].as_str().map(str::to_owned);
        Expected {
            key: String::from_utf8(record.key.to_vec()).unwrap(),
            msg_key: text("msg_key").unwrap(),
            recalled_at: text("recalled_at"),
            message_sent_at: text("message_sent_at"),
        }
    };
    ("accepted", Some((0..messages.count()).map(record).collect()))
}
