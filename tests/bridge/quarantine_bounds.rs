//! The limits of the quarantine: webhooks that fill one share affect no other.

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::bridge::{APP, Bridge, TOKEN};
use crate::cli::{entries, json, malformed, run, stale};
use crate::mock::Kafka;
use crate::sender::Sender;
use crate::topic::{Record, report};

const WHOLE: u64 = 64 << 10;

fn counted(bridge: &Bridge, outcome: &str) -> f64 {
    bridge.metric(&format!("webhooks_total{{outcome=\"{outcome}\"}}"))
}

/// Replays until one is refused; tells how many were kept.
fn flood(bridge: &Bridge) -> u32 {
    let padding = "x".repeat(1000);
    for number in 0.. {
        match stale(bridge, "#TOA#_flood", &[&format!("{number}_{padding}")]) {
            120_008 => assert!(number < 100, "the bound is not kept"),
            120_010 => return number,
            code => panic!("{code}"),
        }
    }
    0
}

#[test]
fn replays_fill_only_their_own_share() {
    let kafka = Kafka::start();
    let setup = kafka.setup().env("BRIDGE_QUARANTINE_MAX_BYTES", WHOLE).env("KAFKA_MESSAGE_MAX_BYTES", 2000);
    let mut bridge = setup.start();
    assert_eq!(malformed(&bridge, "first"), 120_009);
    let kept = flood(&bridge);
    assert_eq!((counted(&bridge, "stale"), counted(&bridge, "spool_full")), (f64::from(kept), 1.0));
    let status = bridge.status();
    let part = status["quarantine"]["stale"]["bytes"].as_u64().unwrap();
    assert!((WHOLE / 8..=WHOLE / 4).contains(&part), "{status}");
    // The oldest ones are there: what a drifting clock has cost is not pushed out either.
    assert_eq!(entries(&setup)[..2], [(1, "malformed".to_owned()), (2, "stale".to_owned())]);

    // All else goes on: recalls, what is malformed, what Kafka refuses, and its successors.
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["before_1_1", &"large".repeat(600), "after_1_1"]);
    bridge.wait_published();
    assert_eq!(malformed(&bridge, "x".repeat(20_000)), 120_009);
    assert_eq!(bridge.ops_get("/readyz").0, 200);
    let records = kafka.records();
    assert_eq!(records.iter().map(Record::msg_key).collect::<Vec<_>>(), ["before_1_1", "after_1_1"]);

    // The part is remembered over a restart, and what leaves makes room.
    bridge.kill();
    bridge = bridge.restart();
    assert_eq!(flood(&bridge), 0);
    assert_eq!(bridge.status()["quarantine"]["stale"]["bytes"], part);
    run(&setup, 0, &["quarantine", "requeue", "2"]);
    assert_eq!(flood(&bridge), 1);
    run(&setup, 0, &["quarantine", "drop", "3", "4"]);
    assert_eq!(flood(&bridge), 2);
    let exported = json(&setup, 0, &["quarantine", "export", "--reason", "stale"]);
    assert_eq!(exported.len(), kept as usize);
}

/// Bytes of a share in use, and its bound.
fn share(bridge: &Bridge, name: &str) -> (f64, f64) {
    let metric = |what| bridge.metric(&format!("quarantine_share_{what}{{share=\"{name}\"}}"));
    (metric("bytes"), metric("capacity_bytes"))
}

#[test]
fn a_quarantine_full_of_webhooks_still_takes_poison_records() {
    let kafka = Kafka::start();
    let setup = kafka.setup().env("BRIDGE_QUARANTINE_MAX_BYTES", WHOLE).env("KAFKA_MESSAGE_MAX_BYTES", 2000);
    let bridge = setup.start();
    let last = (0..100).map(|_| malformed(&bridge, "x".repeat(3000))).find(|code| *code != 120_009);
    assert_eq!(last, Some(120_010), "the bound is not kept");
    assert!(flood(&bridge) > 1);
    bridge.process.wait_for_line("quarantine share full; requeue or drop entries");
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["before_1_1", &"large".repeat(600), "after_1_1"]);
    bridge.wait_published();
    let report = report(&kafka.records());
    assert_eq!((report.records, report.gaps, report.duplicates), (2, 1, 0), "{report}");
    assert_eq!(bridge.ops_get("/readyz").0, 200);
    for (name, sixteenths) in
        [("malformed", 6.0), ("stale", 4.0), ("expired", 1.0), ("near_miss", 1.0), ("refused", 4.0)]
    {
        let (used, bound) = share(&bridge, name);
        assert_eq!(bound, 65_536.0 * sixteenths / 16.0, "{name}");
        assert!(used <= bound, "{name}: {used}");
        assert_eq!(used > 0.0, !matches!(name, "expired" | "near_miss"), "{name}: {used}");
    }
}

#[test]
fn poison_records_above_their_share_count_against_the_spool() {
    let kafka = Kafka::start();
    let setup = kafka.setup().env("BRIDGE_QUARANTINE_MAX_BYTES", WHOLE).env("KAFKA_MESSAGE_MAX_BYTES", 1000);
    let bridge = setup.start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    // Each costs a reconciliation, about half a second.
    for number in 0..12 {
        sender.acknowledged("#TOA#_1", &[format!("{number}_{}", "large".repeat(200))]);
    }
    sender.acknowledged("#TOA#_1", &["after_1_1"]);
    bridge.wait_published();
    assert_eq!(kafka.records().iter().map(Record::msg_key).collect::<Vec<_>>(), ["after_1_1"]);
    let (used, bound) = share(&bridge, "refused");
    assert!(used > bound, "{used} of {bound}");
    assert_eq!(bridge.metric("spool_bytes"), used - bound);
    assert_eq!(entries(&setup).len(), 12);
}

#[test]
fn each_rejection_has_its_reason_and_is_published_after_requeue() {
    use RDKafkaRespErr as E;

    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["first_1_1"]);
    bridge.wait_published();
    for (nth, (error, reason)) in [
        (E::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, "kafka_too_large"),
        (E::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, "kafka_invalid_timestamp"),
        (E::RD_KAFKA_RESP_ERR_INVALID_RECORD, "kafka_invalid"),
        (E::RD_KAFKA_RESP_ERR_POLICY_VIOLATION, "kafka_policy"),
    ]
    .into_iter()
    .enumerate()
    {
        // Alone in its transaction: of two, the bridge would try half, which this broker takes.
        kafka.fail_next(RDKafkaApiKey::Produce, error);
        sender.acknowledged("#TOA#_1", &[format!("{nth}_1_1")]);
        bridge.wait_published();
        sender.acknowledged("#TOA#_1", &[format!("{nth}_2_1")]);
        bridge.wait_published();
        let refused = json(bridge.setup(), 0, &["quarantine", "list", "--json", "--reason", reason]);
        assert_eq!(refused.len(), 1, "{reason}: {refused:?}");
        run(bridge.setup(), 0, &["quarantine", "requeue", &refused[0]["id"].to_string()]);
        bridge.wait_published();
    }
    let records = kafka.records();
    let mut keys: Vec<&str> = records.iter().map(Record::msg_key).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["0_1_1", "0_2_1", "1_1_1", "1_2_1", "2_1_1", "2_2_1", "3_1_1", "3_2_1", "first_1_1"]);
    assert_eq!(entries(bridge.setup()), []);
    assert_eq!(bridge.metric("records_quarantined_total"), 4.0);
}
