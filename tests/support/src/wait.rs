//! Waits for conditions. Every wait has a timeout, and no test uses a bare sleep.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::metadata::MetadataPartition;

use crate::bridge::Bridge;

/// Timeout with a mock broker. Only a failing test reaches it.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Timeout with a real Kafka: long enough for a broker restart, a transaction timeout and a slow machine together.
pub const DEADLINE: Duration = Duration::from_secs(90);
/// The interval between two checks.
pub(crate) const POLL: Duration = Duration::from_millis(5);
const TIMEOUT: Duration = Duration::from_secs(10);

/// Calls `ask` until it returns a value. Panics after the timeout.
#[track_caller]
pub fn within<T>(limit: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "timed out after {} s waiting until {what}", limit.as_secs());
        thread::sleep(POLL);
    }
}

/// Calls `ask` until it returns a value. Panics after [`PATIENCE`].
#[track_caller]
pub fn eventually<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, ask)
}

/// Calls `ask` until it returns a value. Panics after [`DEADLINE`].
#[track_caller]
pub fn until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, what, ask)
}

/// Waits until the condition is true.
#[track_caller]
pub fn until_true(what: &str, mut ask: impl FnMut() -> bool) {
    until(what, || ask().then_some(()));
}

/// Waits until all accepted events are published.
#[track_caller]
pub fn until_drained(bridge: &Bridge) {
    until_true("all that was accepted is published", || bridge.status()["depth"] == 0);
}

/// Waits until the publisher is in this state.
#[track_caller]
pub fn until_kafka_is(bridge: &Bridge, state: &str) {
    until_true(&format!("the publisher is {state}"), || bridge.status()["kafka"]["state"] == state);
}

/// Returns the value of a counter or gauge as an integer.
#[track_caller]
pub fn count(bridge: &Bridge, metric: &str) -> u64 {
    whole(bridge.metric(metric))
}

/// Checks the identity of the contract's section 8 within one scrape.
#[track_caller]
pub fn assert_accounts(bridge: &Bridge) {
    let metrics = bridge.metrics();
    let at = |name: &str| whole(metrics[&format!("recall_bridge_{name}")]);
    assert_eq!(
        at("spool_recovered_events") + at("events_accepted_total"),
        at("records_published_total") + at("records_quarantined_total") + at("spool_events"),
        "found at start + accepted = published + quarantined + waiting"
    );
}

fn whole(value: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, far below 2^52")]
    let whole = value as u64;
    whole
}

/// Returns the high watermark of every partition. It counts uncommitted records.
#[track_caller]
pub fn ends(client: &ClientConfig, topic: &str) -> BTreeMap<i32, i64> {
    ends_as(client, topic, "read_uncommitted")
}

/// Waits until no transaction is open in the topic. The broker responds to a commit before consumers can read its
/// last record.
#[track_caller]
pub fn until_settled(client: &ClientConfig, topic: &str) {
    until_true("no transaction is open in the topic", || {
        ends_as(client, topic, "read_committed") == ends(client, topic)
    });
}

#[track_caller]
fn ends_as(client: &ClientConfig, topic: &str, isolation: &str) -> BTreeMap<i32, i64> {
    let consumer: BaseConsumer = client.clone().set("isolation.level", isolation).create().expect("a consumer");
    let metadata = until("the topic's metadata", || consumer.fetch_metadata(Some(topic), TIMEOUT).ok());
    let end = |partition| until("an end of a partition", || consumer.fetch_watermarks(topic, partition, TIMEOUT).ok());
    let partitions = metadata.topics()[0].partitions().iter().map(MetadataPartition::id);
    partitions.map(|partition| (partition, end(partition).1)).collect()
}
