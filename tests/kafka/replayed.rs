//! A replay with a real Kafka adds each record of a time range to the topic once, in order. If the command or the node
//! is killed, all published records are complete, and the sequence numbers of each spool have no gap.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use crate::bridge::{Bridge, Setup};
use crate::broker::Broker;
use crate::load::Load;
use crate::random::Random;
use crate::scene;
use crate::topic::{Record, prove};
use crate::wait::{assert_accounts, until_drained, until_settled, until_true};

/// Longer than a command's timeout (60 s) for the response of its node.
const EXIT: Duration = Duration::from_secs(70);

/// Starts a node and waits until it has published at least this number of recalls.
fn filled(broker: &Broker, topic: &str, recalls: u64) -> Bridge {
    let bridge = scene::setup(broker, topic).start();
    let load = Load::start("replayed", 4, bridge.webhook_address(), &mut Random::new());
    load.until_acknowledged(recalls);
    load.stop();
    until_drained(&bridge);
    bridge
}

/// Runs a preview. Returns its number of records, and the command that it printed, without the program name.
#[track_caller]
fn preview(setup: &Setup, args: &[&str]) -> (u64, Vec<String>) {
    let output = setup.run(&[&["replay", "--since", "1h", "--json"][..], args].concat());
    assert!(output.status.success(), "{output:?}");
    let preview: Value = serde_json::from_slice(&output.stdout).unwrap();
    let line: Vec<String> = serde_json::from_value(preview["confirm"].clone()).unwrap();
    (preview["records"].as_u64().unwrap(), line.into_iter().skip(1).collect())
}

fn by_message(records: &[&Record]) -> BTreeMap<(String, String), Value> {
    let name = |record: &Record| (record.key.clone(), record.msg_key().to_owned());
    records.iter().map(|record| (name(record), record.value.clone())).collect()
}

/// Panics unless the replay contains each original record once.
#[track_caller]
fn assert_repeats(again: &[&Record], originals: &[&Record]) {
    assert_eq!(again.len(), originals.len());
    assert_eq!(by_message(again), by_message(originals));
    assert_eq!(by_message(again).len(), again.len(), "one is there twice");
    assert!(again.iter().all(|record| !record.headers.contains_key("traceparent")));
    assert!(again.iter().all(|record| record.headers["ce_id"] == record.value["event_id"].as_str().unwrap()));
}

/// Groups the records by replay. The key `None` has the original records.
fn by_replay(records: &[Record]) -> BTreeMap<Option<&str>, Vec<&Record>> {
    let mut replays: BTreeMap<Option<&str>, Vec<&Record>> = BTreeMap::new();
    for record in records {
        replays.entry(record.headers.get("bridge_replay").map(String::as_str)).or_default().push(record);
    }
    replays
}

#[track_caller]
fn complete(setup: &Setup, line: &[&str]) -> String {
    let output = setup.run(&[line, &["--json"]].concat());
    assert!(output.status.success(), "{output:?}");
    let done: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(done["complete"], true, "{done}");
    done["bridge_replay"].as_str().unwrap().to_owned()
}

#[test]
fn a_replay_through_the_node_survives_kills_of_command_and_node() {
    let broker = Broker::shared();
    let mut bridge = filled(broker, "replayed", 4000);
    let setup = bridge.setup().clone();
    let (records, line) = preview(&setup, &[]);
    let line: Vec<&str> = line.iter().map(String::as_str).collect();

    // The command is killed during the replay.
    let accepted = |bridge: &Bridge| bridge.status()["accepted_seq"].as_u64().unwrap();
    let before = accepted(&bridge);
    let mut command = setup.launch(&line);
    until_true("some records are replayed", || accepted(&bridge) > before);
    command.kill();
    until_drained(&bridge);
    assert_accounts(&bridge);

    // The node is killed during the replay.
    let before = accepted(&bridge);
    let mut command = setup.launch(&line);
    until_true("some records are replayed", || accepted(&bridge) > before);
    bridge.kill();
    assert_eq!(command.wait_exit(EXIT), 75, "{}", command.tail());
    bridge = bridge.restart();

    let fixed: Vec<&str> = line.iter().copied().filter(|word| *word != "--yes").collect();
    let again = setup.run(&fixed);
    assert!(String::from_utf8_lossy(&again.stdout).contains(&format!("{records} records of")), "{again:?}");
    let id = complete(&setup, &line);
    scene::stop(&mut bridge);
    let all = scene::read(broker, "replayed");
    prove(&all);
    let replays = by_replay(&all);
    let originals = &replays[&None];
    assert_eq!((originals.len() as u64, replays.len()), (records, 4), "{:?}", replays.keys());
    assert_repeats(&replays[&Some(id.as_str())], originals);
    // The two interrupted replays, too, published complete records, each at most once.
    let known = by_message(originals);
    for of_one in replays.values() {
        let messages = by_message(of_one);
        assert_eq!(messages.len(), of_one.len());
        assert!(messages.iter().all(|(name, value)| known[name] == *value));
    }
    let spools: BTreeSet<&str> = all.iter().map(Record::spool).collect();
    assert_eq!(spools.len(), 1);
    let verified = setup.run(&["tail", "--until-end", "--verify", "--quiet"]);
    assert!(verified.status.success(), "{verified:?}");
}

#[test]
fn a_killed_replay_to_another_topic_leaves_complete_records() {
    let broker = Broker::shared();
    let mut bridge = filled(broker, "replayed-from", 4000);
    scene::stop(&mut bridge);
    let setup = bridge.setup();
    broker.create_topic("replayed-to", 3, &[]);
    let (records, line) = preview(setup, &["--to-topic", "replayed-to"]);
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let mut command = setup.launch(&line);
    until_true("some records are in the topic", || {
        crate::wait::ends(&broker.client(), "replayed-to").values().sum::<i64>() > 0
    });
    command.kill();
    let id = complete(setup, &line);
    // The broker aborts the open transaction of the killed command after the transaction timeout.
    until_settled(&broker.client(), "replayed-to");
    let mut all = scene::read(broker, "replayed-to");
    all.sort_by_key(|record| (record.partition, record.offset));
    prove(&all);
    let replays = by_replay(&all);
    assert!(!replays.contains_key(&None) && replays.len() <= 2, "{:?}", replays.keys());
    let originals = scene::read(broker, "replayed-from");
    assert_eq!(originals.len() as u64, records);
    assert_repeats(&replays[&Some(id.as_str())], &originals.iter().collect::<Vec<_>>());
    let verified =
        setup.clone().env("BRIDGE_TOPIC", "replayed-to").run(&["tail", "--until-end", "--verify", "--quiet"]);
    assert!(verified.status.success(), "{verified:?}");
}
