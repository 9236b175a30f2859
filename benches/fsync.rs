//! Compares the response time of the bridge with its floor: `cargo bench --bench fsync`.
//!
//! The floor is the round trip to a bare actix-web handler plus one `fdatasync`, after a write of the size of a group
//! (700 bytes for each connection, in blocks of 4 KiB) to the same disk. The three take turns in each round; the ratio is
//! that of the medians of a round.
//!
//! `BENCH_CONNECTIONS` (1,16), `BENCH_ROUNDS` (5), `BENCH_SECONDS` (1), `BENCH_KAFKA` (`127.0.0.1:1`: no broker),
//! `BENCH_SPOOL` and `BENCH_JSON` as for `ack`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_precision_loss, clippy::pedantic)]
#![allow(missing_docs)]

mod support;

use std::time::Duration;

use serde_json::json;
use support::handlers::BARE;
use support::kafka::Kafka;
use support::load::Load;
use support::process::{bridge, role};
use support::{disk, median, report, setting, settings, spool};

const EVENT_BYTES: usize = 700;
const BLOCK_BYTES: usize = 4096;

fn main() {
    if let Ok(role) = std::env::var("BENCH_ROLE") {
        return support::run(&role);
    }
    let broker = Kafka::start();
    let (bare, _) = role(BARE, &broker.address, &[]);
    let spool = spool();
    let bridge = bridge(&spool.path().join("spool"), &broker.address, &[]);
    let (rounds, time) = (setting("BENCH_ROUNDS", 5), Duration::from_secs(setting("BENCH_SECONDS", 1)));
    println!("broker: {}; medians of {rounds} rounds of {} s", broker.kind, time.as_secs());
    println!("connections  bare p50 ms  fdatasync p50 ms  bridge p50 ms  bridge ÷ (bare + fdatasync)  webhooks/s");
    for connections in settings::<usize>("BENCH_CONNECTIONS", "1,16") {
        let size = (connections * EVENT_BYTES).next_multiple_of(BLOCK_BYTES);
        let mut all = Vec::new();
        for _ in 0..rounds {
            bridge.until_idle();
            let bare = Load::closed(connections, time).run(bare.webhook).ms(0.5);
            let sync = disk::fdatasync(spool.path(), size, time).value_at_quantile(0.5) as f64 / 1e3;
            let run = Load::closed(connections, time).run(bridge.webhook);
            assert_eq!(run.failed, 0, "every webhook is acknowledged");
            all.push([bare, sync, run.ms(0.5), run.ms(0.5) / (bare + sync), run.rate()]);
        }
        let middle = [0, 1, 2, 3, 4].map(|at| median(all.iter().map(|one: &[f64; 5]| one[at])));
        let [bare_ms, sync_ms, bridge_ms, ratio, rate] = middle;
        println!("{connections:>11} {bare_ms:>12.3} {sync_ms:>17.3} {bridge_ms:>14.3} {ratio:>28.3} {rate:>11.0}");
        report::json(&json!({
            "bench": "fsync", "connections": connections, "write_bytes": size, "bare_p50_ms": bare_ms,
            "fdatasync_p50_ms": sync_ms, "bridge_p50_ms": bridge_ms, "ratio": ratio, "rate": rate,
        }));
    }
}
