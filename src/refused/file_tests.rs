use std::borrow::Cow;

use super::*;
use crate::refused::entry::{RefusedEntry, RefusedFacts, Standing};

const SMALL: Pair = Pair { current: "refused.jsonl", previous: "refused.previous.jsonl", bytes_max: 4000 };
const FIRST: JournalLine<'static> = JournalLine::Next(7);

fn entry(id: u64, body: &[u8]) -> RefusedEntry {
    let facts = RefusedFacts {
        at_ms: 1_670_574_414_180,
        outcome: "spool_full",
        reason: "full",
        standing: Standing::Authentic,
        skew_seconds: Some(-3),
        query: b"SdkAppid=7&Sign=x",
        body: Some(body),
        body_bytes: None,
        quarantine: None,
        traceparent: None,
        request_id: None,
        peer: None,
    };
    RefusedEntry::new(id, &facts)
}

fn append(pages: &mut Pages, id: u64) {
    let body = format!(r##"{{"Official_Account":"#TOA#_1","WithdrawMsgList":[{{"MsgKey":"{id}"}}]}}"##);
    pages.append(&JournalLine::Entry(Cow::Owned(entry(id, body.as_bytes()))), &FIRST).unwrap();
}

fn loaded(dir: &Path) -> (Vec<u64>, usize, u64) {
    let (mut ids, mut firsts) = (Vec::new(), 0);
    let unreadable = load(dir, SMALL, |line| match line {
        JournalLine::Entry(entry) => ids.push(entry.id),
        line => firsts += usize::from(line == FIRST),
    });
    (ids, firsts, unreadable.unwrap())
}

#[test]
fn the_newest_entries_stay_within_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let mut pages = Pages::new(dir.path(), SMALL);
    for id in 1..=100 {
        append(&mut pages, id);
        let (ids, firsts, unreadable) = loaded(dir.path());
        assert_eq!((ids.last(), unreadable), (Some(&id), 0));
        assert!(ids.windows(2).all(|two| two[0] + 1 == two[1]), "{ids:?}");
        assert_eq!(firsts, std::fs::read_dir(dir.path()).unwrap().count(), "each file starts with the first line");
        for name in [SMALL.current, SMALL.previous] {
            let length = std::fs::metadata(dir.path().join(name)).map_or(0, |found| found.len());
            assert!(length <= SMALL.bytes_max, "{name}: {length}");
        }
    }
    assert!((5..40).contains(&loaded(dir.path()).0.len()));
    pages.sync().unwrap();
}

#[test]
fn a_removed_file_is_created_again_after_the_next_sync() {
    let dir = tempfile::tempdir().unwrap();
    let mut pages = Pages::new(dir.path(), SMALL);
    append(&mut pages, 1);
    std::fs::remove_file(dir.path().join(SMALL.current)).unwrap();
    pages.sync().unwrap();
    append(&mut pages, 2);
    assert_eq!(loaded(dir.path()), (vec![2], 1, 0));
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("other");
    std::fs::write(&other, "").unwrap();
    std::os::unix::fs::symlink(&other, dir.path().join(SMALL.current)).unwrap();
    let refused = Pages::new(dir.path(), SMALL).append(&FIRST, &FIRST);
    assert!(refused.is_err());
    assert_eq!(std::fs::read(&other).unwrap(), b"");
}

#[test]
fn a_body_that_is_not_text_survives_the_file() {
    for body in [&b"\xff\x00\x1b"[..], b"", "\u{202e}\u{1b}[2J".as_bytes()] {
        let line = JournalLine::Entry(Cow::Owned(entry(3, body)));
        let bytes = encode(&line).unwrap();
        assert!(!String::from_utf8(bytes.clone()).unwrap().trim_end().chars().any(crate::escape::is_unsafe));
        assert_eq!(decode(bytes.trim_ascii_end()), Some(line));
    }
}

#[test]
fn every_field_is_within_its_limit() {
    let long = "\u{1f600}".repeat(100_000);
    let body = serde_json::json!({
        "Official_Account": &long,
        "WithdrawMsgList": (0..100).map(|nth| serde_json::json!({ "MsgKey": format!("{nth}{long}") })).collect::<Vec<_>>(),
    });
    let body = body.to_string();
    let query = format!("x={}", "q".repeat(50_000));
    let facts = RefusedFacts {
        at_ms: 0,
        outcome: "unavailable",
        reason: &long,
        standing: Standing::Authentic,
        skew_seconds: None,
        query: query.as_bytes(),
        body: Some(body.as_bytes()),
        body_bytes: None,
        quarantine: None,
        traceparent: Some("not a traceparent"),
        request_id: Some(&long),
        peer: None,
    };
    let entry = RefusedEntry::new(1, &facts);
    assert!(entry.cost() < 16_000, "{}", entry.cost());
    assert_eq!((entry.body, entry.keys.len(), entry.keys_total), (None, 20, 100));
    assert_eq!(entry.traceparent, None);
    // Of an unauthenticated peer nothing of the body is read.
    let entry = RefusedEntry::new(1, &RefusedFacts { standing: Standing::Unauthentic, ..facts });
    assert_eq!((entry.account, entry.keys_total, entry.body), (None, 0, None));
}
