//! Tests of crashes at any moment: every acknowledged recall is in the topic exactly once and in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use rusqlite::{Connection, params};

use crate::bridge::{APP, Bridge, TOKEN, eventually};
use crate::mock::{Kafka, PARTITIONS};
use crate::random::Random;
use crate::sender::Sender;
use crate::topic::{Record, prove};

const ROUNDS: u64 = 8;
const SENDERS: u64 = 3;

/// Sends recalls, each with a new number, until the bridge has ended. Returns the acknowledged keys.
fn send_until_it_dies(url: &str, account: &str, next: &AtomicU64, acknowledged: &AtomicU64) -> Vec<String> {
    let sender = Sender::new(url, APP, TOKEN);
    let mut keys = Vec::new();
    loop {
        let number = next.fetch_add(1, SeqCst);
        let batch: Vec<String> = (0..=number % 4).map(|nth| format!("{number:06}_{nth}_1698741698")).collect();
        let Ok(answer) = sender.try_recall(account, &batch) else { return keys };
        assert!(answer.is_ok(), "{answer:?}");
        keys.extend(batch);
        acknowledged.fetch_add(1, SeqCst);
    }
}

#[test]
fn kills_at_any_moment_leave_every_recall_once_and_in_order() {
    let mut random = Random::new();
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    let next = AtomicU64::new(0);
    let mut acknowledged = BTreeMap::<String, Vec<String>>::new();
    for round in 0..ROUNDS {
        // In some rounds Kafka is unreachable too, and returns some time later.
        let away = random.pick(0..4) == 0;
        let enough = random.pick(1..250);
        let (url, count) = (bridge.url(), AtomicU64::new(0));
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..SENDERS)
                .map(|sender| {
                    let account = format!("#TOA#_{sender}");
                    let (url, next, count) = (&url, &next, &count);
                    scope.spawn(move || {
                        let keys = send_until_it_dies(url, &account, next, count);
                        (account, keys)
                    })
                })
                .collect();
            eventually("enough is acknowledged", || (count.load(SeqCst) >= enough).then_some(()));
            if away {
                kafka.down();
                let more = count.load(SeqCst) + random.pick(1..50);
                eventually("more is acknowledged", || (count.load(SeqCst) >= more).then_some(()));
            }
            bridge.kill();
            for thread in threads {
                let (account, keys) = thread.join().unwrap();
                acknowledged.entry(account).or_default().extend(keys);
            }
        });
        eprintln!("round {round}: killed after {} acknowledgements, Kafka away: {away}", count.load(SeqCst));
        bridge = bridge.restart();
        if away {
            kafka.up();
        }
    }
    eventually("Kafka is reached", || (bridge.metric("kafka_up") > 0.5).then_some(()));
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    assert_eq!(bridge.metric("spool_identity_renewals_total"), 0.0);
    for (account, keys) in acknowledged {
        let published: Vec<&str> = records.iter().filter(|record| record.key == account).map(Record::msg_key).collect();
        assert!(published.windows(2).all(|pair| pair[0] < pair[1]), "{account} is out of order or doubled");
        let published: BTreeSet<&str> = published.into_iter().collect();
        let lost: Vec<&String> = keys.iter().filter(|key| !published.contains(key.as_str())).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    }
}

fn database(bridge: &Bridge) -> Connection {
    crate::spool::open(&bridge.setup().spool_dir())
}

/// The values that the bridge stores together: the published sequence, and the next offset of every partition.
fn progress(database: &Connection) -> (u64, Vec<(i32, i64)>) {
    let published_end = database.query_row("SELECT watermark FROM progress", [], |row| row.get(0)).unwrap();
    let mut statement = database.prepare("SELECT partition, next_offset FROM position").unwrap();
    let positions = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    (published_end, positions.collect::<Result<_, _>>().unwrap())
}

fn send(bridge: &Bridge, numbers: std::ops::Range<u64>) {
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for number in numbers {
        sender.acknowledged(&format!("#TOA#_{}", number % 5), &[format!("{number}_0_1"), format!("{number}_1_1")]);
    }
    bridge.wait_published();
}

#[test]
fn records_above_an_old_published_sequence_are_found_and_not_repeated() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    // Published rows are removed soon. This test keeps them.
    database(&bridge)
        .execute_batch("CREATE TRIGGER stay BEFORE DELETE ON event_group BEGIN SELECT RAISE(IGNORE); END")
        .unwrap();
    send(&bridge, 0..20);
    bridge.kill();
    let (published_end, positions) = progress(&database(&bridge));
    bridge = bridge.restart();
    send(&bridge, 20..40);
    bridge.kill();

    // The first value is from an earlier moment, the second from before the first transaction.
    let first = (0..PARTITIONS).map(|partition| (partition, 0)).collect();
    for (published_end, positions, found) in [(published_end, positions, 40.0), (1, first, 80.0)] {
        let database = database(&bridge);
        database.execute("UPDATE progress SET watermark = ?1", [published_end]).unwrap();
        database.execute("DELETE FROM position", []).unwrap();
        for (partition, offset) in &positions {
            let place = params![crate::bridge::TOPIC, partition, offset];
            database.execute("INSERT INTO position VALUES (?1, ?2, ?3)", place).unwrap();
        }
        drop(database);
        bridge = bridge.restart();
        eventually("the topic was read back", || (bridge.metric("kafka_up") > 0.5).then_some(()));
        bridge.wait_published();
        assert!(bridge.metric("read_back_found_total") >= found, "{}", bridge.metric("read_back_found_total"));
        assert_eq!(bridge.metric("spool_identity_renewals_total"), 0.0);
        bridge.kill();
        let records = kafka.records();
        prove(&records);
        assert_eq!(records.len(), 80);
    }
    bridge = bridge.restart();
    send(&bridge, 40..45);
    let records = kafka.records();
    prove(&records);
    assert_eq!(records.len(), 90);
}
