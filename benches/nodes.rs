//! Measures several bridges that publish to one topic: `cargo bench --bench nodes`.
//!
//! Each bridge has its own spool and its own open loop of webhooks at a fixed rate. A `read_committed` consumer in this
//! process reads the whole topic. At the end of each row the benchmark checks the promise from the topic alone, and fails
//! otherwise: the topic has every acknowledged recall exactly once, and the records of one bridge are in the order of
//! their sequence numbers within each partition.
//!
//! The bridges, the broker, the senders and the consumer share this machine. Keep the rate so low that the processors
//! are not the limit; the columns `µs` say what a record costs.
//!
//! | variable | default | |
//! |---|---|---|
//! | `BENCH_NODES` | `1,2,4,8` | bridges of each row |
//! | `BENCH_RATE` | `100` | webhooks per second of each bridge; a list gives a row for each |
//! | `BENCH_CONNECTIONS` | 16 | connections to each bridge |
//! | `BENCH_SECONDS` | 5 | length of each row |
//!
//! `BENCH_KAFKA`, `BENCH_SPOOL`, `BENCH_BRIDGE` and `BENCH_JSON` as for `ack`. Consumers of the mock cluster see records
//! whose transaction is not committed yet: use `BENCH_KAFKA=real` for figures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_precision_loss, clippy::pedantic)]
#![allow(missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use jiff::Timestamp;
use serde_json::json;
use support::kafka::Kafka;
use support::ledger::Ledger;
use support::load::{Load, Run};
use support::process::{Process, bridge};
use support::reader::{Reader, histogram};
use support::{report, setting, settings, spool};

struct Node {
    bridge: Process,
    /// Removed after the process has ended.
    _spool: tempfile::TempDir,
}

fn main() {
    if let Ok(role) = std::env::var("BENCH_ROLE") {
        return support::run(&role);
    }
    let broker = Kafka::start();
    let time = Duration::from_secs(setting("BENCH_SECONDS", 5));
    warm(&broker);
    println!("broker: {}; {} s in each row", broker.kind, time.as_secs());
    println!(
        "nodes  rate records/s    tx/s tx/s·node records/tx   tx ms lag p50     p99 ans p50     p99 broker µs bridge µs commits/s·node  ms  cores"
    );
    for rate in settings("BENCH_RATE", "100") {
        for count in settings("BENCH_NODES", "1,2,4,8") {
            row(&broker, count, rate, time);
        }
    }
}

/// Lets the broker compile its code, and creates its internal topics.
fn warm(broker: &Kafka) {
    let node = start(broker, support::kafka::TOPIC);
    Load::closed(8, Duration::from_secs(3)).run(node.bridge.webhook);
    node.bridge.until_idle();
}

fn start(broker: &Kafka, topic: &str) -> Node {
    let spool = spool();
    Node { bridge: bridge(spool.path(), &broker.address, &[("BRIDGE_TOPIC", topic)]), _spool: spool }
}

fn row(broker: &Kafka, count: usize, rate: u64, time: Duration) {
    let topic = format!("nodes-{rate}-{count}-{}", std::process::id());
    broker.topic(&topic);
    let reader = Reader::start(broker, &topic, Ledger::default(), Ledger::take);
    let nodes: Vec<Node> = (0..count).map(|_| start(broker, &topic)).collect();
    let load = Load { rate: Some(rate), ..Load::closed(setting("BENCH_CONNECTIONS", 16), time) };
    // Pages, connections and the transaction coordinators are ready after this.
    let warmed = run(&nodes, Load { time: Duration::from_secs(1), ..load });
    let (before, at) = (Totals::of(broker, &nodes), Timestamp::now());
    let runs = run(&nodes, load);
    let used = Totals::of(broker, &nodes).since(&before);
    let ledger = reader.stop();
    let sent: u64 = warmed.iter().chain(&runs).map(|run| run.answers).sum();
    for run in warmed.iter().chain(&runs) {
        assert_eq!(run.failed, 0, "every webhook is acknowledged");
    }
    let accepted: Vec<(String, u64)> = nodes.iter().map(|node| accepted(&node.bridge)).collect();
    assert_eq!(sent, accepted.iter().map(|(_, count)| count).sum::<u64>(), "each bridge has what was acknowledged");
    ledger.assert_exactly_once(&accepted);
    print(broker, (count, rate), &runs, &used, &ledger.lags(at));
}

/// Returns the name of the node's spool, and the number of records that it has accepted.
fn accepted(bridge: &Process) -> (String, u64) {
    let status = bridge.status_all();
    (status["spool_uuid"].as_str().expect("a UUID").to_owned(), status["accepted_seq"].as_u64().expect("a number"))
}

/// Sends to all nodes at once, and waits until they have published everything.
fn run(nodes: &[Node], load: Load) -> Vec<Run> {
    let runs = std::thread::scope(|scope| {
        let send = |node: &Node| {
            let target = node.bridge.webhook;
            scope.spawn(move || load.run(target))
        };
        let senders: Vec<_> = nodes.iter().map(send).collect();
        senders.into_iter().map(|sender| sender.join().expect("a sender")).collect()
    });
    nodes.iter().for_each(|node| node.bridge.until_idle());
    runs
}

/// What the bridges and the broker have done so far, in total.
struct Totals {
    broker_seconds: f64,
    bridge_seconds: f64,
    transactions: f64,
    transaction_seconds: f64,
    records: f64,
    commits: f64,
    commit_seconds: f64,
}

impl Totals {
    fn of(broker: &Kafka, nodes: &[Node]) -> Self {
        let sum = |name: &str| nodes.iter().map(|node| node.bridge.metric(name)).sum();
        Self {
            broker_seconds: broker.cpu_seconds(),
            bridge_seconds: nodes.iter().map(|node| node.bridge.tree_cpu_seconds()).sum(),
            transactions: sum("kafka_transaction_seconds_count"),
            transaction_seconds: sum("kafka_transaction_seconds_sum"),
            records: sum("records_published_total"),
            commits: sum("spool_commit_seconds_count"),
            commit_seconds: sum("spool_commit_seconds_sum"),
        }
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            broker_seconds: self.broker_seconds - before.broker_seconds,
            bridge_seconds: self.bridge_seconds - before.bridge_seconds,
            transactions: self.transactions - before.transactions,
            transaction_seconds: self.transaction_seconds - before.transaction_seconds,
            records: self.records - before.records,
            commits: self.commits - before.commits,
            commit_seconds: self.commit_seconds - before.commit_seconds,
        }
    }
}

fn print(broker: &Kafka, (count, rate): (usize, u64), runs: &[Run], used: &Totals, lags: &Histogram<u64>) {
    let nodes = count as f64;
    let seconds = runs.iter().map(|run| run.seconds).fold(0.0, f64::max);
    let mut answers = histogram();
    runs.iter().for_each(|run| answers.add(&run.latency).expect("the same bounds"));
    let ms = |times: &Histogram<u64>, quantile| times.value_at_quantile(quantile) as f64 / 1e3;
    let figures = [
        ("records_per_s", 9, 0, used.records / seconds),
        ("tx_per_s", 7, 0, used.transactions / seconds),
        ("tx_per_s_node", 9, 1, used.transactions / seconds / nodes),
        ("records_per_tx", 10, 2, used.records / used.transactions),
        ("tx_ms", 7, 2, used.transaction_seconds / used.transactions * 1e3),
        ("lag_p50_ms", 7, 1, ms(lags, 0.5)),
        ("lag_p99_ms", 7, 1, ms(lags, 0.99)),
        ("answer_p50_ms", 7, 2, ms(&answers, 0.5)),
        ("answer_p99_ms", 7, 2, ms(&answers, 0.99)),
        ("broker_us", 9, 0, used.broker_seconds / used.records * 1e6),
        ("bridge_us", 9, 0, used.bridge_seconds / used.records * 1e6),
        ("commits_per_s_node", 9, 1, used.commits / seconds / nodes),
        ("commit_ms", 7, 2, used.commit_seconds / used.commits * 1e3),
        ("cores", 6, 2, (used.broker_seconds + used.bridge_seconds) / seconds),
    ];
    let row: String = figures.iter().map(|(_, width, digits, value)| format!(" {value:>width$.digits$}")).collect();
    println!("{count:>5} {rate:>5}{row}");
    let figures: BTreeMap<_, _> = figures.iter().map(|(name, _, _, value)| (*name, *value)).collect();
    report::json(&json!({ "bench": "nodes", "nodes": count, "rate": rate, "broker": broker.kind, "figures": figures }));
}
