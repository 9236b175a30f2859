//! The processes are killed during a requeue. Each entry is then either in quarantine or in the topic.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use crate::bridge::{APP, Bridge, Setup, TOKEN, eventually};
use crate::cli::{entries, json, stale};
use crate::mock::Kafka;
use crate::random::Random;
use crate::sender::Sender;
use crate::topic::{Record, prove};

const ENTRIES: i64 = 600;

fn fill(bridge: &Bridge) {
    for number in 1..=ENTRIES {
        assert_eq!(
            stale(
                bridge,
                &format!("#TOA#_{}", number % 3),
                &[&format!("late_{number}_1"), &format!("late_{number}_2")]
            ),
            120_008
        );
    }
}

fn requeue_all(setup: &Setup) -> crate::bridge::Process {
    let ids: Vec<String> = (1..=ENTRIES).map(|id| id.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    setup.launch(&[&["quarantine", "requeue", "--json"][..], &ids].concat())
}

/// As metrics have it.
fn whole(count: impl TryInto<u32>) -> f64 {
    count.try_into().ok().expect("a few hundred").into()
}

/// Each key of each entry once, and no record of anything else twice.
fn assert_once(records: &[Record], others: &BTreeSet<String>) {
    prove(records);
    let mut keys: Vec<&str> = records.iter().map(Record::msg_key).collect();
    keys.sort_unstable();
    assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "doubled");
    let late = (1..=ENTRIES).flat_map(|number| [format!("late_{number}_1"), format!("late_{number}_2")]);
    let lost: Vec<String> =
        late.chain(others.iter().cloned()).filter(|key| keys.binary_search(&key.as_str()).is_err()).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
}

#[test]
fn a_node_killed_during_requeues_publishes_each_entry_once() {
    let mut random = Random::new();
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    fill(&bridge);
    let mut others = BTreeSet::new();
    let (mut rounds, mut cut) = (0, 0);
    loop {
        rounds += 1;
        assert!(rounds < 200, "it never ends");
        let (url, sent, over) = (bridge.url(), AtomicU64::new(0), AtomicBool::new(false));
        let acknowledged = std::thread::scope(|scope| {
            let load = scope.spawn(|| {
                let sender = Sender::new(&url, APP, TOKEN);
                let mut keys = Vec::new();
                while !over.load(SeqCst) {
                    let key = format!("load_{rounds}_{}", sent.fetch_add(1, SeqCst));
                    match sender.try_recall("#TOA#_load", &[&key]) {
                        Ok(answer) if answer.is_ok() => keys.push(key),
                        Ok(answer) => panic!("{answer:?}"),
                        Err(_) => break,
                    }
                }
                keys
            });
            let before = whole(entries(bridge.setup()).len());
            let mut client = requeue_all(bridge.setup());
            // Some are through, or it has ended by itself.
            let enough = whole(random.pick(0..150));
            eventually("some are requeued", || {
                let left = bridge.metric("quarantine_events");
                (left == 0.0 || before - left >= enough).then_some(())
            });
            // Now and then it is the command that dies.
            if random.pick(0..3) == 0 {
                client.kill();
            } else {
                bridge.kill();
                let code = client.wait_exit(Duration::from_secs(70));
                assert!(code == 0 || code == 75, "{code}: {}", client.tail());
                cut += u64::from(code == 75);
            }
            over.store(true, SeqCst);
            load.join().unwrap()
        });
        others.extend(acknowledged);
        bridge.kill();
        bridge = bridge.restart();
        if entries(bridge.setup()).is_empty() {
            break;
        }
    }
    eprintln!("{rounds} rounds, {cut} requests cut off");
    let last = json(bridge.setup(), 0, &["quarantine", "requeue", "--json", "1", "300", "600"]);
    assert_eq!(last.iter().map(|line| line["result"].clone()).collect::<Vec<_>>(), ["gone"; 3], "{last:?}");
    bridge.wait_published();
    assert_eq!(bridge.metric("spool_identity_renewals_total"), 0.0);
    assert_once(&kafka.records(), &others);
}

#[test]
fn a_killed_requeue_on_a_stopped_node_can_be_repeated() {
    let mut random = Random::new();
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    fill(&bridge);
    bridge.kill();
    let setup = bridge.setup().clone();
    let mut rounds = 0;
    while !entries(&setup).is_empty() {
        rounds += 1;
        assert!(rounds < 500, "it never ends");
        let mut client = requeue_all(&setup);
        // Whether it has begun, is at it or through: the moment does not matter, only that it varies. Later
        // with each round, for a machine that takes long to begin.
        std::thread::sleep(Duration::from_millis(random.pick(0..40 + rounds)));
        client.kill();
    }
    eprintln!("{rounds} rounds");
    bridge = bridge.restart();
    bridge.wait_published();
    assert_once(&kafka.records(), &BTreeSet::new());
}
