//! Measures the time from the receipt of a webhook until a consumer has its record: `cargo bench --bench lag`.
//!
//! The sender is an open loop at each rate of `BENCH_RATE` (10,200,2000). The consumer reads with `read_committed` and
//! librdkafka's other defaults, in this process; the time of receipt is the record's `received_at`. Its resolution is 1 ms.
//! Consumers of the mock cluster also see records whose transaction is not committed yet, and it answers a fetch only
//! after the wait that the consumer allows (set to 10 ms there): use `BENCH_KAFKA=real`.
//!
//! `BENCH_SECONDS` (10), `BENCH_DELIVERY` (exactly_once,at_least_once), `BENCH_KAFKA`, `BENCH_SPOOL` and `BENCH_JSON` as
//! for `ack`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_precision_loss, clippy::pedantic)]
#![allow(missing_docs)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use jiff::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::json;
use support::kafka::Kafka;
use support::load::Load;
use support::process::bridge;
use support::{report, setting, settings, spool};

const CONNECTIONS: usize = 64;
const METADATA: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

fn main() {
    if let Ok(role) = std::env::var("BENCH_ROLE") {
        return support::run(&role);
    }
    let broker = Kafka::start();
    let time = Duration::from_secs(setting("BENCH_SECONDS", 10));
    println!("broker: {}; {} s at each rate", broker.kind, time.as_secs());
    println!("delivery           rate  records  lag p50 ms   p99 ms   max ms  answer p50 ms   p99 ms");
    let deliveries: Vec<String> = settings("BENCH_DELIVERY", "exactly_once,at_least_once");
    for delivery in &deliveries {
        let topic = format!("lag-{}-{}", delivery.replace('_', "-"), std::process::id());
        broker.topic(&topic);
        let spool = spool();
        let bridge = bridge(spool.path(), &broker.address, &[("BRIDGE_TOPIC", &topic), ("BRIDGE_DELIVERY", delivery)]);
        // Connections, pages and the transaction coordinator are ready after this.
        Load::closed(8, Duration::from_secs(1)).run(bridge.webhook);
        bridge.until_idle();
        for rate in settings("BENCH_RATE", "10,200,2000") {
            let reader = Reader::start(&broker, &topic);
            let load = Load { rate: Some(rate), ..Load::closed(CONNECTIONS, time) };
            let run = load.run(bridge.webhook);
            bridge.until_idle();
            let lag = reader.stop();
            let ms = |quantile| lag.value_at_quantile(quantile) as f64 / 1e3;
            println!(
                "{delivery:<14} {rate:>8} {:>8} {:>11.1} {:>8.1} {:>8.1} {:>14.2} {:>8.2}",
                lag.len(),
                ms(0.5),
                ms(0.99),
                ms(1.0),
                run.ms(0.5),
                run.ms(0.99)
            );
            assert_eq!(lag.len(), run.answers, "the consumer has every acknowledged recall");
            report::json(&json!({
                "bench": "lag", "delivery": delivery, "rate": rate, "records": lag.len(), "p50_ms": ms(0.5),
                "p99_ms": ms(0.99), "max_ms": ms(1.0), "broker": broker.kind,
            }));
        }
    }
}

/// A consumer in its own thread, from the end of the topic on.
struct Reader {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Histogram<u64>>,
}

impl Reader {
    fn start(broker: &Kafka, topic: &str) -> Self {
        let mut config = ClientConfig::new();
        if broker.is_mock() {
            config.set("fetch.wait.max.ms", "10");
        }
        config.set("bootstrap.servers", &broker.address).set("group.id", "lag").set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.set("isolation.level", "read_committed").create().expect("a consumer");
        let mut list = TopicPartitionList::new();
        let metadata = consumer.fetch_metadata(Some(topic), METADATA).expect("metadata");
        for partition in metadata.topics()[0].partitions() {
            let end = consumer.fetch_watermarks(topic, partition.id(), METADATA).expect("the end").1;
            list.add_partition_offset(topic, partition.id(), Offset::Offset(end)).expect("a partition");
        }
        consumer.assign(&list).expect("assigned");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        Self { stop, thread: std::thread::spawn(move || read(&consumer, &stopped)) }
    }

    /// Returns the lags in microseconds, after the consumer has read to the end.
    fn stop(self) -> Histogram<u64> {
        std::thread::sleep(POLL * 5);
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the consumer")
    }
}

fn read(consumer: &BaseConsumer, stop: &AtomicBool) -> Histogram<u64> {
    let mut lags = Histogram::new_with_bounds(1, 600_000_000, 3).expect("bounds");
    while !stop.load(Ordering::Relaxed) {
        let Some(message) = consumer.poll(POLL) else { continue };
        let message = message.expect("a record");
        let now = Timestamp::now();
        let lag = now.duration_since(received_at(message.payload().expect("a value")));
        lags.saturating_record(u64::try_from(lag.as_micros()).unwrap_or(0));
    }
    lags
}

fn received_at(value: &[u8]) -> Timestamp {
    const FIELD: &str = "\"received_at\":\"";
    let text = std::str::from_utf8(value).expect("UTF-8");
    let from = text.find(FIELD).expect("received_at") + FIELD.len();
    let len = text[from..].find('"').expect("its end");
    text[from..from + len].parse().expect("a time")
}
