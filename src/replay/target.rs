//! Where a node publishes to.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The topic and the brokers of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishTarget {
    /// `BRIDGE_TOPIC`.
    pub topic: String,
    /// `KAFKA_BOOTSTRAP_SERVERS`.
    pub brokers: String,
}

impl PublishTarget {
    /// Whether both name the same topic, and have a broker in common.
    pub fn is_same(&self, other: &Self) -> bool {
        let brokers = |target: &Self| -> BTreeSet<String> {
            target.brokers.split(',').map(|broker| broker.trim().to_lowercase()).collect()
        };
        self.topic == other.topic && !brokers(self).is_disjoint(&brokers(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_topic_and_one_common_broker_are_the_same_target() {
        let target =
            |topic: &str, brokers: &str| PublishTarget { topic: topic.to_owned(), brokers: brokers.to_owned() };
        let node = target("recalls", "kafka-1:9092,kafka-2:9092");
        assert!(node.is_same(&target("recalls", "Kafka-2:9092")));
        assert!(node.is_same(&target("recalls", "kafka-3:9092, kafka-1:9092")));
        assert!(!node.is_same(&target("recalls", "kafka-3:9092")));
        assert!(!node.is_same(&target("other", "kafka-1:9092")));
    }
}
