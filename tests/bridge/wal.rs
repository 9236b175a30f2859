//! The WAL of the spool and the time of a start stay within their limits under any load.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::bridge::{APP, Bridge, PATIENCE, TOKEN, eventually};
use crate::faulty_disk::{Action, DATABASE, FaultyDisk, Rule, call};
use crate::mock::Kafka;
use crate::sender::Sender;
use crate::topic::prove;

/// What the WAL may hold under load: checkpoints wait for readers from 32 MiB on, and a few groups come on top.
const BOUND_BYTES: u64 = 48 << 20;
const LOAD: Duration = Duration::from_secs(5);

fn wal(bridge: &Bridge) -> PathBuf {
    crate::spool::wal(&bridge.setup().spool_dir())
}

fn size(file: &PathBuf) -> u64 {
    std::fs::metadata(file).map_or(0, |metadata| metadata.len())
}

/// Sends recalls of 30 long keys from several connections for as long as `goes_on` says so.
fn load(bridge: &Bridge, mut goes_on: impl FnMut() -> bool) -> u64 {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let (stop, accepted) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let sender = Sender::new(&bridge.url(), APP, TOKEN);
                // The WAL grows with few records.
                let long = "x".repeat(2000);
                while !stop.load(Relaxed) {
                    let number = NUMBER.fetch_add(1, Relaxed);
                    let keys: Vec<String> = (0..30).map(|key| format!("{key}_{number}_{long}")).collect();
                    if sender.recall("#TOA#_load", &keys).is_ok() {
                        accepted.fetch_add(30, Relaxed);
                    }
                }
            });
        }
        while goes_on() {
            thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Relaxed);
    });
    accepted.into_inner()
}

/// A reader that holds its snapshot, as a backup does: it keeps the WAL from beginning again.
fn reader(bridge: &Bridge) -> rusqlite::Connection {
    let reader = crate::spool::open(&bridge.setup().spool_dir());
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT count(*) FROM event_group", [], |row| row.get::<_, i64>(0)).unwrap();
    reader
}

/// Sends recalls until the WAL is larger than that; returns how many were accepted.
fn grow(bridge: &Bridge, bytes: u64) -> u64 {
    let file = wal(bridge);
    let until = Instant::now() + PATIENCE;
    let accepted = load(bridge, || size(&file) <= bytes && Instant::now() < until);
    assert!(size(&file) > bytes, "{}: the reader did not hold it", size(&file));
    accepted
}

#[test]
fn the_wal_stays_small_under_load_and_a_slow_sender_is_acknowledged() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let slow = Sender::new(&bridge.url(), APP, TOKEN);
    let (file, mut most, mut slowest, mut number) = (wal(&bridge), 0, Duration::ZERO, 0);
    let until = Instant::now() + LOAD;
    let accepted = load(&bridge, || {
        most = most.max(size(&file));
        number += 1;
        if number % 20 == 0 {
            let began = Instant::now();
            slow.acknowledged("#TOA#_slow", &[format!("{number}_1_1")]);
            slowest = slowest.max(began.elapsed());
        }
        Instant::now() < until
    });
    for number in 0..50 {
        slow.acknowledged("#TOA#_slow", &[format!("after{number}_1_1")]);
    }
    println!("{accepted} accepted, WAL at most {} KiB, slowest acknowledgement {slowest:?}", most >> 10);
    assert!(accepted > 0, "nothing was accepted");
    assert!(most > 0 && most <= BOUND_BYTES, "{most}");
    eventually("the metric shows its size", || (bridge.metric("spool_wal_bytes") > 0.0).then_some(()));
    assert!(bridge.metric("spool_wal_bytes") <= 48.0 * 1024.0 * 1024.0);
}

#[test]
fn commits_do_not_make_the_wal_grow() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    for restart in 0..3 {
        assert_eq!(size(&wal(&bridge)), 8 << 20, "after {restart} restarts");
        let sender = Sender::new(&bridge.url(), APP, TOKEN);
        for number in 0..20 {
            sender.acknowledged("#TOA#_1", &[format!("{restart}_{number}_1")]);
        }
        assert_eq!(size(&wal(&bridge)), 8 << 20, "after commits, {restart} restarts");
        bridge.kill();
        bridge = bridge.restart();
    }
    bridge.wait_published();
    prove(&kafka.records());
    assert_eq!(kafka.records().len(), 60);
}

#[test]
fn a_start_with_a_large_wal_empties_the_wal_and_loses_nothing() {
    let kafka = Kafka::start();
    kafka.down();
    let mut bridge = kafka.setup().env("BRIDGE_LOG", "info").start();
    let file = wal(&bridge);
    let reader = reader(&bridge);
    let accepted = grow(&bridge, BOUND_BYTES);
    bridge.kill();
    drop(reader);
    let bridge = bridge.restart();
    assert!(size(&file) <= 8 << 20, "{}", size(&file));
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let expected = accepted as f64;
    assert!(bridge.metric("spool_recovered_events") >= expected);
    kafka.up();
    // The mock broker keeps only the last records, so their number is compared, and not the records.
    bridge.wait_published();
    assert!(bridge.metric("records_published_total") >= expected);
}

#[test]
fn recalls_are_acknowledged_while_a_large_wal_is_copied() {
    let kafka = Kafka::start();
    let disk = FaultyDisk::new();
    let bridge = disk.under(kafka.setup()).start();
    let held = reader(&bridge);
    grow(&bridge, BOUND_BYTES);
    // The database takes nothing from now on: a copy that an acknowledgement waits for would never end.
    disk.set(Rule::all(call::WRITE, DATABASE, Action::Hang));
    drop(held);
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    let mut number = 0;
    eventually("a copy is under way", || {
        number += 1;
        sender.acknowledged("#TOA#_slow", &[format!("{number}_1_1")]);
        (disk.hanging() > 0).then_some(())
    });
    for after in 0..50 {
        sender.acknowledged("#TOA#_slow", &[format!("after{after}_1_1")]);
    }
    assert_eq!(disk.hanging(), 1, "one copy at a time");
    disk.heal();
    // The first commit after the copy shrinks the file.
    eventually("the WAL starts again", || {
        number += 1;
        sender.acknowledged("#TOA#_slow", &[format!("{number}_2_2")]);
        (bridge.metric("spool_wal_bytes") <= 8.0 * 1024.0 * 1024.0).then_some(())
    });
    bridge.wait_published();
}

#[test]
fn with_a_full_wal_recalls_are_published_directly_until_the_reader_ends() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env("BRIDGE_SPOOL_MAX_BYTES", 64 << 20).env("BRIDGE_SPOOL_FAILURE", "publish").start();
    let held = reader(&bridge);
    let file = wal(&bridge);
    let status = || bridge.status().to_string();
    let until = Instant::now() + PATIENCE;
    let mut most = 0;
    load(&bridge, || {
        most = most.max(size(&file));
        !status().contains("has reached its limit of 64 MiB") && Instant::now() < until
    });
    assert!(status().contains("has reached its limit of 64 MiB"), "{}", status());
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for number in 0..20 {
        sender.acknowledged("#TOA#_direct", &[format!("{number}_1_1")]);
    }
    let direct = || bridge.metric("unspooled_events_total");
    assert!(direct() >= 20.0, "{}", direct());
    assert!(most <= 72 << 20, "{most}");
    drop(held);
    eventually("the spool takes recalls again", || (!status().contains("has reached its limit")).then_some(()));
    let before = direct();
    sender.acknowledged("#TOA#_spooled", &["1_1_1".to_owned()]);
    assert_eq!(direct().to_bits(), before.to_bits());
    bridge.wait_published();
}

#[test]
fn the_documented_backup_of_a_loaded_spool_ends_and_is_sound() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let copy = bridge.setup().home().join("copy");
    std::fs::create_dir(&copy).unwrap();
    let target = crate::spool::file(&copy);
    let source = bridge.setup().spool_dir();
    let backup = thread::spawn(move || {
        let connection = crate::spool::open(&source);
        connection.execute("VACUUM INTO ?1", [target.to_str().unwrap()]).unwrap();
    });
    let until = Instant::now() + PATIENCE;
    let accepted = load(&bridge, || !backup.is_finished() && Instant::now() < until);
    assert!(accepted > 0, "nothing was accepted");
    assert!(backup.is_finished(), "the backup does not end under load");
    backup.join().unwrap();
    let verified = bridge.setup().run(&["spool", "verify", "--dir", copy.to_str().unwrap()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}
