//! Tests of corrupted spool files, between two processes or under a running one. The bridge publishes no wrong
//! record, deletes nothing, and continues with the intact rows.

use std::path::{Path, PathBuf};
use std::process::Output;

use recall_bridge::spool::verify;
use rustix::process::Signal;

use crate::bridge::{APP, Bridge, PATIENCE, Setup, TOKEN};
use crate::mock::Kafka;
use crate::sender::{Sender, signed_query};
use crate::topic::{Record, prove, report};

const ACCOUNT: &str = "#TOA#_1";

fn spool_file(setup: &Setup) -> PathBuf {
    crate::spool::file(&setup.spool_dir())
}

fn log_file(setup: &Setup) -> PathBuf {
    crate::spool::wal(&setup.spool_dir())
}

/// Sends one webhook after the other, so that each has its own row. Each has `keys` recalls.
fn send(bridge: &Bridge, names: &[&str], keys: usize) {
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for name in names {
        let keys: Vec<String> = (0..keys).map(|nth| format!("{name}_{nth}_1")).collect();
        sender.acknowledged(ACCOUNT, &keys);
    }
}

fn keys(records: &[Record]) -> Vec<&str> {
    records.iter().map(Record::msg_key).collect()
}

fn stop(mut bridge: Bridge) -> Setup {
    bridge.process.signal(Signal::TERM);
    assert_eq!(bridge.process.wait_exit(PATIENCE), 0);
    bridge.setup().clone()
}

/// Panics if the bridge starts. Returns its output.
#[track_caller]
fn refused(setup: &Setup, exit_code: i32) -> String {
    let Output { status, stderr, .. } = setup.run(&["serve"]);
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(exit_code), "{said}");
    said
}

/// Flips one bit of these bytes at every place in the file.
fn flip(file: &Path, bytes: &str) {
    let mut content = std::fs::read(file).unwrap();
    let places: Vec<usize> =
        (0..content.len() - bytes.len()).filter(|at| content[*at..].starts_with(bytes.as_bytes())).collect();
    assert!(!places.is_empty(), "{bytes} is not in {}", file.display());
    for at in places {
        content[at] ^= 1;
    }
    std::fs::write(file, content).unwrap();
}

/// Returns a stopped spool with unpublished rows of `keys` records, and an empty WAL.
fn stopped_with(kafka: &Kafka, names: &[&str], keys: usize) -> Setup {
    kafka.down();
    let bridge = kafka.setup().env("BRIDGE_SHUTDOWN_GRACE_SECONDS", 0).start();
    send(&bridge, names, keys);
    let setup = stop(bridge);
    // A publisher that waits for Kafka may still have the file open.
    crate::spool::open(&setup.spool_dir()).execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    assert!(!log_file(&setup).exists(), "there is a log");
    kafka.up();
    setup
}

#[track_caller]
fn accounts_for(bridge: &Bridge, recovered: f64, published: f64, quarantined: f64) {
    let metric = |name| bridge.metric(name);
    assert_eq!(metric("spool_recovered_events"), recovered);
    assert_eq!(metric("records_published_total"), published);
    assert_eq!(metric("records_quarantined_total"), quarantined);
    let inside = recovered + metric("events_accepted_total") - published - quarantined;
    assert_eq!(inside, metric("spool_events"));
}

#[test]
fn a_row_with_a_flipped_bit_goes_to_quarantine_and_others_are_published() {
    let kafka = Kafka::start();
    let setup = stopped_with(&kafka, &["first", "second", "third", "fourth"], 3);
    let file = spool_file(&setup);
    flip(&file, "third_1_1");
    let found = verify(&setup.spool_dir()).unwrap();
    assert_eq!(found.faults, ["the row of event 7 is corrupted: the checksum does not match"]);

    let bridge = setup.start();
    send(&bridge, &["fifth"], 3);
    bridge.wait_published();
    let records = kafka.records();
    let expected = ["first", "second", "fourth", "fifth"].map(|name| [0, 1, 2].map(|nth| format!("{name}_{nth}_1")));
    assert_eq!(keys(&records), expected.concat());
    let told = report(&records);
    assert_eq!((told.gaps, told.duplicates), (3, 0), "{told}");
    accounts_for(&bridge, 12.0, 12.0, 3.0);
    assert_eq!((bridge.metric("quarantine_events"), bridge.ops_get("/readyz").0), (1.0, 200));
    let line = bridge.process.wait_for_line("row_damaged");
    assert_eq!(line["level"], "ERROR");
    let told = line["damage"].as_str().unwrap();
    assert!(told.contains("events 7 to 9") && told.contains(file.to_str().unwrap()), "{told}");

    // The entry shows the missing sequence numbers and the remaining bytes of the recalls.
    let setup = stop(bridge);
    let kept: (String, String, u64, Vec<u8>) = crate::spool::open(&setup.spool_dir())
        .query_row("SELECT reason, detail, bridge_seq, body FROM quarantine", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .unwrap();
    assert_eq!((kept.0.as_str(), kept.2), ("damaged", 7));
    assert!(kept.1.starts_with("bridge_seq 7 to 9 (3 records) were not published: "), "{}", kept.1);
    let body = String::from_utf8_lossy(&kept.3);
    assert!(body.contains("third_0_1") && !body.contains("third_1_1") && body.contains("third_2_1"), "{body}");
    let sound = verify(&setup.spool_dir()).unwrap();
    assert_eq!((sound.faults_total, sound.quarantine_entries), (0, 1), "{sound:?}");
}

#[test]
fn a_corrupted_row_goes_to_a_full_quarantine_and_publishing_continues() {
    let kafka = Kafka::start();
    let setup = stopped_with(&kafka, &["first", "second", "third"], 20);
    let small = setup.clone().env("BRIDGE_QUARANTINE_MAX_BYTES", 65_536);
    flip(&spool_file(&setup), "second_1_1");
    kafka.down();
    let bridge = small.start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    let malformed = || sender.post(&signed_query(APP, TOKEN), "x".repeat(20_000)).code();
    assert_eq!((malformed(), malformed()), (120_009, 120_010), "the second does not fit into its share");
    kafka.up();
    send(&bridge, &["fourth"], 1);
    bridge.wait_published();
    assert_eq!(bridge.metric("records_quarantined_total"), 20.0);
    let records = kafka.records();
    let told = report(&records);
    assert_eq!((records.len(), told.gaps, told.duplicates), (41, 20, 0), "{told}");
}

#[test]
fn a_row_damaged_after_it_was_published_is_left_out_and_not_missed() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    let database = |setup: &Setup| crate::spool::open(&setup.spool_dir());
    // Published rows are removed soon. This test keeps them.
    database(bridge.setup())
        .execute_batch("CREATE TRIGGER stay BEFORE DELETE ON event_group BEGIN SELECT RAISE(IGNORE); END")
        .unwrap();
    send(&bridge, &["first", "second", "third"], 3);
    bridge.wait_published();
    bridge.kill();
    let damage = "UPDATE progress SET watermark = 1; UPDATE position SET next_offset = 0;
                  UPDATE event_group SET payload = zeroblob(length(payload)) WHERE first_seq = 4";
    database(bridge.setup()).execute_batch(damage).unwrap();
    let bridge = bridge.restart();
    send(&bridge, &["fourth"], 3);
    bridge.wait_published();
    accounts_for(&bridge, 9.0, 12.0, 0.0);
    let records = kafka.records();
    prove(&records);
    assert_eq!(records.len(), 12);
    bridge.process.wait_for_line("row_skipped");
}

#[test]
fn missing_events_exit_70_and_no_later_event_is_published() {
    let kafka = Kafka::start();
    let setup = stopped_with(&kafka, &["first", "second", "third"], 2);
    let file = spool_file(&setup);
    assert_eq!(
        crate::spool::open(&setup.spool_dir()).execute("DELETE FROM event_group WHERE first_seq = 3", []).unwrap(),
        1
    );
    let said = refused(&setup, 70);
    assert!(said.contains("events 3 to 4 are missing") && said.contains(file.to_str().unwrap()), "{said}");
    assert!(said.contains("move it to another directory"), "{said}");
    assert_eq!(keys(&kafka.records()), ["first_0_1", "first_1_1"]);
    let kept: u64 = crate::spool::open(&setup.spool_dir())
        .query_row("SELECT count(*) FROM event_group WHERE first_seq >= 3", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, 1, "what cannot be published is kept");
}

#[test]
fn a_truncated_file_is_named_refused_with_70_and_left_unchanged() {
    let kafka = Kafka::start();
    let setup = stopped_with(&kafka, &["first", "second", "third"], 50);
    let file = spool_file(&setup);
    let whole = std::fs::read(&file).unwrap();
    let page = usize::from(u16::from_be_bytes([whole[16], whole[17]]));
    for left in [0, 1, 100, page, 2 * page, whole.len() / 2, whole.len() - page] {
        std::fs::write(&file, &whole[..left]).unwrap();
        let said = refused(&setup, 70);
        assert!(
            said.contains(file.to_str().unwrap()) && said.contains("move it to another directory"),
            "{left} bytes: {said}"
        );
        assert!(std::fs::read(&file).unwrap() == whole[..left], "{left} bytes: the file was changed");
    }
    std::fs::write(&file, &whole).unwrap();
    let bridge = setup.start();
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    assert_eq!(records.len(), 150);
}

#[test]
fn an_empty_or_missing_file_with_a_wal_exits_70_and_keeps_the_wal() {
    let kafka = Kafka::start();
    kafka.down();
    let mut bridge = kafka.setup().start();
    send(&bridge, &["first"], 2);
    bridge.kill();
    let setup = bridge.setup().clone();
    let (file, log) = (spool_file(&setup), log_file(&setup));
    let (whole, logged) = (std::fs::read(&file).unwrap(), std::fs::read(&log).unwrap());
    std::fs::write(&file, "").unwrap();
    assert!(refused(&setup, 70).contains("it is empty"));
    std::fs::remove_file(&file).unwrap();
    assert!(refused(&setup, 70).contains("it is missing, but its WAL"));
    assert!(!file.exists() && std::fs::read(&log).unwrap() == logged, "the log was changed");

    std::fs::write(&file, whole).unwrap();
    kafka.up();
    setup.start().wait_published();
    assert_eq!(keys(&kafka.records()), ["first_0_1", "first_1_1"]);
}

/// The size of one frame of a WAL, in bytes.
fn frame(log: &[u8]) -> usize {
    24 + usize::try_from(u32::from_be_bytes(log[8..12].try_into().unwrap())).unwrap()
}

#[test]
fn bytes_after_the_last_synced_commit_of_the_wal_are_ignored() {
    // Cases: the WAL unchanged; with bytes behind it that are not a frame; with the last commit truncated inside a
    // frame and inside its header; with the last frame not written, or replaced by another frame.
    type Tear<'t> = (&'t str, &'t dyn Fn(&mut Vec<u8>), usize);
    let tears: [Tear<'_>; 6] = [
        ("as it is", &|_| (), 5),
        ("garbage behind it", &|log| log.extend((0..7000_u32).map(|at| at.to_le_bytes()[0])), 5),
        ("cut within the last frame", &|log| log.truncate(log.len() - 100), 4),
        ("cut within its head", &|log| log.truncate(log.len() - frame(log) + 10), 4),
        (
            "the last frame as zeros",
            &|log| {
                let start = log.len() - frame(log);
                log[start..].fill(0);
            },
            4,
        ),
        (
            "another frame in its place",
            &|log| {
                let (start, first) = (log.len() - frame(log), log[32..32 + frame(log)].to_vec());
                log[start..].copy_from_slice(&first);
            },
            4,
        ),
    ];
    for (what, tear, left) in tears {
        let kafka = Kafka::start();
        kafka.down();
        let mut bridge = kafka.setup().start();
        let names = ["1st", "2nd", "3rd", "4th", "5th"];
        send(&bridge, &names, 2);
        bridge.kill();
        let log = log_file(bridge.setup());
        let mut content = crate::spool::without_reserve(std::fs::read(&log).unwrap());
        assert_eq!((content.len() - 32) % frame(&content), 0, "a log that started again");
        tear(&mut content);
        std::fs::write(&log, content).unwrap();
        kafka.up();
        let bridge = bridge.restart();
        send(&bridge, &["after"], 2);
        bridge.wait_published();
        let records = kafka.records();
        prove(&records);
        let names = names[..left].iter().chain(&["after"]);
        let expected: Vec<String> = names.flat_map(|name| [0, 1].map(|nth| format!("{name}_{nth}_1"))).collect();
        assert_eq!(keys(&records), expected, "{what}");
    }
}

#[test]
fn a_missing_directory_is_created_with_a_new_spool_and_a_new_uuid() {
    let kafka = Kafka::start();
    let setup = kafka.setup();
    let setup = setup.clone().env("BRIDGE_SPOOL_DIR", setup.home().join("a/b/spool").display());
    let bridge = setup.start();
    send(&bridge, &["first"], 2);
    bridge.wait_published();
    let uuid = bridge.status()["spool_uuid"].clone();
    let setup = stop(bridge);
    std::fs::remove_dir_all(setup.home().join("a")).unwrap();
    let bridge = setup.start();
    send(&bridge, &["second"], 2);
    bridge.wait_published();
    assert_ne!(bridge.status()["spool_uuid"], uuid);
    let records = kafka.records();
    prove(&records);
    assert_eq!(keys(&records), ["first_0_1", "first_1_1", "second_0_1", "second_1_1"]);
}

#[test]
fn a_removed_spool_file_publishes_its_backlog_and_exits_70() {
    for replaced in [false, true] {
        let kafka = Kafka::start();
        kafka.down();
        let mut bridge = kafka.setup().start();
        send(&bridge, &["first", "second"], 2);
        let setup = bridge.setup().clone();
        let aside = setup.home().join("aside");
        std::fs::rename(setup.spool_dir(), &aside).unwrap();
        if replaced {
            // The file is replaced by another file of the same name and content. The bridge does not write it.
            crate::bridge::copy_dir(&aside, &setup.spool_dir());
        }
        std::fs::remove_dir_all(aside).unwrap();
        let answer = Sender::new(&bridge.url(), APP, TOKEN).recall(ACCOUNT, &["third_0_1"]);
        assert_eq!((answer.status, answer.code()), (503, 120_011), "{answer:?}");
        assert_eq!(bridge.ops_get("/readyz").0, 503);
        kafka.up();
        assert_eq!(bridge.process.wait_exit(PATIENCE), 70);
        let said = bridge.process.tail();
        assert!(said.contains("removed or replaced while in use"), "{said}");
        let records = kafka.records();
        prove(&records);
        assert_eq!(keys(&records), ["first_0_1", "first_1_1", "second_0_1", "second_1_1"]);

        let bridge = bridge.restart();
        send(&bridge, &["fourth"], 1);
        bridge.wait_published();
        let records = kafka.records();
        prove(&records);
        assert_eq!(keys(&records)[4..], ["fourth_0_1"]);
    }
}
