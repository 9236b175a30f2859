//! Tests random disk faults under load, with kills and power cuts between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crate::bridge::{APP, Bridge, TOKEN, eventually};
use crate::faulty_disk::Action::{self, Die, Dropped, Eio, Enospc, Hang, Short, Torn, YetThere};
use crate::faulty_disk::{DATABASE, FaultyDisk, LOG, Rule, call};
use crate::mock::Kafka;
use crate::random::Random;
use crate::sender::Sender;
use crate::topic::{Record, prove};

const SENDERS: u64 = 3;
/// The time in which rounds begin. On a slow machine, rounds continue until enough faults have happened.
const LENGTH: Duration = Duration::from_secs(8);
const AT_MOST: Duration = Duration::from_secs(120);
const ENOUGH: u64 = 50;
const ACK_TIMEOUT: Duration = Duration::from_millis(300);

/// The responses to the webhooks of a sender, by number.
#[derive(Default)]
struct Told {
    acknowledged: BTreeSet<u64>,
    /// The response was 503, before the deadline.
    refused: BTreeSet<u64>,
    /// The response was 503 at the deadline, or there was no response.
    unknown: BTreeSet<u64>,
}

fn keys(number: u64) -> Vec<String> {
    let rest = "k".repeat(usize::try_from(number % 7 * 300).unwrap());
    (0..=number % 3).map(|nth| format!("{number:06}_{nth}_{rest}")).collect()
}

/// Sends one webhook after the other to the current bridge.
fn send(account: &str, url: &Mutex<String>, stop: &AtomicBool, acknowledged: &AtomicU64) -> Told {
    let mut told = Told::default();
    let mut number = 0;
    while !stop.load(SeqCst) {
        let at = url.lock().unwrap().clone();
        let sender = Sender::new(&at, APP, TOKEN);
        while !stop.load(SeqCst) {
            number += 1;
            let started = Instant::now();
            match sender.try_recall(account, &keys(number)) {
                Ok(answer) if answer.is_ok() => {
                    told.acknowledged.insert(number);
                    acknowledged.fetch_add(1, SeqCst);
                }
                Ok(answer) => {
                    assert_eq!((answer.status, answer.code()), (503, 120_011), "{answer:?}");
                    let late = started.elapsed() >= ACK_TIMEOUT;
                    if late { &mut told.unknown } else { &mut told.refused }.insert(number);
                }
                Err(_) => {
                    told.unknown.insert(number);
                    // The bridge has ended; another one will start.
                    eventually("there is another bridge", || {
                        (stop.load(SeqCst) || *url.lock().unwrap() != at).then_some(())
                    });
                    break;
                }
            }
        }
    }
    told
}

fn one_of<T: Copy>(random: &mut Random, choices: &[T]) -> T {
    choices[usize::try_from(random.pick(0..choices.len() as u64)).unwrap()]
}

/// Returns a rule for one, some or all calls.
fn any_rule(random: &mut Random) -> Rule {
    const FAULTS: [(u64, Action); 14] = [
        (call::SYNC, Eio),
        (call::SYNC, Eio),
        (call::SYNC, Dropped),
        (call::SYNC, YetThere),
        (call::SYNC, Hang),
        (call::SYNC | call::WRITE, Die),
        (call::WRITE, Die),
        (call::WRITE, Eio),
        (call::WRITE, Enospc),
        (call::WRITE, Torn),
        (call::WRITE | call::TRUNCATE, Eio),
        (call::WRITE, Short),
        (call::READ, Eio),
        (call::OPEN, Eio),
    ];
    let (calls, action) = one_of(random, &FAULTS);
    let files = one_of(random, &[LOG, LOG, DATABASE, LOG | DATABASE]);
    let some = random.pick(2..12);
    let times = one_of(random, &[1, 1, some, u64::MAX]);
    Rule { calls, files, skip: random.pick(0..60), times, action }
}

#[derive(Debug, Default)]
struct Done {
    rounds: u64,
    failed_calls: u64,
    kills: u64,
    power_cuts: u64,
    died_in_a_call: u64,
}

/// One round: a fault, in some rounds an end of the process, then recovery.
fn round(bridge: Bridge, disk: &FaultyDisk, random: &mut Random, acknowledged: &AtomicU64, done: &mut Done) -> Bridge {
    let mut bridge = bridge;
    let rule = any_rule(random);
    disk.set(rule);
    // Some faults have no effect, because no read or checkpoint happens.
    let enough = acknowledged.load(SeqCst) + random.pick(5..60);
    let until = Instant::now() + Duration::from_millis(random.pick(50..400));
    let mut ended = None;
    while ended.is_none() && acknowledged.load(SeqCst) < enough && Instant::now() < until {
        ended = bridge.process.try_exit();
        std::thread::yield_now();
    }
    ended = ended.or_else(|| bridge.process.try_exit());
    done.rounds += 1;
    done.failed_calls += disk.hits();
    if ended.is_some() {
        assert_eq!((ended, rule.action), (Some(137), Die), "{rule:?}: it ended by itself:\n{}", bridge.process.tail());
        done.died_in_a_call += 1;
    } else if random.pick(0..4) == 0 {
        bridge.kill();
        done.kills += 1;
        ended = Some(137);
    }
    if ended.is_some() {
        disk.heal();
        if random.pick(0..2) == 0 {
            disk.cut_power(bridge.setup(), random);
            done.power_cuts += 1;
        }
        return bridge.restart();
    }
    disk.heal();
    let more = acknowledged.load(SeqCst) + SENDERS;
    eventually("it accepts again", || {
        // A process with a kill rule may have ended by now.
        if bridge.process.try_exit().is_some() {
            assert_eq!(rule.action, Die, "{rule:?}: it ended by itself:\n{}", bridge.process.tail());
            return Some(());
        }
        (acknowledged.load(SeqCst) >= more).then_some(())
    });
    if bridge.process.try_exit().is_some() { bridge.restart() } else { bridge }
}

#[test]
fn random_disk_errors_and_kills_lose_no_acknowledged_recall() {
    let mut random = Random::new();
    let kafka = Kafka::start();
    let disk = FaultyDisk::new();
    let setup = kafka.setup().env("BRIDGE_ACK_TIMEOUT_MS", ACK_TIMEOUT.as_millis());
    let mut bridge = disk.under(setup).start();
    let (url, stop, acknowledged) = (Mutex::new(bridge.url()), AtomicBool::new(false), AtomicU64::new(0));
    let mut done = Done::default();
    let (bridge, told) = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|nth| {
                let account = format!("#TOA#_{nth}");
                let (url, stop, acknowledged) = (&url, &stop, &acknowledged);
                scope.spawn(move || (account.clone(), send(&account, url, stop, acknowledged)))
            })
            .collect();
        let started = Instant::now();
        let mut up = true;
        while started.elapsed() < LENGTH || done.failed_calls == 0 || acknowledged.load(SeqCst) < ENOUGH {
            assert!(started.elapsed() < AT_MOST, "{done:?}, {acknowledged:?} acknowledged");
            // Without Kafka, the spool contains all recalls.
            if random.pick(0..3) == 0 {
                up = !up;
                if up { kafka.up() } else { kafka.down() }
            }
            bridge = round(bridge, &disk, &mut random, &acknowledged, &mut done);
            *url.lock().unwrap() = bridge.url();
        }
        if !up {
            kafka.up();
        }
        stop.store(true, SeqCst);
        let told: BTreeMap<String, Told> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
        (bridge, told)
    });

    eventually("Kafka is reached", || (bridge.metric("kafka_up") > 0.5).then_some(()));
    bridge.wait_published();
    assert_eq!(bridge.metric("spool_identity_renewals_total"), 0.0);
    let records = kafka.records();
    prove(&records);
    let (mut lost, mut published_though_refused, mut in_doubt) = (0, 0, (0, 0));
    for (account, told) in &told {
        let mut published = BTreeMap::<u64, Vec<&str>>::new();
        let mut before = "";
        for key in records.iter().filter(|record| &record.key == account).map(Record::msg_key) {
            assert!(before < key, "{account}: {before} before {key}");
            before = key;
            published.entry(key[..6].parse().unwrap()).or_default().push(key);
        }
        for (number, there) in &published {
            assert_eq!(there, &keys(*number), "{account}: {number} is not whole");
        }
        lost += told.acknowledged.iter().filter(|number| !published.contains_key(number)).count();
        published_though_refused += told.refused.iter().filter(|number| published.contains_key(number)).count();
        in_doubt.0 += told.unknown.len();
        in_doubt.1 += told.unknown.iter().filter(|number| published.contains_key(number)).count();
    }
    let refused: usize = told.values().map(|told| told.refused.len()).sum();
    eprintln!(
        "{done:?}; {} webhooks acknowledged, {lost} lost; {refused} refused, {published_though_refused} of them \
         published; {} without an answer in time, {} of them published",
        acknowledged.load(SeqCst),
        in_doubt.0,
        in_doubt.1
    );
    assert_eq!((lost, published_though_refused), (0, 0));
}
