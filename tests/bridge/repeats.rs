//! What the sender repeats is answered with OK and published once, whatever happens in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use serde_json::Value;

use crate::bridge::{APP, Bridge, TOKEN, eventually};
use crate::cli::expect;
use crate::mock::Kafka;
use crate::random::Random;
use crate::sender::{Answer, Sender};
use crate::topic::{Record, prove};

const WINDOW: &str = "BRIDGE_DEDUP_WINDOW_SECONDS";
/// As many ids as the bridge remembers at most.
const MAX_IDS: u64 = 917_504;

fn counted(bridge: &Bridge, outcome: &str) -> f64 {
    bridge.metric(&format!("webhooks_total{{outcome=\"{outcome}\"}}"))
}

/// The keys in the topic, in their order, once all is published and proven.
#[track_caller]
fn published(bridge: &Bridge, kafka: &Kafka) -> Vec<String> {
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    records.iter().map(|record| record.msg_key().to_owned()).collect()
}

fn connect(bridge: &Bridge) -> Connection {
    let connection = Connection::open(bridge.setup().spool_dir().join("spool.db")).unwrap();
    connection.busy_timeout(crate::bridge::PATIENCE).unwrap();
    connection
}

fn remembered_rows(bridge: &Bridge) -> u64 {
    connect(bridge).query_row("SELECT count(*) FROM recent", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_repeated_delivery_is_answered_ok_counted_and_published_once() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for _ in 0..3 {
        sender.acknowledged("#TOA#_1", &["1_1_1", "2_1_1"]);
    }
    // The same key of another account is another recall.
    sender.acknowledged("#TOA#_2", &["1_1_1"]);
    assert_eq!(published(&bridge, &kafka).len(), 3);
    assert_eq!((counted(&bridge, "accepted"), counted(&bridge, "duplicate")), (2.0, 2.0));
    assert_eq!((bridge.metric("events_accepted_total"), bridge.metric("duplicate_events_total")), (3.0, 4.0));
    let dedup = &bridge.status()["dedup"];
    assert_eq!((&dedup["window_seconds"], &dedup["ids"]), (&600.into(), &3.into()), "{dedup}");
    assert_eq!(dedup["covers_seconds"].as_f64(), Some(600.0), "{dedup}");
    assert_eq!((bridge.metric("dedup_ids"), bridge.metric("dedup_covers_seconds")), (3.0, 600.0));
}

#[test]
fn of_a_partly_new_delivery_only_the_new_is_published() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["b", "d"]);
    sender.acknowledged("#TOA#_1", &["a", "b", "c", "d", "e"]);
    sender.acknowledged("#TOA#_1", &["a", "c", "e"]);
    assert_eq!(published(&bridge, &kafka), ["b", "d", "a", "c", "e"]);
    assert_eq!((counted(&bridge, "accepted"), counted(&bridge, "duplicate")), (2.0, 1.0));
    assert_eq!((bridge.metric("events_accepted_total"), bridge.metric("duplicate_events_total")), (5.0, 5.0));
    // With the watermark, which is stored a little later.
    eventually("no byte of a repeat takes room", || (bridge.metric("spool_bytes") < 1.0).then_some(()));
}

/// Posts each of these at the same time, from a thread each.
fn at_once(bridge: &Bridge, deliveries: &[Vec<String>]) -> Vec<Answer> {
    let barrier = Barrier::new(deliveries.len());
    std::thread::scope(|scope| {
        let send = |keys: &Vec<String>| {
            let (url, barrier, keys) = (bridge.url(), &barrier, keys.clone());
            scope.spawn(move || {
                let sender = Sender::new(&url, APP, TOKEN);
                barrier.wait();
                sender.recall("#TOA#_1", &keys)
            })
        };
        let threads: Vec<_> = deliveries.iter().map(send).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn of_repeats_at_the_same_time_all_are_answered_ok_and_one_is_published() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    for round in 0..20 {
        let keys: Vec<String> = ["a", "b"].iter().map(|key| format!("{round}_{key}_1")).collect();
        let answers = at_once(&bridge, &vec![keys; 12]);
        assert!(answers.iter().all(Answer::is_ok), "{answers:?}");
    }
    let expected: Vec<String> = (0..20).flat_map(|round| [format!("{round}_a_1"), format!("{round}_b_1")]).collect();
    assert_eq!(published(&bridge, &kafka), expected);
    assert_eq!((counted(&bridge, "accepted"), counted(&bridge, "duplicate")), (20.0, 220.0));
}

#[test]
fn a_delivery_whose_commit_failed_is_no_repeat_when_the_sender_tries_again() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().breakable().start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["before"]);
    bridge.wait_published();
    bridge.break_disk();
    let deliveries = ["a", "a", "before a", "b a", "a", "b"];
    let deliveries = deliveries.map(|keys| keys.split(' ').map(str::to_owned).collect());
    let answers = at_once(&bridge, &deliveries);
    for answer in &answers {
        assert_eq!((answer.status, answer.code()), (503, 120_011), "{answer:?}");
    }
    // What is durable stays known, and needs no disk.
    sender.acknowledged("#TOA#_1", &["before"]);
    assert_eq!(counted(&bridge, "duplicate"), 1.0);
    bridge.mend_disk();
    eventually("it can be written again", || (bridge.ops_get("/readyz").0 == 200).then_some(()));
    sender.acknowledged("#TOA#_1", &["a"]);
    sender.acknowledged("#TOA#_1", &["a", "b"]);
    assert_eq!(published(&bridge, &kafka), ["before", "a", "b"]);
    assert_eq!((counted(&bridge, "accepted"), counted(&bridge, "duplicate")), (3.0, 1.0));
}

#[test]
fn repeats_are_known_after_a_restart_and_after_a_crash_also_when_all_is_published() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["a", "b"]);
    assert_eq!(published(&bridge, &kafka).len(), 2);
    for crash in [true, false, true] {
        if crash {
            bridge.kill();
        } else {
            bridge.process.signal(rustix::process::Signal::TERM);
            assert_eq!(bridge.process.wait_exit(crate::bridge::PATIENCE), 0);
        }
        bridge = bridge.restart();
        assert_eq!(bridge.status()["dedup"]["ids"], 2);
        let sender = Sender::new(&bridge.url(), APP, TOKEN);
        sender.acknowledged("#TOA#_1", &["a", "b"]);
        sender.acknowledged("#TOA#_1", &["b"]);
        assert_eq!((counted(&bridge, "accepted"), counted(&bridge, "duplicate")), (0.0, 2.0));
    }
    assert_eq!(published(&bridge, &kafka), ["a", "b"]);
}

#[test]
fn with_a_sender_that_repeats_what_had_no_answer_every_recall_is_published_once_over_crashes() {
    const ROUNDS: u64 = 6;
    const SENDERS: u64 = 3;

    let mut random = Random::new();
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    let url = std::sync::Mutex::new(bridge.url());
    let sent: BTreeMap<String, u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..SENDERS)
            .map(|nth| {
                let (url, stop, acknowledged) = (&url, &stop, &acknowledged);
                let mut choices = Random::seeded(random.pick(0..u64::from(u32::MAX)));
                scope.spawn(move || {
                    let account = format!("#TOA#_{nth}");
                    let mut number = 0;
                    while !stop.load(SeqCst) {
                        let keys: Vec<String> = (0..=number % 4).map(|key| format!("{number:06}_{key}_1")).collect();
                        // Until it has an answer, and now and then although it had one.
                        let mut again = 1 + u64::from(choices.pick(0..4) == 0);
                        while again > 0 {
                            let target = url.lock().unwrap().clone();
                            if let Ok(answer) = Sender::new(&target, APP, TOKEN).try_recall(&account, &keys) {
                                assert!(answer.is_ok(), "{answer:?}");
                                again -= 1;
                            }
                        }
                        acknowledged.fetch_add(1, SeqCst);
                        number += 1;
                    }
                    (account, number)
                })
            })
            .collect();
        for round in 0..ROUNDS {
            let enough = acknowledged.load(SeqCst) + random.pick(1..150);
            eventually("enough is acknowledged", || {
                assert!(!threads.iter().any(std::thread::ScopedJoinHandle::is_finished), "a sender has failed");
                (acknowledged.load(SeqCst) >= enough).then_some(())
            });
            bridge.kill();
            eprintln!("round {round}: killed after {} acknowledgements", acknowledged.load(SeqCst));
            let setup = bridge.setup().clone();
            bridge = setup.start();
            *url.lock().unwrap() = bridge.url();
        }
        stop.store(true, SeqCst);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    for (account, numbers) in sent {
        let of_account: Vec<&str> =
            records.iter().filter(|record| record.key == account).map(Record::msg_key).collect();
        let expected: Vec<String> =
            (0..numbers).flat_map(|number| (0..=number % 4).map(move |key| format!("{number:06}_{key}_1"))).collect();
        assert_eq!(of_account, expected, "{account}");
    }
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
fn a_clock_that_was_set_while_the_bridge_was_down_neither_freezes_the_window_nor_loses_a_recall() {
    const YEAR_MS: i64 = 365 * 86_400_000;

    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["a"]);
    let set_clock = |bridge: &Bridge, ms: i64| {
        let all = "UPDATE recent SET accepted_at_ms = accepted_at_ms - ?1";
        assert_eq!(connect(bridge).execute(all, [ms]).unwrap(), 1);
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
fn switched_off_every_delivery_is_published_and_nothing_is_remembered() {
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
fn the_window_has_a_bound_in_memory_keeps_the_newest_and_says_how_far_it_reaches() {
    const ROWS: u64 = 1000;
    const IDS: u64 = 1000;

    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["oldest"]);
    bridge.wait_published();
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
fn a_full_spool_still_knows_what_it_has() {
    let kafka = Kafka::start();
    kafka.down();
    let bridge = kafka.setup().env("BRIDGE_SPOOL_MAX_BYTES", 1 << 20).start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    let keys =
        |number: u64| -> Vec<String> { (0..10).map(|nth| format!("{number}_{nth}_{}", "k".repeat(3000))).collect() };
    let mut accepted = 0;
    let refused = loop {
        let answer = sender.recall("#TOA#_1", &keys(accepted));
        if !answer.is_ok() {
            break answer;
        }
        accepted += 1;
        assert!(accepted < 1000, "the bound is not kept");
    };
    assert_eq!((refused.status, refused.code()), (503, 120_010), "{refused:?}");
    sender.acknowledged("#TOA#_1", &keys(0));
    let partly = [keys(0), keys(accepted)].concat();
    let partly = sender.recall("#TOA#_1", &partly);
    assert_eq!((partly.status, partly.code()), (503, 120_010), "{partly:?}");
    assert_eq!((counted(&bridge, "duplicate"), counted(&bridge, "spool_full")), (1.0, 2.0));
    kafka.up();
    let expected: Vec<String> = (0..accepted).flat_map(keys).collect();
    assert_eq!(published(&bridge, &kafka), expected);
}

#[test]
fn a_spool_of_the_first_format_is_opened_and_brought_up_to_date_and_loses_nothing() {
    let kafka = Kafka::start();
    kafka.down();
    let mut bridge = kafka.setup().start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["a", "b"]);
    bridge.kill();
    connect(&bridge).execute_batch("DROP TABLE recent; PRAGMA user_version = 1").unwrap();
    // Looking at it is not enough to change it.
    expect(&bridge.setup().run(&["check-config", "--offline"]), 0);
    let version = |bridge: &Bridge| -> u32 {
        connect(bridge).pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    };
    assert_eq!(version(&bridge), 1);
    bridge = bridge.restart();
    assert_eq!(version(&bridge), 3);
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
fn what_was_removed_from_the_spool_behind_its_back_is_not_remembered_either() {
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
fn the_status_says_what_the_memory_for_repeats_is_and_takes() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env(WINDOW, 60).start();
    let dedup: Value = bridge.status()["dedup"].clone();
    let fields: Vec<&str> = dedup.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["bytes", "covers_seconds", "ids", "window_seconds"]);
    assert_eq!((&dedup["ids"], &dedup["window_seconds"]), (&0.into(), &60.into()));
    assert!((1_000_000..26_000_000).contains(&dedup["bytes"].as_u64().unwrap()), "{dedup}");
}
