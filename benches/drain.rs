//! Measures the time to publish a full spool, and its memory: `cargo bench --bench drain`.
//!
//! Fills a spool while no broker responds, then starts the bridge again with a broker, once with each delivery in every
//! round. The rate is that from the first published record to the last one. librdkafka's mock cluster, the default, costs
//! less than a real broker; use `BENCH_KAFKA=real`.
//!
//! `BENCH_RECORDS` (1,000,000), `BENCH_ROUNDS` (1), `BENCH_DELIVERY` (exactly_once,at_least_once), `BENCH_KAFKA`,
//! `BENCH_SPOOL` and `BENCH_JSON` as for `ack`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_precision_loss, clippy::pedantic)]
#![allow(missing_docs)]

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::fill::fill;
use support::kafka::Kafka;
use support::process::bridge;
use support::{median, report, setting, settings, spool};

const LOOK: Duration = Duration::from_millis(10);
/// No progress for so long ends the measurement.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    if let Ok(role) = std::env::var("BENCH_ROLE") {
        return support::run(&role);
    }
    let records: u64 = setting("BENCH_RECORDS", 1_000_000);
    let rounds: usize = setting("BENCH_ROUNDS", 1);
    let deliveries: Vec<String> = settings("BENCH_DELIVERY", "exactly_once,at_least_once");
    let broker = Kafka::start();
    println!("broker: {}; {records} records", broker.kind);
    println!("delivery       records/s  first after ms  listening after ms  cpu µs  disk B  peak MB");
    let mut rates = vec![Vec::new(); deliveries.len()];
    for round in 0..rounds {
        for (delivery, rates) in deliveries.iter().zip(&mut rates) {
            rates.push(drain(&broker, delivery, records, round));
        }
    }
    let all = rates.iter().map(|rates| median(rates.iter().copied()));
    let all: Vec<f64> = all.collect();
    if let [one, other, ..] = all[..] {
        println!("{} ÷ {}: {:.3}", deliveries[0], deliveries[1], one / other);
    }
}

/// Fills a spool and publishes it. Returns the records per second.
fn drain(broker: &Kafka, delivery: &str, records: u64, round: usize) -> f64 {
    let spool = spool();
    fill(spool.path(), records);
    let topic = format!("drain-{}-{round}-{}", delivery.replace('_', "-"), std::process::id());
    broker.topic(&topic);
    let started = Instant::now();
    let bridge = bridge(spool.path(), &broker.address, &[("BRIDGE_TOPIC", &topic), ("BRIDGE_DELIVERY", delivery)]);
    let listening = started.elapsed();
    bridge.forget_peak();
    let depth = || bridge.status("depth");
    let before = bridge.usage();
    let (mut first, mut moved, mut left) = (None, Instant::now(), records);
    while left > 0 {
        let now = depth();
        if now < left {
            (left, moved) = (now, Instant::now());
            first.get_or_insert((moved, now));
        }
        assert!(moved.elapsed() < PATIENCE, "no progress with {left} records left");
        std::thread::sleep(LOOK);
    }
    let (first, waiting) = first.expect("records");
    let after = bridge.usage();
    let rate = waiting as f64 / (moved - first).as_secs_f64();
    let (first_ms, listening_ms) = ((first - started).as_secs_f64() * 1e3, listening.as_secs_f64() * 1e3);
    let cpu_us = (after.cpu_seconds - before.cpu_seconds) * 1e6 / records as f64;
    let written = (after.written - before.written) as f64 / records as f64;
    let peak = bridge.peak() >> 20;
    println!("{delivery:<14} {rate:>9.0} {first_ms:>15.0} {listening_ms:>19.0} {cpu_us:>7.2} {written:>7.0} {peak:>8}");
    report::json(&json!({
        "bench": "drain", "delivery": delivery, "records": records, "round": round, "rate": rate, "first_ms": first_ms,
        "listening_ms": listening_ms, "cpu_us": cpu_us, "written_bytes": written, "peak_mb": peak,
        "broker": broker.kind,
    }));
    rate
}
