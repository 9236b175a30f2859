//! Compares the response time of the bridge with its floor: `cargo bench --bench fsync`.
//!
//! The floor is the round trip to a bare actix-web handler plus one `fdatasync`, after a write of the size of a group
//! (700 bytes for each connection, in blocks of 4 KiB) to the same disk. All take turns in each round; the ratio is that of
//! the medians of a round.
//!
//! `sync` is an actix-web handler that writes one block and calls `fdatasync` before it answers: the floor in one process,
//! for one connection. Where other processes use the processors, it is the better reference: a loop that only calls
//! `fdatasync` then waits for them longer than a server does.
//!
//! `BENCH_CONNECTIONS` (1,16), `BENCH_ROUNDS` (5), `BENCH_SECONDS` (1), `BENCH_KAFKA` (`127.0.0.1:1`: no broker),
//! `BENCH_SPOOL` and `BENCH_JSON` as for `ack`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_precision_loss, clippy::pedantic)]
#![allow(missing_docs)]

mod support;

use std::time::Duration;

use serde_json::json;
use support::disk::BLOCK_BYTES;
use support::handlers::{BARE, SYNC_FILE, SYNCS};
use support::kafka::Kafka;
use support::load::Load;
use support::process::{Process, bridge, role};
use support::{disk, median, report, setting, settings, spool};

const EVENT_BYTES: usize = 700;

fn main() {
    if let Ok(role) = std::env::var("BENCH_ROLE") {
        return support::run(&role);
    }
    let broker = Kafka::start();
    let spool = spool();
    let (bare, _) = role(BARE, &broker.address, &[]);
    let file = spool.path().join("sync");
    let (sync, _) = role(SYNCS, &broker.address, &[(SYNC_FILE, file.to_str().expect("UTF-8"))]);
    let bridge = bridge(&spool.path().join("spool"), &broker.address, &[]);
    let (rounds, time) = (setting("BENCH_ROUNDS", 5), Duration::from_secs(setting("BENCH_SECONDS", 1)));
    println!("broker: {}; medians of {rounds} rounds of {} s", broker.kind, time.as_secs());
    println!(
        "connections  bare p50 ms  fdatasync p50 ms  sync p50 ms  bridge p50 ms  ÷ (bare + fdatasync)  ÷ sync  bridge/s"
    );
    for connections in settings::<usize>("BENCH_CONNECTIONS", "1,16") {
        let size = (connections * EVENT_BYTES).next_multiple_of(BLOCK_BYTES);
        let mut all = Vec::new();
        for _ in 0..rounds {
            bridge.until_idle();
            let p50 = |process: &Process| Load::closed(connections, time).run(process.webhook).ms(0.5);
            let bare_ms = p50(&bare);
            let disk_ms = disk::fdatasync(spool.path(), size, time).value_at_quantile(0.5) as f64 / 1e3;
            let sync_ms = if connections == 1 { p50(&sync) } else { f64::NAN };
            let run = Load::closed(connections, time).run(bridge.webhook);
            assert_eq!(run.failed, 0, "every webhook is acknowledged");
            let ms = run.ms(0.5);
            all.push([bare_ms, disk_ms, sync_ms, ms, ms / (bare_ms + disk_ms), ms / sync_ms, run.rate()]);
        }
        let middle = [0, 1, 2, 3, 4, 5, 6].map(|at| median(all.iter().map(|one: &[f64; 7]| one[at])));
        let [bare_ms, disk_ms, sync_ms, bridge_ms, ratio, by_sync, rate] = middle;
        let [sync_text, by_sync_text] = [sync_ms, by_sync].map(|value| match value.is_nan() {
            true => "-".to_owned(),
            false => format!("{value:.3}"),
        });
        println!(
            "{connections:>11} {bare_ms:>12.3} {disk_ms:>17.3} {sync_text:>12} {bridge_ms:>14.3} {ratio:>21.3} {by_sync_text:>7} {rate:>9.0}"
        );
        report::json(&json!({
            "bench": "fsync", "connections": connections, "write_bytes": size, "bare_p50_ms": bare_ms,
            "fdatasync_p50_ms": disk_ms, "sync_p50_ms": sync_ms, "bridge_p50_ms": bridge_ms, "ratio": ratio,
            "ratio_sync": by_sync, "rate": rate,
        }));
    }
}
