//! Measures the memory use with a full spool, and the time to publish it. `cargo bench --bench drain`.
//!
//! Fills the spool with a million records while no broker responds, then starts the bridge again with a broker.
//! `BENCH_KAFKA=host:port` names a real broker. Without it, librdkafka's mock cluster is used, which costs less than
//! a real broker; the output says so. `BENCH_RECORDS` changes the number.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss, clippy::pedantic, missing_docs)]

mod support;

use std::time::{Duration, Instant};

use support::kafka::{self, Kafka};
use support::load::Load;
use support::process::bridge;

const KEYS: usize = 10;

fn main() {
    if let Ok(role) = std::env::var("BENCH_ROLE") {
        return kafka::run(&role);
    }
    let records: u64 = std::env::var("BENCH_RECORDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let base = std::env::var("BENCH_SPOOL").unwrap_or_else(|_| ".".to_owned());
    let spool = tempfile::tempdir_in(base).expect("a spool directory");

    // No process listens on port 1.
    let waiting = bridge(spool.path(), "127.0.0.1:1", &[]);
    let run = Load { keys: KEYS, count: records / KEYS as u64, ..Load::closed(128, Duration::from_secs(600)) }
        .run(waiting.webhook);
    println!(
        "filled: {} webhooks of {KEYS} keys in {:.1} s, p50 {:.2} ms, p99 {:.2} ms; waiting {}; resident {} MB",
        run.answers,
        run.seconds,
        run.ms(0.5),
        run.ms(0.99),
        waiting.status("depth"),
        waiting.resident() >> 20
    );
    assert_eq!(run.failed, 0, "every webhook is acknowledged");
    drop(waiting);

    let broker = Kafka::start();
    let (kafka, kind) = (&broker.address, broker.kind);
    let topic = format!("drain-{}", std::process::id());
    let started = Instant::now();
    let draining = bridge(spool.path(), kafka, &[("BRIDGE_TOPIC", &topic)]);
    let listening = started.elapsed();
    let depth = || draining.status("depth");
    while depth() == records {
        std::thread::sleep(Duration::from_millis(5));
    }
    let (first, before) = (Instant::now(), depth());
    let mut peak = 0;
    while depth() > 0 {
        peak = peak.max(draining.resident());
        std::thread::sleep(Duration::from_millis(20));
    }
    println!(
        "drained to {kind}: listening after {:.0} ms, first records after {:.0} ms, then {:.0} records/s; resident at most {} MB",
        listening.as_secs_f64() * 1000.0,
        (first - started).as_secs_f64() * 1000.0,
        before as f64 / first.elapsed().as_secs_f64(),
        peak >> 20
    );
}
