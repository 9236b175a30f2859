//! A real Kafka rejects some records of a stream. The other records are in the topic once and in order. After a
//! requeue, the rejected records are, too. Kills of the bridge do not change this.
//!
//! These tests do not cover the errors of a broker's own policy: `POLICY_VIOLATION`, and `INVALID_RECORD` except for a
//! record without a key in a compacted topic. Such a policy is a plugin of the broker.
//! `tests/bridge/quarantine_bounds.rs` tests these errors with the embedded broker.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use recall_bridge::events::recall::RecalledMessage;
use recall_bridge::spool::{Appender, Spool, SpoolOptions};
use serde_json::Value;

use crate::audit::audit;
use crate::bridge::{APP, Bridge, Setup, TOKEN};
use crate::broker::Broker;
use crate::load::{Load, ResponseKind, SentWebhook};
use crate::random::Random;
use crate::scene;
use crate::sender::{Sender, query_at, recall_body, unix_now};
use crate::wait::{assert_accounts, count, until_drained, until_true};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// An address at which no process listens.
const NO_KAFKA: &str = "127.0.0.1:1";

fn acknowledged(account: &str, key: &str) -> SentWebhook {
    SentWebhook {
        account: account.to_owned(),
        keys: vec![key.to_owned()],
        response: ResponseKind::Acknowledged,
        took: Duration::ZERO,
    }
}

/// Runs a command and returns its output as JSON lines. Panics if the command fails.
#[track_caller]
fn command(setup: &Setup, args: &[&str]) -> Vec<Value> {
    let output = setup.run(args);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn list(setup: &Setup) -> Vec<Value> {
    command(setup, &["quarantine", "list", "--json"])
}

/// Requeues all entries by their ids.
fn requeue_all(setup: &Setup) -> Vec<Value> {
    let ids: Vec<String> = list(setup).iter().map(|entry| entry["id"].to_string()).collect();
    if ids.is_empty() {
        return Vec::new();
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    command(setup, &[&["quarantine", "requeue", "--json"][..], &ids].concat())
}

fn numbers(entries: &[Value]) -> BTreeSet<(String, u64)> {
    entries
        .iter()
        .map(|entry| (entry["bridge_spool"].as_str().unwrap().to_owned(), entry["bridge_seq"].as_u64().unwrap()))
        .collect()
}

#[test]
fn too_large_records_harm_no_others_and_are_published_after_the_fix() {
    const POISONS: u64 = 3;
    let mut random = Random::new();
    let broker = Broker::shared();
    broker.create_topic("too-large-requeued", 6, &[("max.message.bytes", "6000")]);
    let setup = scene::quick(Setup::new(&broker.bootstrap())).env("BRIDGE_TOPIC", "too-large-requeued");
    let mut bridge = setup.start();
    let load = Load::start("large", 3, bridge.webhook_address(), &mut random);
    let mut poison = Vec::new();
    for round in 0..POISONS {
        load.until_acknowledged(random.between(20, 200));
        // Random bytes: compression cannot make the record small enough.
        let noise: Vec<u8> = (0..1000).flat_map(|_| random.next().to_le_bytes()).collect();
        let (account, key) = (format!("#TOA#_poison_{round}"), hex::encode(noise));
        Sender::new(&bridge.url(), APP, TOKEN).acknowledged(&account, &[&key]);
        poison.push(acknowledged(&account, &key));
        load.until_acknowledged(random.between(1, 50));
        bridge.kill();
        bridge = bridge.restart();
        load.aim(bridge.webhook_address());
    }
    load.until_acknowledged(50);
    let mut ledger = load.stop();
    until_drained(&bridge);
    assert_accounts(&bridge);
    let refused = list(&setup);
    assert_eq!(refused.len() as u64, POISONS, "{refused:?}");
    assert!(refused.iter().all(|entry| entry["reason"] == "kafka_too_large"), "{refused:?}");
    let mut before = audit(&ledger, &scene::read(broker, "too-large-requeued"));
    assert_eq!(before.missing.iter().cloned().collect::<BTreeSet<_>>(), numbers(&refused));
    before.forgive_gaps(POISONS);
    before.assert_clean();

    broker.alter_topic("too-large-requeued", &[("max.message.bytes", "1048588")]);
    // The new limit takes effect after a delay. A record that the broker rejects again returns to quarantine, and its
    // sequence number is missing in the topic.
    let refusals = count(&bridge, "records_quarantined_total");
    until_true("all of it was requeued and published", || {
        requeue_all(&setup);
        until_drained(&bridge);
        count(&bridge, "quarantine_events") == 0
    });
    let refused_again = count(&bridge, "records_quarantined_total") - refusals;
    scene::stop(&mut bridge);
    ledger.extend(poison);
    let mut after = audit(&ledger, &scene::read(broker, "too-large-requeued"));
    after.forgive_gaps(POISONS + refused_again);
    after.assert_clean();
    assert_eq!(after.spools, 1);
}

/// Adds a recall with this time of receipt to the spool of a stopped node, as a node with a wrong clock does.
fn accept_with_clock(dir: &Path, account: &str, received_at_ms: i64) {
    let options = SpoolOptions {
        dir: dir.to_owned(),
        max_bytes: 1 << 30,
        quarantine_max_bytes: 1 << 20,
        dedup_window: std::time::Duration::ZERO,
        on_commit: Box::new(|_, _| ()),
    };
    let (spool, writer) = Spool::open(options, || ()).unwrap();
    let event = RecalledMessage {
        sdk_app_id: APP,
        official_account: account,
        msg_key: "1_1_1698741698",
        recalled_at_ms: None,
        received_at_ms,
        opt_platform: None,
        client_ip: None,
        traceparent: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let encode = |out: &mut Vec<u8>| {
            event.encode(out);
            Some(event.content_hash())
        };
        Appender::new(&spool).append(|writer| writer.event(encode)).await.unwrap();
    });
    writer.stop().unwrap();
}

fn now_ms() -> i64 {
    i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

/// Accepts recalls without Kafka, then kills the bridge.
fn accept_some(setup: &Setup, name: &str, random: &mut Random) -> Vec<SentWebhook> {
    let mut bridge = setup.clone().env("KAFKA_BOOTSTRAP_SERVERS", NO_KAFKA).start();
    let load = Load::start(name, 2, bridge.webhook_address(), random);
    load.until_acknowledged(random.between(50, 150));
    let ledger = load.stop();
    bridge.kill();
    ledger
}

#[test]
fn records_with_a_rejected_timestamp_are_accepted_when_requeued() {
    let mut random = Random::new();
    let broker = Broker::shared();
    let hour = (60 * 60 * 1000).to_string();
    let limits = [
        ("message.timestamp.type", "CreateTime"),
        ("message.timestamp.after.max.ms", hour.as_str()),
        ("message.timestamp.before.max.ms", hour.as_str()),
    ];
    broker.create_topic("wrong-time", 6, &limits);
    let setup = scene::quick(Setup::new(&broker.bootstrap())).env("BRIDGE_TOPIC", "wrong-time");
    // Between other records, one record is from a clock that was one day ahead, and one is from an outage that was
    // longer than the topic's limit.
    let mut ledger = accept_some(&setup, "time-a", &mut random);
    accept_with_clock(&setup.spool_dir(), "#TOA#_ahead", now_ms() + DAY_MS);
    ledger.extend(accept_some(&setup, "time-b", &mut random));
    accept_with_clock(&setup.spool_dir(), "#TOA#_behind", now_ms() - DAY_MS);
    ledger.extend(accept_some(&setup, "time-c", &mut random));

    let mut bridge = setup.start();
    let load = Load::start("time-d", 2, bridge.webhook_address(), &mut random);
    for _ in 0..3 {
        load.until_acknowledged(random.between(1, 100));
        bridge.kill();
        bridge = bridge.restart();
        load.aim(bridge.webhook_address());
    }
    load.until_acknowledged(50);
    ledger.extend(load.stop());
    until_drained(&bridge);
    assert_accounts(&bridge);
    let refused = list(&setup);
    let accounts: BTreeSet<&str> = refused.iter().map(|entry| entry["account"].as_str().unwrap()).collect();
    assert_eq!((refused.len(), accounts), (2, ["#TOA#_ahead", "#TOA#_behind"].into()), "{refused:?}");
    assert!(refused.iter().all(|entry| entry["reason"] == "kafka_invalid_timestamp"), "{refused:?}");
    let mut before = audit(&ledger, &scene::read(broker, "wrong-time"));
    assert_eq!(before.missing.iter().cloned().collect::<BTreeSet<_>>(), numbers(&refused));
    before.forgive_gaps(2);
    before.assert_clean();

    let exported = command(&setup, &["quarantine", "export"]);
    let requeued_at = now_ms();
    let done = requeue_all(&setup);
    assert_eq!(done.len(), 2, "{done:?}");
    assert!(done.iter().all(|line| line["result"] == "requeued"), "{done:?}");
    scene::stop(&mut bridge);
    ledger.extend(["#TOA#_ahead", "#TOA#_behind"].map(|account| acknowledged(account, "1_1_1698741698")));
    let records = scene::read(broker, "wrong-time");
    let mut after = audit(&ledger, &records);
    after.forgive_gaps(2);
    after.assert_clean();
    assert_eq!(after.spools, 1);
    for record in records.iter().filter(|record| record.key == "#TOA#_ahead" || record.key == "#TOA#_behind") {
        assert!((requeued_at..now_ms()).contains(&record.timestamp_ms), "{record:?}");
        let was = exported.iter().find(|entry| entry["account"] == record.key.as_str()).unwrap();
        assert_eq!(record.value, was["record"]["value"], "its time of receipt stays what it was");
    }
}

/// Sends a webhook with a `RequestTime` one hour ago. The bridge refuses it and puts it into quarantine.
fn late(bridge: &Bridge, account: &str, key: &str) {
    let query = query_at(APP, TOKEN, recall_bridge::events::RECALL_COMMAND, unix_now() - 3600);
    let answer = Sender::new(&bridge.url(), APP, TOKEN).post(&query, recall_body(account, &[key]));
    assert_eq!(answer.code(), 120_008, "{answer:?}");
}

#[test]
fn entries_requeued_during_repeated_kills_are_in_the_topic_once() {
    const LATE: u64 = 300;
    let mut random = Random::new();
    let broker = Broker::shared();
    let setup = scene::setup(broker, "killed-requeuing");
    let mut bridge = setup.start();
    let mut ledger: Vec<SentWebhook> = Vec::new();
    for number in 0..LATE {
        let (account, key) = (format!("#TOA#_late_{number}"), format!("{number}_1_1698741698"));
        late(&bridge, &account, &key);
        ledger.push(acknowledged(&account, &key));
    }
    let load = Load::start("requeuing", 3, bridge.webhook_address(), &mut random);
    let (mut rounds, mut cut) = (0, 0);
    loop {
        rounds += 1;
        assert!(rounds < 100, "it never ends");
        load.until_acknowledged(random.between(1, 100));
        let ids: Vec<String> = (1..=LATE).map(|id| id.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut client = setup.launch(&[&["quarantine", "requeue", "--json"][..], &ids].concat());
        let (before, some) = (count(&bridge, "quarantine_events"), random.between(0, 100));
        until_true("some are requeued", || {
            let left = count(&bridge, "quarantine_events");
            left == 0 || before - left >= some
        });
        bridge.kill();
        let code = client.wait_exit(Duration::from_secs(70));
        assert!(code == 0 || code == 75, "{code}: {}", client.tail());
        cut += u64::from(code == 75);
        bridge = bridge.restart();
        load.aim(bridge.webhook_address());
        if list(&setup).is_empty() {
            break;
        }
    }
    load.until_acknowledged(50);
    ledger.extend(load.stop());
    scene::stop(&mut bridge);
    eprintln!("{rounds} rounds, {cut} requests cut off");
    let audit = scene::assert_exactly_once(broker, "killed-requeuing", &ledger);
    assert_eq!(audit.spools, 1, "it took itself for a copy");
}
