//! Webhooks that the sender repeats are answered with OK and published once, also after faults in between.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use crate::bridge::{APP, Bridge, TOKEN, eventually};
use crate::mock::Kafka;
use crate::random::Random;
use crate::sender::{Answer, Sender};
use crate::topic::{Record, prove};

pub fn counted(bridge: &Bridge, outcome: &str) -> f64 {
    bridge.metric(&format!("webhooks_total{{outcome=\"{outcome}\"}}"))
}

/// The keys in the topic, in their order, once all is published and proven.
#[track_caller]
pub fn published(bridge: &Bridge, kafka: &Kafka) -> Vec<String> {
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    records.iter().map(|record| record.msg_key().to_owned()).collect()
}

#[test]
fn a_duplicate_webhook_is_answered_ok_counted_and_not_published() {
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
fn only_the_new_recalls_of_a_webhook_are_published() {
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
fn simultaneous_duplicates_are_acknowledged_and_published_once() {
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
fn a_webhook_whose_commit_failed_is_no_duplicate_when_sent_again() {
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
fn duplicates_are_recognized_after_a_restart_and_after_a_crash() {
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
fn a_retrying_sender_and_crashes_give_every_recall_once() {
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
fn a_full_spool_still_recognizes_duplicates() {
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
