//! The file of the refused journal: restarts, crashes, corruption, broken disks, floods.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::Value;

use crate::bridge::{APP, Bridge, Setup, TOKEN, eventually};
use crate::cli::{stale, stop};
use crate::mock::Kafka;
use crate::refused_list::refused;
use crate::sender::{Sender, query_at, recall_body, signed_query, unix_now};

const LATE: &str = "refused.late.jsonl";
const COMMAND: &str = recall_bridge::events::RECALL_COMMAND;

fn file(setup: &Setup, name: &str) -> PathBuf {
    setup.spool_dir().join(name)
}

fn unsigned(bridge: &Bridge, count: usize) {
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for _ in 0..count {
        assert_eq!(sender.post(&signed_query(APP, "wrong"), "{}").code(), 120_007);
    }
}

fn malformed(bridge: &Bridge, body: &str) {
    assert_eq!(crate::cli::malformed(bridge, body.to_owned()), 120_009);
}

fn left_out(bridge: &Bridge, reason: &str) -> f64 {
    bridge.metric(&format!("refused_left_out_total{{reason=\"{reason}\"}}"))
}

/// Waits until the files have this many entries.
fn wait_for_entries(setup: &Setup, count: usize) {
    eventually("the entries are in the files", || {
        let read = |name| fs::read(file(setup, name)).unwrap_or_default();
        let lines = String::from_utf8_lossy(&[read("refused.jsonl"), read(LATE)].concat()).into_owned();
        (lines.matches("{\"entry\":").count() == count && lines.ends_with('\n')).then_some(())
    });
}

fn ids(entries: &[Value]) -> Vec<u64> {
    entries.iter().map(|entry| entry["id"].as_u64().unwrap()).collect()
}

#[test]
fn authentic_entries_survive_sigkill_and_ids_are_not_used_again() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    stale(&bridge, "#TOA#_1", &["1_1_1"]);
    malformed(&bridge, "no JSON");
    unsigned(&bridge, 3);
    let before = refused(bridge.setup());
    wait_for_entries(bridge.setup(), 2);
    bridge.kill();
    assert_eq!(refused(bridge.setup()), before[..2], "a stopped node shows its file");
    bridge = bridge.restart();
    assert_eq!(refused(bridge.setup()), before[..2]);
    malformed(&bridge, "no JSON again");
    let after = refused(bridge.setup());
    assert!(after[2]["id"].as_u64() > before[4]["id"].as_u64(), "{after:?}");
    for name in ["refused.jsonl", LATE] {
        let mode = fs::metadata(file(bridge.setup(), name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    // After a clean stop the ids continue without a gap.
    let last = after[2]["id"].as_u64().unwrap();
    stop(&mut bridge);
    bridge = bridge.restart();
    malformed(&bridge, "and again");
    assert_eq!(ids(&refused(bridge.setup()))[3], last + 1);
}

#[test]
fn corrupted_and_incomplete_lines_cost_only_themselves() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    for number in 0..6 {
        malformed(&bridge, &format!("no JSON {number}"));
    }
    stop(&mut bridge);
    let path = file(bridge.setup(), "refused.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let place = |id: u64| lines.iter().position(|line| line.contains(&format!("\"id\":{id},"))).unwrap();
    let (second, fourth) = (place(2), place(4));
    lines[second] = lines[second].replace("malformed", "malf0rmed");
    lines[fourth].truncate(40);
    fs::write(&path, format!("garbage\u{0}\n{}\n\n", lines.join("\n"))).unwrap();
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"0123abcd {\"entry\":{\"id\":9").unwrap();
    assert_eq!(ids(&refused(bridge.setup())), [1, 3, 5, 6]);
    bridge = bridge.restart();
    assert_eq!(ids(&refused(bridge.setup())), [1, 3, 5, 6]);
    assert_eq!(left_out(&bridge, "unreadable"), 4.0);
    assert_eq!(bridge.process.wait_for_line("refused_journal_corrupted")["lines"], 4);
    malformed(&bridge, "no JSON 7");
    wait_for_entries(bridge.setup(), 8);
    bridge.kill();
    let after = refused(bridge.setup());
    assert_eq!((after.len(), ids(&after)[..4].to_vec()), (5, vec![1, 3, 5, 6]), "a new line follows the torn one");

    for garbage in [Vec::new(), vec![0; 100_000], vec![b'\n'; 1000], b"\xff\xfe".to_vec()] {
        fs::write(&path, garbage).unwrap();
        assert_eq!(ids(&refused(bridge.setup())), [0; 0]);
        bridge = bridge.restart();
        malformed(&bridge, "x");
        assert_eq!(refused(bridge.setup()).len(), 1);
        wait_for_entries(bridge.setup(), 1);
        bridge.kill();
        assert_eq!(refused(bridge.setup()).len(), 1);
    }
}

#[test]
fn a_journal_that_cannot_be_written_disturbs_no_acknowledgement() {
    let kafka = Kafka::start();
    let setup = kafka.setup();
    fs::create_dir_all(file(&setup, "refused.jsonl")).unwrap();
    let bridge = setup.start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    bridge.process.wait_for_line("refused_journal_unreadable");
    for number in 0..20 {
        malformed(&bridge, "no JSON");
        sender.acknowledged("#TOA#_1", &[format!("{number}_1_1")]);
    }
    eventually("lost lines are counted", || (left_out(&bridge, "write_failed") == 20.0).then_some(()));
    assert_eq!(bridge.process.log_of("refused_journal_failed").len(), 1, "one line for all of them");
    assert_eq!(refused(&setup).len(), 20, "they are in memory");
    fs::remove_dir(file(&setup, "refused.jsonl")).unwrap();
    malformed(&bridge, "no JSON");
    bridge.process.wait_for_line("refused_journal_recovered");
    wait_for_entries(&setup, 1);
    bridge.wait_published();
    assert_eq!(kafka.records().len(), 20);
}

#[test]
fn a_full_disk_loses_only_lines_of_the_file() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().breakable().start();
    stale(&bridge, "#TOA#_1", &["1_1_1"]);
    wait_for_entries(bridge.setup(), 1);
    bridge.break_disk();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for number in 0..5 {
        assert_eq!(sender.recall("#TOA#_1", &[format!("{number}")]).code(), 120_011);
    }
    assert_eq!(refused(bridge.setup()).len(), 6);
    eventually("the thread has tried to write them", || (left_out(&bridge, "write_failed") == 5.0).then_some(()));
    bridge.mend_disk();
    eventually("the disk works", || (bridge.ops_get("/readyz").0 == 200).then_some(()));
    sender.acknowledged("#TOA#_1", &["after"]);
    stale(&bridge, "#TOA#_1", &["2_1_1"]);
    wait_for_entries(bridge.setup(), 2);
    bridge.kill();
    assert_eq!(refused(bridge.setup()).len(), 2);
    bridge = bridge.restart();
    assert_eq!(refused(bridge.setup()).len(), 2);
}

#[test]
fn floods_do_not_push_out_authentic_entries() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    malformed(&bridge, "no JSON");
    stale(&bridge, "#TOA#_1", &["1_1_1"]);
    // From a peer without a token, and from one with a captured Sign.
    unsigned(&bridge, 300);
    let captured = query_at(APP, TOKEN, COMMAND, unix_now() - 200_000);
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for number in 0..300 {
        assert_eq!(sender.post(&captured, recall_body("#TOA#_9", &[format!("{number}")])).code(), 120_015);
    }
    let entries = refused(bridge.setup());
    assert_eq!(ids(&entries)[..2], [1, 2]);
    let dropped = left_out(&bridge, "rate_limit");
    assert!(dropped > 0.0, "{dropped}");
    assert_eq!(entries.len() as f64 + dropped + left_out(&bridge, "pushed_out"), 602.0);
    let status = bridge.status();
    assert_eq!(status["refused"]["entries"], entries.len(), "{status}");
    assert_eq!(status["refused"]["left_out"]["rate_limit"], dropped);
    let late = fs::read_to_string(file(bridge.setup(), "refused.jsonl")).unwrap();
    assert_eq!(late.matches("{\"entry\":").count(), 1, "floods have files of their own");
}
