//! Measures the memory use with a full spool, and the time to publish it. `cargo bench --bench drain`.
//!
//! Fills the spool with a million records while no broker responds, then starts the bridge again with a broker.
//! `BENCH_KAFKA=host:port` names a real broker. Without it, librdkafka's mock cluster is used, which costs less than
//! a real broker; the output says so. `BENCH_RECORDS` changes the number.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss, clippy::pedantic, missing_docs)]

mod support;

use std::time::{Duration, Instant};

use support::{bridge, load, role};

const KEYS: usize = 10;

fn main() {
    if std::env::var("BENCH_ROLE").is_ok() {
        return broker();
    }
    let records: u64 = std::env::var("BENCH_RECORDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let base = std::env::var("BENCH_SPOOL").unwrap_or_else(|_| ".".to_owned());
    let spool = tempfile::tempdir_in(base).expect("a spool directory");

    // No process listens on port 1.
    let waiting = bridge(spool.path(), "127.0.0.1:1", &[]);
    let run = load(waiting.webhook, 128, KEYS, Duration::from_secs(600), records / KEYS as u64);
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

    let (kafka, kind, mut child) = match std::env::var("BENCH_KAFKA") {
        Ok(kafka) => (kafka, "a real broker", None),
        Err(_) => {
            let (child, kafka) = role("broker");
            (kafka, "librdkafka's mock cluster", Some(child))
        }
    };
    let topic = format!("drain-{}", std::process::id());
    let started = Instant::now();
    let draining = bridge(spool.path(), &kafka, &[("BRIDGE_TOPIC", &topic)]);
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
    if let Some(child) = &mut child {
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn broker() {
    let cluster = rdkafka::mocking::MockCluster::new(1).expect("a mock cluster");
    println!("{}", cluster.bootstrap_servers());
    loop {
        std::thread::park();
    }
}
