//! Counts the allocations of each webhook: `cargo bench --bench allocations`.
//!
//! The bridge and the handlers of `cargo bench --bench ack` run as roles of this program, whose allocator counts; that is
//! why this is not a measurement of time. `spool` is the bridge without a broker: from the socket to the spool and back.
//! `bridge` also publishes. Allocations of librdkafka and SQLite are made in C and not counted.
//!
//! `BENCH_CONNECTIONS` (16,64), `BENCH_COUNT` (20,000 webhooks), `BENCH_SERVERS` (bare,forget,spool,bridge),
//! `BENCH_KAFKA` and `BENCH_JSON` as for `ack`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_precision_loss, clippy::pedantic)]
#![allow(missing_docs)]

mod support;

use std::alloc::System;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use support::handlers::{AWAITS, BARE, FORGETS};
use support::kafka::{Kafka, NOBODY};
use support::load::Load;
use support::process::{Process, role, role_command, serve};
use support::{report, setting, settings, spool};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The path of the socket at which a role reports its counts.
const COUNTS: &str = "BENCH_COUNTS";
const BRIDGE: &str = "bridge";
const SPOOL: &str = "spool";

struct Server {
    name: String,
    process: Process,
    counts: PathBuf,
    /// Removed after the process has ended.
    _spool: tempfile::TempDir,
}

fn main() {
    if let Ok(role) = std::env::var("BENCH_ROLE") {
        if let Some(path) = std::env::var_os(COUNTS) {
            let socket = UnixListener::bind(path).expect("a socket");
            std::thread::spawn(move || report_counts(&socket));
        }
        if role == BRIDGE {
            recall_bridge::commands::serve::run().expect("the bridge runs");
        }
        return support::run(&role);
    }
    let broker = Kafka::start();
    let names: Vec<String> = settings("BENCH_SERVERS", "bare,forget,spool,bridge");
    let servers: Vec<Server> = names.iter().map(|name| start(name, &broker.address)).collect();
    let count = setting("BENCH_COUNT", 20_000);
    println!("broker: {}; each webhook, mean of {count}", broker.kind);
    println!("connections server   allocations reallocations  bytes");
    for server in &servers {
        Load { count, ..Load::closed(64, Duration::from_secs(30)) }.run(server.process.webhook);
    }
    for connections in settings("BENCH_CONNECTIONS", "16,64") {
        for server in &servers {
            measure(server, connections, count);
        }
    }
}

fn start(name: &str, kafka: &str) -> Server {
    let spool = spool();
    let counts = spool.path().join("counts");
    let more = [(COUNTS, counts.to_str().expect("UTF-8"))];
    let directory = spool.path().join("spool");
    let process = match name {
        BARE | FORGETS | AWAITS => role(name, kafka, &more).0,
        SPOOL => serve(role_command(BRIDGE), &directory, NOBODY, &more),
        BRIDGE => serve(role_command(BRIDGE), &directory, kafka, &more),
        _ => panic!("BENCH_SERVERS={name}: expected {BARE}, {FORGETS}, {AWAITS}, {SPOOL}, {BRIDGE}"),
    };
    Server { name: name.to_owned(), process, counts, _spool: spool }
}

fn measure(server: &Server, connections: usize, count: u64) {
    if server.name != SPOOL {
        server.process.until_idle();
    }
    let before = counts(&server.counts);
    let run = Load { count, ..Load::closed(connections, Duration::from_secs(30)) }.run(server.process.webhook);
    if server.name != SPOOL {
        server.process.until_idle();
    }
    let after = counts(&server.counts);
    assert_eq!(run.failed, 0, "every webhook is acknowledged");
    let [allocations, reallocations, bytes] = [0, 1, 2].map(|at| (after[at] - before[at]) as f64 / run.answers as f64);
    println!("{connections:>11} {:<8} {allocations:>11.1} {reallocations:>13.1} {bytes:>6.0}", server.name);
    report::json(&json!({
        "bench": "allocations", "server": server.name, "connections": connections,
        "allocations": allocations, "reallocations": reallocations, "bytes": bytes,
    }));
}

/// Answers each connection with the counts so far.
fn report_counts(socket: &UnixListener) {
    for stream in socket.incoming() {
        let stats = ALLOCATOR.stats();
        let text = format!("{} {} {}", stats.allocations, stats.reallocations, stats.bytes_allocated);
        let _ = stream.expect("a connection").write_all(text.as_bytes());
    }
}

/// Allocations, reallocations, and allocated bytes.
fn counts(socket: &Path) -> [usize; 3] {
    let mut text = String::new();
    UnixStream::connect(socket).expect("the role").read_to_string(&mut text).expect("its counts");
    let mut numbers = text.split(' ').map(|number| number.parse().expect("a number"));
    [(); 3].map(|()| numbers.next().expect("three numbers"))
}
