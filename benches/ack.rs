//! Measures acknowledged webhooks of the bridge beside servers that promise less: `cargo bench --bench ack`.
//!
//! All servers get the same load from one generator, in turn within each round, with the same number of workers:
//!
//! - `bare`: actix-web, reads the body and answers a constant.
//! - `forget`: actix-web and librdkafka, checks Sign, makes the bridge's record, passes it to librdkafka and answers.
//! - `await`: the same, and answers after the broker has acknowledged the record.
//! - `bridge`: this build. `before`: the binary that `BENCH_BEFORE` names, to compare two releases.
//!
//! The result is the ratio within each round; absolute figures depend on the machine. Every recall is different. Processor
//! time, context switches and written bytes are counted until the server has published everything. Allocations are counted
//! by `cargo bench --bench allocations`.
//!
//! | variable | default | |
//! |---|---|---|
//! | `BENCH_CONNECTIONS` | `1,16,64,128,512` | connections, in a closed loop |
//! | `BENCH_RATE` | | webhooks per second of an open loop instead, for example `200,2000,10000`, beside one `fdatasync` |
//! | `BENCH_SERVERS` | `bare,forget,await,bridge` | with `BENCH_RATE`: `bare,bridge` |
//! | `BENCH_KAFKA` | mock cluster | `real` starts an Apache Kafka, `host:port` names a broker |
//! | `BENCH_ROUNDS`, `BENCH_SECONDS` | 3, 2 | rounds, and seconds of each measurement |
//! | `BENCH_ACCOUNTS` | 50 | accounts, spread over the connections |
//! | `BENCH_SPOOL` | `.` | directory on the disk to use |
//! | `BENCH_JSON` | | a file that gets each measurement as a line of JSON |
//! | `BENCH_BEFORE` | | another binary of the bridge |
//!
//! Variables of the bridge are passed on: `KAFKA_COMPRESSION_TYPE=lz4` applies to all servers that publish.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_precision_loss, clippy::pedantic)]
#![allow(missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use support::handlers::{AWAITS, BARE, FORGETS};
use support::kafka::Kafka;
use support::load::{Load, Run};
use support::process::{Process, Usage, bridge, role, serve};
use support::{disk, median, report, setting, settings, spool};

/// Connections of the open loop: enough that a request seldom waits for one.
const OPEN_CONNECTIONS: usize = 128;

struct Server {
    name: String,
    process: Process,
    /// Removed after the process has ended.
    _spool: tempfile::TempDir,
}

/// One measurement, by the names of its figures.
type Figures = BTreeMap<&'static str, f64>;

fn main() {
    if let Ok(role) = std::env::var("BENCH_ROLE") {
        return support::run(&role);
    }
    let rates: Vec<u64> =
        if setting("BENCH_RATE", String::new()).is_empty() { vec![] } else { settings("BENCH_RATE", "") };
    let broker = Kafka::start();
    let chosen = if rates.is_empty() { "bare,forget,await,bridge" } else { "bare,bridge" };
    let mut names: Vec<String> = settings("BENCH_SERVERS", chosen);
    if std::env::var_os("BENCH_BEFORE").is_some() {
        names.push("before".to_owned());
    }
    let servers: Vec<Server> = names.iter().map(|name| start(name, &broker.address)).collect();
    let (rounds, seconds) = (setting("BENCH_ROUNDS", 3), setting("BENCH_SECONDS", 2));
    let time = Duration::from_secs(seconds);
    println!("broker: {}; {rounds} rounds of {seconds} s for each server; medians", broker.kind);
    for server in &servers {
        Load::closed(64, Duration::from_secs(1)).run(server.process.webhook);
        server.process.until_idle();
    }
    if rates.is_empty() {
        header("connections", &["÷bare", "÷forget", "cpu÷forget"]);
        for connections in settings("BENCH_CONNECTIONS", "1,16,64,128,512") {
            rows("connections", connections, &servers, rounds, Load::closed(connections, time));
        }
    } else {
        header("rate", &["p99÷floor"]);
        for rate in rates {
            let load = Load { rate: Some(rate), ..Load::closed(OPEN_CONNECTIONS, time) };
            rows("rate", rate as usize, &servers, rounds, load);
        }
    }
}

fn start(name: &str, kafka: &str) -> Server {
    let spool = spool();
    let process = match name {
        BARE | FORGETS | AWAITS => role(name, kafka, &[]).0,
        "bridge" => bridge(spool.path(), kafka, &[]),
        "before" => {
            let binary = std::env::var_os("BENCH_BEFORE").expect("BENCH_BEFORE is set");
            serve(Command::new(binary), spool.path(), kafka, &[])
        }
        _ => panic!("BENCH_SERVERS={name}: expected {BARE}, {FORGETS}, {AWAITS}, bridge, before"),
    };
    Server { name: name.to_owned(), process, _spool: spool }
}

/// Measures all servers in turn, and prints the medians of the rounds.
fn rows(what: &str, size: usize, servers: &[Server], rounds: usize, load: Load) {
    let mut all: Vec<Vec<Figures>> = vec![Vec::new(); servers.len()];
    let mut syncs = Vec::new();
    for round in 0..rounds {
        if load.rate.is_some() {
            // On the disk of the spools.
            let directory = spool();
            let times = disk::fdatasync(directory.path(), disk::BLOCK_BYTES, Duration::from_secs(1));
            syncs.push([times.value_at_quantile(0.5) as f64 / 1e3, times.value_at_quantile(0.99) as f64 / 1e3]);
        }
        for (server, figures) in servers.iter().zip(&mut all) {
            let measured = measure(&server.process, load);
            report::json(
                &json!({ "bench": "ack", what: size, "server": server.name, "round": round, "figures": measured }),
            );
            figures.push(measured);
        }
    }
    let of = |name: &str| servers.iter().position(|server| server.name == name).map(|at| &all[at]);
    let sync = [0, 1].map(|at| median(syncs.iter().map(|sync| sync[at])));
    if load.rate.is_some() {
        println!("{size:>11} {:<7} {:>10} {:>8.2} {:>8.2}", "fsync", "", sync[0], sync[1]);
    }
    for (server, figures) in servers.iter().zip(&all) {
        let ratio = |name: &str, field: &str| {
            let Some(reference) = of(name) else { return f64::NAN };
            median(figures.iter().zip(reference).map(|(one, other)| one[field] / other[field]))
        };
        let ratios: Vec<(&str, f64)> = if load.rate.is_some() {
            let floor = of(BARE).map_or(f64::NAN, |bare| median(bare.iter().map(|one| one["p99_ms"])) + sync[1]);
            vec![("p99_by_floor", median(figures.iter().map(|one| one["p99_ms"])) / floor)]
        } else {
            vec![
                ("rate_by_bare", ratio(BARE, "rate")),
                ("rate_by_forget", ratio(FORGETS, "rate")),
                ("cpu_by_forget", ratio(FORGETS, "cpu_us")),
            ]
        };
        let middle: Figures =
            figures[0].keys().map(|name| (*name, median(figures.iter().map(|one| one[name])))).collect();
        show(size, &server.name, &middle, &ratios);
        let ratios: BTreeMap<_, _> = ratios.into_iter().collect();
        report::json(&json!({
            "bench": "ack", what: size, "server": server.name, "median": middle, "ratios": ratios,
            "fdatasync_p50_ms": sync[0], "fdatasync_p99_ms": sync[1],
        }));
    }
}

fn measure(process: &Process, load: Load) -> Figures {
    process.until_idle();
    process.forget_peak();
    let before = process.usage();
    let run = load.run(process.webhook);
    process.until_idle();
    figures(&run, before, process.usage(), process.peak())
}

fn figures(run: &Run, before: Usage, after: Usage, peak: u64) -> Figures {
    let each = |total: f64| total / run.answers.max(1) as f64;
    BTreeMap::from([
        ("rate", run.rate()),
        ("p50_ms", run.ms(0.5)),
        ("p99_ms", run.ms(0.99)),
        ("p999_ms", run.ms(0.999)),
        ("cpu_us", each((after.cpu_seconds - before.cpu_seconds) * 1e6)),
        ("switches", each((after.switches - before.switches) as f64)),
        ("written_bytes", each((after.written - before.written) as f64)),
        ("peak_mb", peak as f64 / f64::from(1 << 20)),
        ("group", (after.events - before.events) / (after.groups - before.groups)),
        ("failed", run.failed as f64),
        ("sender_busy", run.busy),
    ])
}

fn header(what: &str, ratios: &[&str]) {
    print!("{what:>11} server  webhooks/s   p50 ms   p99 ms p99.9 ms   cpu µs switches disk B  peak MB  group  sender");
    println!("{}", ratios.iter().map(|name| format!(" {name:>10}")).collect::<String>());
}

fn show(size: usize, name: &str, of: &Figures, ratios: &[(&str, f64)]) {
    let group = if of["group"].is_nan() { "-".to_owned() } else { format!("{:.1}", of["group"]) };
    print!(
        "{size:>11} {name:<7} {:>10.0} {:>8.2} {:>8.2} {:>8.2} {:>8.1} {:>8.2} {:>6.0} {:>8.0} {group:>6} {:>6.0}%",
        of["rate"],
        of["p50_ms"],
        of["p99_ms"],
        of["p999_ms"],
        of["cpu_us"],
        of["switches"],
        of["written_bytes"],
        of["peak_mb"],
        of["sender_busy"] * 100.0
    );
    let ratios: String = ratios.iter().map(|(_, ratio)| format!(" {ratio:>10.3}")).collect();
    println!("{ratios}{}", if of["failed"] > 0.0 { format!("  {:.0} FAILED", of["failed"]) } else { String::new() });
}
