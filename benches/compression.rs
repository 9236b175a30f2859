//! Measures the cost of each compression per record: bytes to the broker and processor time. `cargo bench --bench
//! compression`.
//!
//! Publishes the bridge's records with librdkafka to its mock cluster in another process, in groups as large as the
//! bridge's transactions. All codecs take turns within one run. Each figure is the median of the rounds.
//! `BENCH_ROUNDS` changes their number.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_precision_loss, clippy::pedantic)]
#![allow(missing_docs)]

mod support;

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Statistics};
use recall_bridge::events::recall::RecalledMessage;
use recall_bridge::record::Record;
use support::kafka::Kafka;

const TOPIC: &str = "compression";
const CODECS: [&str; 5] = ["none", "lz4", "zstd", "gzip", "snappy"];
/// Records in a group, and the number of groups, for a quiet node, a busy node and a backlog.
const LOADS: [(usize, usize); 3] = [(1, 300), (100, 100), (10_000, 5)];

const STATISTICS: Duration = Duration::from_millis(100);

/// Stores the number of bytes that librdkafka has sent.
#[derive(Default)]
struct Sent(Mutex<i64>);

impl ClientContext for Sent {
    fn stats(&self, statistics: Statistics) {
        *self.0.lock().unwrap() = statistics.tx_bytes;
    }
}

impl rdkafka::producer::ProducerContext for Sent {
    type DeliveryOpaque = ();
    fn delivery(&self, result: &rdkafka::producer::DeliveryResult<'_>, (): ()) {
        assert!(result.is_ok(), "{:?}", result.as_ref().err());
    }
}

type Producer = ThreadedProducer<Sent>;

fn main() {
    if let Ok(role) = std::env::var("BENCH_ROLE") {
        return support::run(&role);
    }
    let rounds: usize = std::env::var("BENCH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    let broker = Kafka::start();
    broker.topic(TOPIC);
    println!("records per group, codec: bytes and microseconds of processor time, per record");
    for (records, groups) in LOADS {
        let mut figures = vec![Vec::new(); CODECS.len()];
        for round in 0..rounds {
            for (codec, figures) in CODECS.iter().zip(&mut figures) {
                figures.push(measure(&broker.address, codec, records, groups, round));
            }
        }
        for (codec, figures) in CODECS.iter().zip(figures) {
            let bytes = median(figures.iter().map(|(bytes, _)| *bytes));
            let (least, micros, most) = spread(figures.iter().map(|(_, micros)| *micros));
            println!("{records:>6} {codec:<6} {bytes:>7.0} B  {micros:>7.2} us ({least:.2} to {most:.2})");
        }
    }
}

/// Bytes and microseconds per record.
fn measure(address: &str, codec: &str, records: usize, groups: usize, round: usize) -> (f64, f64) {
    let producer: Producer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("partitioner", "murmur2_random")
        .set("compression.type", codec)
        .set("statistics.interval.ms", STATISTICS.as_millis().to_string())
        .create_with_context(Sent::default())
        .expect("a producer");
    let encoded: Vec<Vec<u8>> = (0..records.max(1000)).map(|number| encode(number, round)).collect();
    let total = records * groups;
    let (before, bytes) = (cpu(), sent(&producer));
    let mut numbers = 0..total;
    for _ in 0..groups {
        for number in numbers.by_ref().take(records) {
            send(&producer, &encoded[number % encoded.len()], number);
        }
        // `flush` of a threaded producer waits in steps of 100 ms.
        while producer.in_flight_count() > 0 {
            std::thread::sleep(Duration::from_micros(500));
        }
    }
    let used = cpu() - before;
    // The statistics of the last group come with the next interval.
    ((sent(&producer) - bytes) as f64 / total as f64, used * 1e6 / total as f64)
}

fn send(producer: &Producer, encoded: &[u8], number: usize) {
    let record = Record::decode(encoded).expect("a record");
    let seq = number.to_string();
    let own = [("bridge_spool", "0198c0de-1111-7abc-8def-0123456789ab"), ("bridge_seq", seq.as_str())];
    let mut headers = OwnedHeaders::new();
    for (key, value) in record.headers() {
        headers = headers.insert(Header { key, value: Some(value) });
    }
    for (key, value) in own {
        headers = headers.insert(Header { key, value: Some(value) });
    }
    let mut message = BaseRecord::to(TOPIC).key(record.key).payload(record.value).headers(headers);
    message.timestamp = Some(record.timestamp_ms);
    let mut left = Some(message);
    while let Some(message) = left.take() {
        if let Err((error, back)) = producer.send(message) {
            assert_eq!(error.rdkafka_error_code(), Some(rdkafka::types::RDKafkaErrorCode::QueueFull), "{error}");
            left = Some(back);
            producer.poll(Duration::from_millis(1));
        }
    }
}

/// Returns a typical recall: a few hundred accounts, and keys with little in common.
fn encode(number: usize, round: usize) -> Vec<u8> {
    let random = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ round as u64;
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_millis() as i64;
    let mut out = Vec::new();
    RecalledMessage {
        sdk_app_id: 1_400_000_001,
        official_account: &format!("@TOA#_{}", random % 300),
        msg_key: &format!("{}_{}_{}", number % 5000, random >> 32, 1_698_741_698 + number / 7),
        recalled_at_ms: Some(now - 60 - (random % 50) as i64),
        received_at_ms: now,
        opt_platform: Some(["RESTAPI", "Web", "Android", "iOS"][(random % 4) as usize]),
        client_ip: Some(&format!("10.{}.{}.{}", random % 4, (random >> 8) % 256, (random >> 16) % 256)),
        traceparent: None,
    }
    .encode(&mut out);
    out
}

/// Returns the bytes that the producer has sent, after its statistics have stopped changing.
fn sent(producer: &Producer) -> i64 {
    let mut last = -1;
    loop {
        std::thread::sleep(STATISTICS * 3);
        let now = *producer.context().0.lock().unwrap();
        if now == last {
            return now;
        }
        last = now;
    }
}

/// User and system time of this process so far, in seconds (Linux).
fn cpu() -> f64 {
    let schedstat = std::fs::read_dir("/proc/self/task").expect("Linux").flatten();
    let nanos = schedstat.filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    nanos.sum::<f64>() / 1e9
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    spread(values).1
}

/// Returns minimum, median and maximum.
fn spread(values: impl Iterator<Item = f64>) -> (f64, f64, f64) {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    (sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1])
}
