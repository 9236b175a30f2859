//! The start and the end of a test: creates a topic with a bridge, and compares the responses to the senders with the
//! records in the topic.

use std::time::Duration;

use rustix::process::Signal;

use crate::audit::{Audit, audit};
use crate::bridge::{Bridge, Setup};
use crate::broker::Broker;
use crate::load::SentWebhook;
use crate::topic::{Record, Topic};
use crate::wait::{assert_accounts, until_drained, until_settled};

/// Longer than the shutdown grace period.
const STOP: Duration = Duration::from_secs(30);

/// Creates a topic of six partitions with the bridge's own settings, and returns a bridge for it.
pub(crate) fn setup(broker: &Broker, topic: &str) -> Setup {
    broker.create_topic(topic, 6, &[("message.timestamp.type", "LogAppendTime")]);
    quick(Setup::new(&broker.bootstrap()).env("BRIDGE_TOPIC", topic))
}

/// Sets short pauses between reconnects, so that the bridge finds a broker soon after an outage.
pub(crate) fn quick(setup: Setup) -> Setup {
    setup.env("KAFKA_RECONNECT_BACKOFF_MS", 20).env("KAFKA_RECONNECT_BACKOFF_MAX_MS", 200)
}

/// Waits until all events are published, checks the counters, and stops the bridge as an operator does.
#[track_caller]
pub(crate) fn stop(bridge: &mut Bridge) {
    until_drained(bridge);
    assert_accounts(bridge);
    terminate(bridge);
}

/// Stops a bridge as an operator does.
#[track_caller]
pub(crate) fn terminate(bridge: &mut Bridge) {
    bridge.process.signal(Signal::TERM);
    assert_eq!(bridge.process.wait_exit(STOP), 0, "exit code after SIGTERM");
}

/// Waits until no transaction is open, and returns the records of a `read_committed` consumer by partition and offset.
#[track_caller]
pub(crate) fn read(broker: &Broker, topic: &str) -> Vec<Record> {
    until_settled(&broker.client(), topic);
    let mut records = Topic::new(&broker.client(), topic).read();
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}

/// Reads the topic. Panics unless it contains the acknowledged recalls once and in order.
#[track_caller]
pub(crate) fn assert_exactly_once(broker: &Broker, topic: &str, ledger: &[SentWebhook]) -> Audit {
    let audit = audit(ledger, &read(broker, topic));
    audit.assert_clean();
    audit
}
