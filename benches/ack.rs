//! Measures acknowledged webhooks per second and compares them with a bare handler: `cargo bench --bench ack`.
//!
//! Both servers get the same load, in turn, with the same number of workers: a bare actix-web handler that returns a
//! constant, and the whole bridge (`Sign` check, commit with `synchronous=FULL`, running publisher). The result is
//! the ratio of each pair. Absolute figures depend on the machine.
//!
//! `BENCH_KAFKA=host:port` publishes to that broker instead of librdkafka's mock cluster. `BENCH_SPOOL` names a
//! directory on the disk to use. `BENCH_ROUNDS`, `BENCH_SECONDS` and `BENCH_CONNECTIONS` change the load.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss, clippy::pedantic, missing_docs)]

mod support;

use std::time::Duration;

use support::{Process, Run, bridge, load, median, role};

const TOPIC: &str = "official-account.recalls";

fn main() {
    match std::env::var("BENCH_ROLE").as_deref() {
        Ok("bare") => return bare(),
        Ok("broker") => return broker(),
        _ => {}
    }
    let number = |name: &str, default: u64| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let (rounds, seconds) = (number("BENCH_ROUNDS", 5), number("BENCH_SECONDS", 4));
    let connections = number("BENCH_CONNECTIONS", 128) as usize;

    let (child, address) = role("bare");
    let bare = Process { child, webhook: address.parse().expect("an address"), ops: None };
    let mut broker = None;
    let kafka = std::env::var("BENCH_KAFKA").unwrap_or_else(|_| {
        let (child, address) = role("broker");
        broker = Some(Process { child, webhook: "127.0.0.1:1".parse().expect("an address"), ops: None });
        address
    });
    let base = std::env::var("BENCH_SPOOL").unwrap_or_else(|_| ".".to_owned());
    let spool = tempfile::tempdir_in(base).expect("a spool directory");
    let bridge = bridge(spool.path(), &kafka, &[]);

    let time = Duration::from_secs(seconds);
    let run = |process: &Process| {
        let cpu = process.cpu_seconds();
        let run = load(process.webhook, connections, 1, time, u64::MAX);
        let cpu = (process.cpu_seconds() - cpu) * 1e6 / run.answers as f64;
        (run, cpu)
    };
    load(bare.webhook, connections, 1, Duration::from_secs(1), u64::MAX);
    load(bridge.webhook, connections, 1, Duration::from_secs(1), u64::MAX);

    println!("{connections} connections, {rounds} rounds of {seconds} s each; kafka {kafka}");
    println!("          webhooks/s      p50 ms    p99 ms    max ms   CPU µs/webhook");
    let mut ratios = Vec::new();
    for _ in 0..rounds {
        let (one, cpu) = run(&bare);
        show("bare", &one, cpu);
        let means = ["spool_commit_seconds", "spool_group_events", "kafka_transaction_seconds"];
        let totals =
            || means.map(|name| (bridge.metric(&format!("{name}_sum")), bridge.metric(&format!("{name}_count"))));
        let before = totals();
        let (other, cpu) = run(&bridge);
        show("bridge", &other, cpu);
        let after = totals();
        let mean = |at: usize| (after[at].0 - before[at].0) / (after[at].1 - before[at].1).max(1.0);
        println!(
            "          commit {:.2} ms of {:.0} events, transaction {:.1} ms",
            mean(0) * 1000.0,
            mean(1),
            mean(2) * 1000.0
        );
        ratios.push(other.rate() / one.rate());
        println!(
            "          ratio {:.3}   waiting in the spool {}   resident {} MB",
            ratios.last().expect("just pushed"),
            bridge.status("depth"),
            bridge.resident() >> 20
        );
    }
    println!("bridge / bare: median {:.3} of {ratios:.3?}", median(&mut ratios.clone()));
    drop(broker);
}

fn show(name: &str, run: &Run, cpu: f64) {
    println!(
        "{name:<8} {:>11.0} {:>11.2} {:>9.2} {:>9.2} {cpu:>14.1}{}",
        run.rate(),
        run.ms(0.5),
        run.ms(0.99),
        run.ms(1.0),
        if run.failed > 0 { format!("   {} FAILED", run.failed) } else { String::new() }
    );
}

/// A handler that reads the body and returns a constant.
fn bare() {
    actix_web::rt::System::new().block_on(async {
        let server = actix_web::HttpServer::new(|| {
            actix_web::App::new().default_service(actix_web::web::to(|_body: actix_web::web::Bytes| async {
                actix_web::HttpResponse::Ok()
                    .content_type(actix_web::http::header::ContentType::json())
                    .body(recall_bridge::webhook::ok())
            }))
        })
        .workers(std::thread::available_parallelism().map_or(2, usize::from))
        .bind("127.0.0.1:0")
        .expect("a port");
        println!("{}", server.addrs()[0]);
        server.run().await.expect("the server runs");
    });
}

fn broker() {
    let cluster = rdkafka::mocking::MockCluster::new(1).expect("a mock cluster");
    cluster.create_topic(TOPIC, 6, 1).expect("a topic");
    println!("{}", cluster.bootstrap_servers());
    loop {
        std::thread::park();
    }
}
