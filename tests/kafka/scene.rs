//! Beginning and end of a test: a topic with a bridge before it, and the comparison of what the
//! senders were told with what the topic holds.

use std::time::Duration;

use rustix::process::Signal;

use crate::audit::{Audit, audit};
use crate::bridge::{Bridge, Setup};
use crate::broker::Broker;
use crate::load::Delivery;
use crate::topic::{Record, Topic};
use crate::wait::{assert_accounts, until_drained, until_settled};

/// Longer than the grace time of a stop.
const STOP: Duration = Duration::from_secs(30);

/// A topic of six partitions, as the bridge would make it, and a bridge for it.
pub(crate) fn setup(broker: &Broker, topic: &str) -> Setup {
    broker.create_topic(topic, 6, &[("message.timestamp.type", "LogAppendTime")]);
    quick(Setup::new(&broker.bootstrap()).env("BRIDGE_TOPIC", topic))
}

/// Finds a broker soon after it was away.
pub(crate) fn quick(setup: Setup) -> Setup {
    setup.env("KAFKA_RECONNECT_BACKOFF_MS", 20).env("KAFKA_RECONNECT_BACKOFF_MAX_MS", 200)
}

/// Ends a bridge as an operator does, with all published and its figures right.
#[track_caller]
pub(crate) fn stop(bridge: &mut Bridge) {
    until_drained(bridge);
    assert_accounts(bridge);
    terminate(bridge);
}

/// Ends a bridge as an operator does.
#[track_caller]
pub(crate) fn terminate(bridge: &mut Bridge) {
    bridge.process.signal(Signal::TERM);
    assert_eq!(bridge.process.wait_exit(STOP), 0, "exit code after SIGTERM");
}

/// All that a consumer in `read_committed` will ever get, partition by partition.
#[track_caller]
pub(crate) fn read(broker: &Broker, topic: &str) -> Vec<Record> {
    until_settled(&broker.client(), topic);
    let mut records = Topic::new(&broker.client(), topic).read();
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}

/// Reads the topic and insists that it holds what was acknowledged, once and in order.
#[track_caller]
pub(crate) fn assert_exactly_once(broker: &Broker, topic: &str, ledger: &[Delivery]) -> Audit {
    let audit = audit(ledger, &read(broker, topic));
    audit.assert_clean();
    audit
}
