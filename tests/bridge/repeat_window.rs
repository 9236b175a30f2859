//! The deduplication window: its length, its limit, and its content after a restart.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rusqlite::params;
use serde_json::Value;

use crate::bridge::{APP, Bridge, TOKEN, eventually};
use crate::cli::expect;
use crate::mock::Kafka;
use crate::repeats::{counted, published};
use crate::sender::Sender;
use crate::topic::{Record, prove};

const WINDOW: &str = "BRIDGE_DEDUP_WINDOW_SECONDS";
/// As many ids as the bridge remembers at most.
const MAX_IDS: u64 = 917_504;

fn remembered_rows(bridge: &Bridge) -> u64 {
    connect(bridge).query_row("SELECT count(*) FROM recent", [], |row| row.get(0)).unwrap()
}

fn connect(bridge: &Bridge) -> rusqlite::Connection {
    crate::spool::open(&bridge.setup().spool_dir())
}

#[test]
fn after_the_window_the_same_recall_is_published_again() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().env(WINDOW, 1).start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    let started = Instant::now();
    sender.acknowledged("#TOA#_1", &["a"]);
    // Repeats do not prolong it.
    eventually("it is accepted again", || {
        sender.acknowledged("#TOA#_1", &["a"]);
        (counted(&bridge, "accepted") == 2.0).then_some(())
    });
    assert!(started.elapsed() >= Duration::from_secs(1), "after {:?}", started.elapsed());
    assert!(counted(&bridge, "duplicate") >= 1.0);
    eventually("memory and file have forgotten it", || {
        (bridge.status()["dedup"]["ids"] == 0 && remembered_rows(&bridge) == 0).then_some(())
    });
    assert_eq!(published(&bridge, &kafka), ["a", "a"]);

    sender.acknowledged("#TOA#_1", &["b"]);
    let accepted = Instant::now();
    bridge.kill();
    eventually("the window has passed", || (accepted.elapsed() > Duration::from_millis(1100)).then_some(()));
    bridge = bridge.restart();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["b"]);
    assert_eq!(published(&bridge, &kafka), ["a", "a", "b", "b"], "the window goes on while the bridge is down");
}

#[test]
fn a_clock_set_between_two_processes_loses_no_recall() {
    const YEAR_MS: i64 = 365 * 86_400_000;

    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["a"]);
    let set_clock = |bridge: &Bridge, ms: i64| {
        let changed = ["recent", "event_group"].map(|table| {
            let all = format!("UPDATE {table} SET accepted_at_ms = accepted_at_ms - ?1");
            connect(bridge).execute(&all, [ms]).unwrap()
        });
        assert!(changed.contains(&1), "{changed:?}");
    };
    // Accepted in the future: as if just now, and for one window from the start.
    bridge.kill();
    set_clock(&bridge, -YEAR_MS);
    bridge = bridge.restart();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["a"]);
    assert_eq!((counted(&bridge, "accepted"), counted(&bridge, "duplicate")), (0.0, 1.0));
    bridge.kill();
    bridge = bridge.setup().clone().env(WINDOW, 1).start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    eventually("it is forgotten", || {
        sender.acknowledged("#TOA#_1", &["a"]);
        (counted(&bridge, "accepted") == 1.0).then_some(())
    });
    // Accepted long ago.
    eventually("the row of the first time is removed", || (remembered_rows(&bridge) == 1).then_some(()));
    bridge.kill();
    set_clock(&bridge, YEAR_MS);
    bridge = bridge.setup().clone().without(WINDOW).start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["a"]);
    assert_eq!(counted(&bridge, "accepted"), 1.0);
    assert_eq!(published(&bridge, &kafka), ["a", "a", "a"]);
}

#[test]
fn without_a_window_every_webhook_is_published() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["a"]);
    bridge.kill();
    let bridge = bridge.setup().clone().env(WINDOW, 0).start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["a"]);
    sender.acknowledged("#TOA#_1", &["a"]);
    let records = {
        bridge.wait_published();
        kafka.records()
    };
    prove(&records);
    assert_eq!(records.iter().map(Record::msg_key).collect::<Vec<_>>(), ["a", "a", "a"]);
    assert_eq!(records[0].value["event_id"], records[2].value["event_id"], "the same recall has the same id");
    assert_eq!((counted(&bridge, "accepted"), counted(&bridge, "duplicate")), (2.0, 0.0));
    eventually("what was remembered before is gone", || (remembered_rows(&bridge) == 0).then_some(()));
    let dedup = &bridge.status()["dedup"];
    assert_eq!((&dedup["window_seconds"], &dedup["ids"]), (&0.into(), &0.into()), "{dedup}");
    assert!(dedup["bytes"].as_u64().unwrap() < 1000, "{dedup}");
}

#[test]
fn the_full_window_keeps_the_newest_ids_and_reports_its_reach() {
    const ROWS: u64 = 1000;
    const IDS: u64 = 1000;

    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["oldest"]);
    eventually("its id is saved", || (remembered_rows(&bridge) == 1).then_some(()));
    bridge.kill();
    // A million further ones, as if accepted before and after: too many to send here.
    let database = connect(&bridge);
    let (seq, at_ms): (u64, i64) = database
        .query_row("SELECT first_seq, accepted_at_ms FROM recent", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(seq, 1);
    database
        .execute_batch(
            "BEGIN; UPDATE progress SET watermark = 10000000; DELETE FROM event_group; UPDATE recent SET first_seq = 0",
        )
        .unwrap();
    for row in 0..ROWS {
        let ids = "INSERT INTO recent VALUES (?1, ?2, randomblob(?3))";
        database.execute(ids, params![row * IDS + 1, at_ms - 60_000, IDS * 16]).unwrap();
    }
    database.execute_batch("COMMIT").unwrap();
    drop(database);

    bridge = bridge.restart();
    let dedup = bridge.status()["dedup"].clone();
    let number = |field: &str| dedup[field].as_f64().unwrap();
    assert!((MAX_IDS - IDS..=MAX_IDS).contains(&dedup["ids"].as_u64().unwrap()), "{dedup}");
    assert!(number("bytes") < 26_000_000.0, "{dedup}");
    assert!((60.0..120.0).contains(&number("covers_seconds")), "{dedup}");
    let resident = bridge.metrics()["process_resident_memory_bytes"];
    assert!(resident < 90e6, "{resident} bytes are resident");
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["oldest"]);
    assert_eq!(counted(&bridge, "accepted"), 1.0, "forgotten early: published again");
    // Room is made for what comes.
    for number in 0..50_u64 {
        let keys: Vec<String> = (0..100).map(|key| format!("{number}_{key}_1")).collect();
        sender.acknowledged("#TOA#_1", &keys);
        sender.acknowledged("#TOA#_1", &keys);
    }
    assert_eq!((counted(&bridge, "accepted"), counted(&bridge, "duplicate")), (51.0, 50.0));
    let after = bridge.status()["dedup"].clone();
    assert_eq!(after["bytes"], dedup["bytes"], "{after}");
    assert!(after["ids"].as_u64().unwrap() <= MAX_IDS, "{after}");
    let ids = "SELECT sum(length(ids)) / 16 FROM recent";
    eventually("what was forgotten is gone from the file", || {
        let ids: u64 = connect(&bridge).query_row(ids, [], |row| row.get(0)).unwrap();
        (ids <= MAX_IDS).then_some(())
    });
}

#[test]
fn a_spool_of_format_1_is_migrated_and_loses_nothing() {
    let kafka = Kafka::start();
    kafka.down();
    let mut bridge = kafka.setup().start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["a", "b"]);
    bridge.kill();
    crate::spool::to_format(1, &bridge.setup().spool_dir());
    // Looking at it is not enough to change it.
    expect(&bridge.setup().run(&["check-config", "--offline"]), 0);
    let version = |bridge: &Bridge| -> u32 {
        connect(bridge).pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    };
    assert_eq!(version(&bridge), 1);
    bridge = bridge.restart();
    assert_eq!(version(&bridge), 5);
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["c"]);
    sender.acknowledged("#TOA#_1", &["c"]);
    kafka.up();
    assert_eq!(published(&bridge, &kafka), ["a", "b", "c"]);
    bridge.kill();
    let bridge = bridge.restart();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["c"]);
    assert_eq!(counted(&bridge, "duplicate"), 1.0);
}

#[test]
fn a_spool_of_format_4_is_migrated_and_knows_its_duplicates() {
    let kafka = Kafka::start();
    kafka.down();
    let mut bridge = kafka.setup().start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["a", "b"]);
    bridge.kill();
    crate::spool::to_format(4, &bridge.setup().spool_dir());
    bridge = bridge.restart();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["c", "a"]);
    sender.acknowledged("#TOA#_1", &["c", "b"]);
    expect(&bridge.setup().run(&["spool", "verify"]), 0);
    kafka.up();
    assert_eq!(published(&bridge, &kafka), ["a", "b", "c"]);
}

#[test]
fn rows_removed_from_the_file_are_not_remembered() {
    let kafka = Kafka::start();
    kafka.down();
    let mut bridge = kafka.setup().start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["a"]);
    sender.acknowledged("#TOA#_1", &["b"]);
    bridge.kill();
    assert_eq!(connect(&bridge).execute("DELETE FROM event_group WHERE first_seq = 2", []).unwrap(), 1);
    bridge = bridge.restart();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["a", "b"]);
    assert_eq!(counted(&bridge, "accepted"), 1.0);
    kafka.up();
    let keys: BTreeSet<String> = published(&bridge, &kafka).into_iter().collect();
    assert_eq!(keys, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
}

#[test]
fn the_status_shows_the_deduplication_window_and_its_memory() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env(WINDOW, 60).start();
    let dedup: Value = bridge.status()["dedup"].clone();
    let fields: Vec<&str> = dedup.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["bytes", "covers_seconds", "ids", "window_seconds"]);
    assert_eq!((&dedup["ids"], &dedup["window_seconds"]), (&0.into(), &60.into()));
    assert!((1_000_000..26_000_000).contains(&dedup["bytes"].as_u64().unwrap()), "{dedup}");
}
