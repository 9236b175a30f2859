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

use std::time::Duration;

use serde_json::json;
use support::kafka::Kafka;
use support::load::Load;
use support::process::bridge;
use support::reader::{Reader, histogram, lag_us};
use support::{report, setting, settings, spool};

const CONNECTIONS: usize = 64;
/// Webhooks per second before the measurement.
const WARM_RATE: u64 = 500;

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
        // A broker of a service has compiled what it does with a transaction; a new one needs some hundred of them.
        Load { rate: Some(WARM_RATE), ..Load::closed(CONNECTIONS, time) }.run(bridge.webhook);
        bridge.until_idle();
        for rate in settings::<u64>("BENCH_RATE", "10,200,2000") {
            let reader =
                Reader::start(&broker, &topic, histogram(), |lags, record| lags.saturating_record(lag_us(record)));
            // The bridge closes a new connection that sends nothing for 5 s.
            let connections = CONNECTIONS.min((rate / 5).max(1) as usize);
            let load = Load { rate: Some(rate), ..Load::closed(connections, time) };
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
