//! What the tests share: the bridge as a process, load with a ledger of its answers, the topic as
//! a consumer sees it, and the comparison of the two.

pub(crate) mod audit;
pub(crate) mod bridge;
pub(crate) mod http;
pub(crate) mod load;
pub(crate) mod seed;
pub(crate) mod topic;
pub(crate) mod webhook;

use std::thread;
use std::time::{Duration, Instant};

use super::broker::Broker;
use bridge::{Bridge, Node};
use load::Load;

/// How long anything awaited may take: far more than it needs, for slow machines.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);

/// Asks until there is an answer.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {} s for this: {what}", DEADLINE.as_secs());
        thread::sleep(Duration::from_millis(5));
    }
}

/// Asks until it is so.
#[track_caller]
pub(crate) fn until_true(what: &str, mut ask: impl FnMut() -> bool) {
    until(what, || ask().then_some(()));
}

/// A topic of six partitions, as the bridge would create it, with a node that publishes to it.
pub(crate) fn topic_and_node(broker: &Broker, topic: &str) -> Node {
    broker.create_topic(topic, 6, &[("message.timestamp.type", "LogAppendTime")]);
    Node::new(&broker.bootstrap(), topic)
}

/// Waits for everything to be published, stops the bridge as an operator does, compares the
/// topic with what the senders were told.
#[track_caller]
pub(crate) fn finish(broker: &Broker, topic: &str, mut bridge: Bridge, load: Load) {
    let ledger = load.stop();
    bridge.until_drained();
    bridge.assert_accounts();
    assert_eq!(bridge.stop().code(), Some(0), "exit code after SIGTERM");
    let records = topic::read_committed(&broker.client(), topic);
    audit::audit(&ledger, &records).assert_clean();
}
