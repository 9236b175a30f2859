//! Tests that the metrics agree with each other and with the sent webhooks at every moment.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::ScopedJoinHandle;

use recall_bridge::events::RECALL_COMMAND;
use recall_bridge::ingest::Outcome;
use recall_bridge::publisher::kafka::errors::KINDS;
use recall_bridge::version::{COMMIT, VERSION};

use crate::bridge::{APP, Bridge, TOKEN, eventually};
use crate::mock::Kafka;
use crate::promtext::parse;
use crate::random::Random;
use crate::sender::{Sender, query_at, recall_body, signed_query, unix_now};
use crate::topic::prove;

const SENDERS: u64 = 4;

fn scrape(bridge: &Bridge) -> BTreeMap<String, f64> {
    let samples = parse(&bridge.ops_get("/metrics").1);
    let of = |name: &str| samples[&format!("recall_bridge_{name}")];
    let inside = of("spool_recovered_events") + of("events_accepted_total")
        - of("records_published_total")
        - of("records_quarantined_total");
    assert_eq!(inside, of("spool_events"), "accounting: {samples:?}");
    assert!(of("spool_bytes") <= of("spool_capacity_bytes"));
    samples
}

fn webhooks(samples: &BTreeMap<String, f64>) -> f64 {
    samples.iter().filter(|(name, _)| name.starts_with("recall_bridge_webhooks_total{")).map(|(_, count)| count).sum()
}

#[test]
fn every_metric_and_label_known_beforehand_is_there_from_the_start() {
    let kafka = Kafka::start();
    kafka.down();
    let bridge = kafka.setup().start();
    let samples = scrape(&bridge);
    let labelled = |name: &str, label: &str, values: &[&str]| {
        for value in values {
            let series = format!("recall_bridge_{name}{{{label}=\"{value}\"}}");
            assert_eq!(samples.get(&series), Some(&0.0), "{series}");
        }
        let prefix = format!("recall_bridge_{name}{{");
        assert_eq!(samples.keys().filter(|series| series.starts_with(&prefix)).count(), values.len(), "{name}");
    };
    labelled("webhooks_total", "outcome", &Outcome::labels());
    labelled("kafka_transactions_total", "result", &["committed", "refused", "doubt"]);
    labelled("kafka_errors_total", "kind", &KINDS);
    for name in [
        "ignored_commands_total{command=\"other\"}",
        "ignored_commands_total{command=\"C2C.CallbackAfterSendMsg\"}",
        "events_accepted_total",
        "duplicate_events_total",
        "dedup_ids",
        "unspooled_events_total",
        "ack_fallback_total",
        "records_published_total",
        "records_quarantined_total",
        "spool_events",
        "spool_recovered_events",
        "spool_bytes",
        "spool_oldest_age_seconds",
        "kafka_up",
        "quarantine_events",
        "quarantine_bytes",
        "ack_seconds_count",
        "publish_lag_seconds_count",
        "spool_commit_seconds_count",
        "spool_group_events_count",
        "kafka_transaction_seconds_count",
        "request_time_skew_seconds_count",
        "spool_identity_renewals_total",
        "read_back_found_total",
    ] {
        assert_eq!(samples.get(&format!("recall_bridge_{name}")), Some(&0.0), "{name}");
    }
    let build = format!("recall_bridge_build_info{{commit=\"{COMMIT}\",version=\"{VERSION}\"}}");
    assert_eq!(samples[&build], 1.0);
    assert!(samples["process_resident_memory_bytes"] > 0.0);
    assert!(samples["process_open_fds"] > 0.0);
}

/// Sends one of many kinds of request. Returns its expected outcome and its records.
fn send_any(sender: &Sender, account: &str, number: u64, kind: u64) -> (&'static str, u64) {
    let body = recall_body(account, &[format!("{number}_0_1"), format!("{number}_1_1"), format!("{number}_0_1")]);
    let command = "C2C.CallbackAfterSendMsg";
    let (query, body, outcome, records) = match kind {
        0 => (signed_query(APP, TOKEN), "{}".to_owned(), "malformed", 0),
        1 => (query_at(APP, TOKEN, RECALL_COMMAND, unix_now() - 600), body, "stale", 0),
        2 => (signed_query(APP, "wrong"), body, "bad_sign", 0),
        3 => (signed_query(APP + 1, TOKEN), body, "unknown_app", 0),
        4 => (query_at(APP, TOKEN, command, unix_now()), body, "ignored", 0),
        5 => (signed_query(APP, TOKEN), recall_body::<&str>(account, &[]), "empty", 0),
        6 => ("nothing=1".to_owned(), body, "bad_query", 0),
        7 => (signed_query(APP, TOKEN), recall_body(account, &["known_0_1"]), "duplicate", 0),
        _ => (signed_query(APP, TOKEN), body, "accepted", 2),
    };
    let answer = sender.post(&query, body);
    assert_eq!(answer.is_ok(), ["accepted", "duplicate", "ignored", "empty"].contains(&outcome), "{answer:?}");
    (outcome, records)
}

#[test]
fn every_webhook_is_counted_once_and_the_identity_holds_at_every_scrape() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    let mut random = Random::new();
    let (stop, accepted) = (AtomicBool::new(false), AtomicU64::new(0));
    let sent = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|nth| {
                let (url, stop, accepted) = (bridge.url(), &stop, &accepted);
                let mut kinds = Random::seeded(random.pick(0..u64::from(u32::MAX)));
                scope.spawn(move || {
                    let sender = Sender::new(&url, APP, TOKEN);
                    let mut counts = BTreeMap::<&str, u64>::from([("accepted", 1)]);
                    sender.acknowledged(&format!("#TOA#_{nth}"), &["known_0_1"]);
                    accepted.fetch_add(1, SeqCst);
                    for number in 0.. {
                        if stop.load(SeqCst) {
                            break;
                        }
                        let (outcome, records) = send_any(&sender, &format!("#TOA#_{nth}"), number, kinds.pick(0..15));
                        *counts.entry(outcome).or_default() += 1;
                        accepted.fetch_add(records, SeqCst);
                    }
                    counts
                })
            })
            .collect();
        let scraper = scope.spawn(|| {
            let (mut rounds, mut before) = (0, BTreeMap::new());
            while !stop.load(SeqCst) {
                let samples = scrape(&bridge);
                for (series, value) in samples.iter().filter(|(series, _)| series.contains("_total")) {
                    assert!(before.get(series).is_none_or(|before| before <= value), "{series} went down");
                }
                before = samples;
                rounds += 1;
            }
            rounds
        });
        let more = |count: u64| {
            let enough = accepted.load(SeqCst) + count;
            eventually("more is accepted", || {
                assert!(!scraper.is_finished() && !senders.iter().any(ScopedJoinHandle::is_finished), "one has failed");
                (accepted.load(SeqCst) >= enough).then_some(())
            });
        };
        more(300);
        kafka.down();
        more(300);
        kafka.up();
        more(300);
        stop.store(true, SeqCst);
        let rounds = scraper.join().unwrap();
        assert!(rounds >= 10, "only {rounds} scrapes");
        let mut sent = BTreeMap::<&str, u64>::new();
        for sender in senders {
            for (outcome, count) in sender.join().unwrap() {
                *sent.entry(outcome).or_default() += count;
            }
        }
        sent
    });

    let samples = scrape(&bridge);
    for outcome in Outcome::labels() {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let expected = sent.get(outcome).copied().unwrap_or(0) as f64;
        assert_eq!(samples[&format!("recall_bridge_webhooks_total{{outcome=\"{outcome}\"}}")], expected, "{outcome}");
    }
    let total = sent.values().sum::<u64>();
    assert!((webhooks(&samples) - f64::from(u32::try_from(total).unwrap())).abs() < 0.5);
    let accepted = f64::from(u32::try_from(accepted.load(SeqCst)).unwrap());
    assert_eq!(samples["recall_bridge_events_accepted_total"], accepted);
    assert_eq!(samples["recall_bridge_ack_seconds_count"], webhooks(&samples));

    // The next process finds the backlog of the killed one.
    bridge.kill();
    bridge = bridge.restart();
    bridge.wait_published();
    let samples = scrape(&bridge);
    assert_eq!(samples["recall_bridge_events_accepted_total"], 0.0);
    let records = kafka.records();
    prove(&records);
    assert_eq!(f64::from(u32::try_from(records.len()).unwrap()), accepted);
}

#[test]
fn the_backlog_of_a_restart_is_counted() {
    let kafka = Kafka::start();
    kafka.down();
    let mut bridge = kafka.setup().start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for number in 0..7 {
        sender.acknowledged("#TOA#_1", &[format!("{number}_1_1")]);
    }
    assert_eq!(bridge.metric("spool_events"), 7.0);
    bridge.kill();
    bridge = bridge.restart();
    let samples = scrape(&bridge);
    assert_eq!(samples["recall_bridge_spool_recovered_events"], 7.0);
    assert!(samples["recall_bridge_spool_oldest_age_seconds"] > 0.0);
    let status = bridge.status();
    assert_eq!(
        (&status["depth"], &status["accepted_seq"], &status["published_seq"]),
        (&7.into(), &7.into(), &0.into())
    );
    kafka.up();
    bridge.wait_published();
    let samples = scrape(&bridge);
    assert_eq!(samples["recall_bridge_records_published_total"], 7.0);
    assert_eq!(samples["recall_bridge_publish_lag_seconds_count"], 7.0);
    assert_eq!(samples["recall_bridge_spool_recovered_events"], 7.0);
}
