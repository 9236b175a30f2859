//! Measures start and acknowledgements of a bridge with a backlog: `cargo bench --bench backlog`.
//!
//! No broker responds. One spool for each number of `BENCH_RECORDS` (0,1000000) is filled, and its bridge killed. Then each
//! round kills and starts the bridges in turn, and measures the time from the start of the process to its first
//! acknowledgement; and the rate and the response times under load. The load of the rounds adds to every backlog.
//!
//! `BENCH_ROUNDS` (5), `BENCH_SECONDS` (2), `BENCH_CONNECTIONS` (64), `BENCH_SPOOL` and `BENCH_JSON` as for `ack`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_precision_loss, clippy::pedantic)]
#![allow(missing_docs)]

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::fill::fill;
use support::kafka::NOBODY;
use support::load::Load;
use support::process::bridge;
use support::{median, report, setting, settings, spool};

const FIGURES: [&str; 6] = ["start_ms", "rate", "p50_ms", "p99_ms", "cpu_us", "peak_mb"];

fn main() {
    if let Ok(role) = std::env::var("BENCH_ROLE") {
        return support::run(&role);
    }
    let backlogs: Vec<u64> = settings("BENCH_RECORDS", "0,1000000");
    let (rounds, connections) = (setting("BENCH_ROUNDS", 5), setting("BENCH_CONNECTIONS", 64));
    let time = Duration::from_secs(setting("BENCH_SECONDS", 2));
    let spools: Vec<_> = backlogs.iter().map(|_| spool()).collect();
    for (records, spool) in backlogs.iter().zip(&spools) {
        fill(spool.path(), *records);
    }
    let mut all = vec![Vec::new(); backlogs.len()];
    for _ in 0..rounds {
        for ((records, spool), measured) in backlogs.iter().zip(&spools).zip(&mut all) {
            let figures = measure(spool.path(), connections, time);
            let named: serde_json::Map<_, _> =
                FIGURES.iter().zip(figures).map(|(name, value)| ((*name).to_owned(), value.into())).collect();
            report::json(&json!({ "bench": "backlog", "records": records, "figures": named }));
            measured.push(figures);
        }
    }
    println!("no broker; {connections} connections; medians of {rounds} rounds; ÷ is by the first line");
    println!("   waiting  start to ack ms  webhooks/s  p50 ms  p99 ms  cpu µs  peak MB   rate ÷    p99 ÷");
    for (at, records) in backlogs.iter().enumerate() {
        let middle: Vec<f64> =
            (0..FIGURES.len()).map(|figure| median(all[at].iter().map(|one: &[f64; 6]| one[figure]))).collect();
        let ratio = |figure: usize| median(all[at].iter().zip(&all[0]).map(|(one, none)| one[figure] / none[figure]));
        println!(
            "{records:>10} {:>16.0} {:>11.0} {:>7.2} {:>7.2} {:>7.1} {:>8.0} {:>8.3} {:>8.3}",
            middle[0],
            middle[1],
            middle[2],
            middle[3],
            middle[4],
            middle[5],
            ratio(1),
            ratio(3)
        );
    }
}

fn measure(spool: &std::path::Path, connections: usize, time: Duration) -> [f64; 6] {
    let started = Instant::now();
    let bridge = bridge(spool, NOBODY, &[]);
    let one = Load { count: 1, ..Load::closed(1, time) }.run(bridge.webhook);
    let start = started.elapsed();
    assert_eq!(one.failed, 0, "the first webhook is acknowledged");
    bridge.forget_peak();
    let before = bridge.usage();
    let run = Load::closed(connections, time).run(bridge.webhook);
    assert_eq!(run.failed, 0, "every webhook is acknowledged");
    let cpu = (bridge.usage().cpu_seconds - before.cpu_seconds) * 1e6 / run.answers as f64;
    let peak = bridge.peak() as f64 / f64::from(1 << 20);
    [start.as_secs_f64() * 1e3, run.rate(), run.ms(0.5), run.ms(0.99), cpu, peak]
}
