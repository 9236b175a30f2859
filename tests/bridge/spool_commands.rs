//! Tests of `spool status`, `spool verify` and `spool export`, with a running and with a stopped node.

use std::collections::BTreeMap;

use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::Value;

use crate::bridge::{APP, Bridge, PATIENCE, Setup, TOKEN, eventually};
use crate::cli::{expect, json, malformed, only_spool, run, stale, stderr, stdout};
use crate::mock::{Kafka, PARTITIONS};
use crate::process::Start as _;
use crate::sender::Sender;
use crate::topic::prove;

fn send(bridge: &Bridge, numbers: std::ops::Range<u32>) {
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for number in numbers {
        sender.acknowledged(&format!("#TOA#_{}", number % 3), &[format!("{number}_0_1"), format!("{number}_1_1")]);
    }
}

fn database(setup: &Setup) -> Connection {
    crate::spool::open(&setup.spool_dir())
}

fn status(setup: &Setup) -> Value {
    json(setup, 0, &["spool", "status", "--json"]).remove(0)
}

#[test]
fn spool_status_equals_the_nodes_status_and_works_without_it() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().env("BRIDGE_SPOOL_MAX_BYTES", 5 << 20).start();
    send(&bridge, 0..10);
    stale(&bridge, "#TOA#_1", &["late_1_1"]);
    malformed(&bridge, "no");
    bridge.wait_published();
    let setup = bridge.setup().clone();
    // The published sequence is stored a little later.
    eventually("the watermark is stored", || (status(&setup)["depth"] == 0).then_some(()));
    kafka.down();
    send(&bridge, 10..15);
    let seen = bridge.status();
    let running = status(&setup);
    for name in [
        "spool_uuid",
        "depth",
        "bytes",
        "capacity_bytes",
        "accepted_seq",
        "published_seq",
        "quarantine",
        "quarantine_events",
        "quarantine_bytes",
    ] {
        assert_eq!(running[name], seen[name], "{name}");
    }
    assert_eq!(
        (&running["running"], &running["depth"], &running["published_seq"]),
        (&true.into(), &10.into(), &20.into())
    );
    assert_eq!(running["quarantine"]["stale"]["events"], 1);
    assert!(running["oldest_age_seconds"].as_f64().unwrap() > 0.0);
    let positions = running["positions"][crate::bridge::TOPIC].as_object().unwrap();
    assert_eq!(positions.len(), usize::try_from(PARTITIONS).unwrap());
    assert!(positions.values().any(|next| next.as_u64().unwrap() > 0), "{positions:?}");
    assert_eq!(running["identities"][0]["bridge_spool"], seen["spool_uuid"]);
    assert!(running["files"]["spool.db"].as_u64().unwrap() + running["files"]["spool.db-wal"].as_u64().unwrap() > 0);
    let elsewhere = setup.clone().env("BRIDGE_SPOOL_MAX_BYTES", 7 << 20).env("BRIDGE_QUARANTINE_MAX_BYTES", 1 << 20);
    let asked = status(&elsewhere);
    for name in ["capacity_bytes", "quarantine_capacity_bytes"] {
        assert_eq!(asked[name], running[name], "a running node says its own {name}");
    }
    let text = run(&setup, 0, &["spool", "status"]);
    for part in
        [format!("running (pid {})", bridge.process.pid()), "10 event(s)".to_owned(), "stale: 1 entry,".to_owned()]
    {
        assert!(text.contains(&part), "{part:?} is not in {text}");
    }

    for clean in [false, true] {
        if clean {
            bridge = setup.clone().env("BRIDGE_SHUTDOWN_GRACE_SECONDS", 0).start();
            bridge.process.signal(Signal::TERM);
            assert_eq!(bridge.process.wait_exit(PATIENCE), 0);
        } else {
            bridge.kill();
        }
        let only = only_spool(&setup);
        let stopped = status(&only);
        for name in
            ["spool_uuid", "depth", "bytes", "accepted_seq", "published_seq", "positions", "identities", "quarantine"]
        {
            assert_eq!(stopped[name], running[name], "{name}");
        }
        assert_eq!(stopped["running"], false);
        assert!(run(&only, 0, &["spool", "status"]).contains("stopped"));
        run(&only, 0, &["spool", "verify"]);
    }
}

#[test]
fn a_spool_export_contains_every_unpublished_event() {
    let kafka = Kafka::start();
    kafka.down();
    let mut bridge = kafka.setup().start();
    send(&bridge, 0..300);
    let exported = run(bridge.setup(), 0, &["spool", "export"]);
    assert!(!exported.contains(TOKEN) && !exported.contains("Sign"), "something secret is in it");
    bridge.kill();
    assert_eq!(run(&only_spool(bridge.setup()), 0, &["spool", "export"]), exported, "stopped as running");
    bridge = bridge.restart();
    kafka.up();
    bridge.wait_published();

    let records = kafka.records();
    prove(&records);
    let mut published: BTreeMap<u64, _> = records.iter().map(|record| (record.seq(), record)).collect();
    let lines: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 600);
    for (line, number) in lines.iter().zip(1..) {
        assert_eq!((&line["seq"], &line["bridge_seq"]), (&Value::from(number), &Value::from(number)));
        let record = published.remove(&number).unwrap();
        assert_eq!((&line["key"], &line["value"]), (&record.key.clone().into(), &record.value));
        assert_eq!(
            (&line["timestamp_ms"], &line["bridge_spool"]),
            (&record.timestamp_ms.into(), &record.spool().into())
        );
        let headers = line["headers"].as_object().unwrap();
        assert_eq!(headers.len() + 2, record.headers.len());
        assert!(headers.iter().all(|(name, value)| record.headers[name] == *value), "{headers:?}");
    }
    eventually("nothing waits", || run(bridge.setup(), 0, &["spool", "export"]).is_empty().then_some(()));
}

#[test]
fn spool_commands_work_on_a_busy_node() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    std::thread::scope(|scope| {
        let load = scope.spawn(|| send(&bridge, 0..1500));
        let mut rounds = 0;
        while !load.is_finished() {
            let sound = bridge.setup().run(&["spool", "verify"]);
            expect(&sound, 0);
            assert!(stdout(&sound).contains("the spool is intact"), "{sound:?}");
            let mut seqs: Vec<u64> = Vec::new();
            for line in json(bridge.setup(), 0, &["spool", "export"]) {
                seqs.push(line["seq"].as_u64().unwrap());
            }
            assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "{seqs:?}");
            let status = status(bridge.setup());
            let seq = |name: &str| status[name].as_u64().unwrap();
            assert_eq!(seq("accepted_seq") - seq("published_seq"), seq("depth"));
            rounds += 1;
        }
        load.join().unwrap();
        assert!(rounds >= 3, "only {rounds} rounds");
    });
    bridge.wait_published();
    prove(&kafka.records());
}

#[test]
fn verify_finds_a_corrupted_row_and_export_continues_after_it() {
    let setup = Setup::new("127.0.0.1:1");
    let mut bridge = setup.start();
    // One row for each recall: the next one is sent after the previous one is durable.
    send(&bridge, 0..5);
    bridge.kill();
    let sound = run(&setup, 0, &["spool", "verify"]);
    assert!(sound.contains("5 row(s), 10 event(s)") && sound.contains("the spool is intact"), "{sound}");
    let damage = "UPDATE event_group SET payload = zeroblob(length(payload)) WHERE first_seq = 5";
    assert_eq!(database(&setup).execute(damage, []).unwrap(), 1);

    let found = setup.run(&["spool", "verify"]);
    expect(&found, 1);
    assert!(stdout(&found).contains("event 5 is corrupted") && stdout(&found).contains("NOT intact"), "{found:?}");
    let report = json(&setup, 1, &["spool", "verify", "--json"]).remove(0);
    assert_eq!((&report["faults_total"], &report["rows"]), (&1.into(), &5.into()));
    assert!(report["faults"][0].as_str().unwrap().contains("event 5"), "{report}");

    let exported = setup.run(&["spool", "export"]);
    expect(&exported, 70);
    assert!(stderr(&exported).contains("1 row(s) are corrupted"), "{exported:?}");
    let lines: Vec<Value> = stdout(&exported).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seqs: Vec<u64> = lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 7, 8, 9, 10]);
    assert_eq!((&lines[4]["damaged"], &lines[4]["events"]), (&true.into(), &2.into()));
    assert!(lines[4]["payload"].is_string() || lines[4]["payload_base64"].is_string(), "{}", lines[4]);
}

#[test]
fn verify_finds_a_missing_row() {
    let setup = Setup::new("127.0.0.1:1");
    let mut bridge = setup.start();
    send(&bridge, 0..5);
    bridge.kill();
    assert_eq!(database(&setup).execute("DELETE FROM event_group WHERE first_seq = 5", []).unwrap(), 1);
    let found = setup.run(&["spool", "verify"]);
    expect(&found, 1);
    assert!(stdout(&found).contains("events 5 to 6 are missing"), "{found:?}");
}

#[test]
fn spool_commands_create_no_spool_and_refuse_other_files() {
    let setup = Setup::new("127.0.0.1:1");
    for command in ["status", "verify", "export"] {
        let nothing = setup.run(&["spool", command]);
        expect(&nothing, 75);
        assert!(
            stderr(&nothing).contains("no spool exists in")
                && stderr(&nothing).contains("with --dir or BRIDGE_SPOOL_DIR"),
            "{nothing:?}"
        );
    }
    assert!(!setup.spool_dir().exists());
    std::fs::create_dir_all(setup.spool_dir()).unwrap();
    std::fs::write(crate::spool::file(&setup.spool_dir()), "garbage ".repeat(5000)).unwrap();
    for command in ["status", "verify", "export"] {
        let garbage = setup.run(&["spool", command]);
        expect(&garbage, 70);
        assert!(stderr(&garbage).contains("is corrupted"), "{garbage:?}");
    }
    expect(&setup.env("BRIDGE_SPOOL_MAX_BYTES", "much").run(&["spool", "status"]), 78);
}

#[test]
fn a_node_starts_only_after_a_command_has_closed_its_spool() {
    let setup = Setup::new("127.0.0.1:1");
    let mut bridge = setup.start();
    send(&bridge, 0..400);
    bridge.kill();
    // The reader stops reading, so the command waits with the rest of its output.
    let mut command = setup.command(&["spool", "export"]);
    let mut export = command.stdout(std::process::Stdio::piped()).start().unwrap();
    eventually("the command has the directory", || {
        let text = std::fs::read_to_string(setup.spool_dir().join("spool.lock")).unwrap();
        (text.trim() == export.id().to_string()).then_some(())
    });
    let refused = setup.run(&["serve"]);
    expect(&refused, 75);
    assert!(stderr(&refused).contains(&format!("pid {}", export.id())), "{refused:?}");
    export.kill().unwrap();
    export.wait().unwrap();
    bridge = setup.start();
    send(&bridge, 400..401);
}
