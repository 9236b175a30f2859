//! The embedded broker: librdkafka's mock cluster, over TCP, in the test's process.
//!
//! It knows transactions and fences, but shows uncommitted records, too, and aborts nothing; what
//! hangs on that is proven against a real Kafka.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::bridge::{Setup, TOPIC};
use crate::process::lock_sockets;
use crate::topic::{Record, Topic};

pub const PARTITIONS: i32 = 4;

pub struct Kafka {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl Kafka {
    /// A broker with the topic.
    pub fn start() -> Self {
        let kafka = Self { cluster: MockCluster::new(1).unwrap() };
        kafka.create_topic(TOPIC);
        kafka
    }

    pub fn address(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// A bridge that publishes here, and looks often whether the broker is back.
    pub fn setup(&self) -> Setup {
        Setup::new(&self.address()).env("KAFKA_RECONNECT_BACKOFF_MS", 10).env("KAFKA_RECONNECT_BACKOFF_MAX_MS", 100)
    }

    /// Closes every connection and takes no new one.
    pub fn down(&self) {
        let _sockets = lock_sockets();
        self.cluster.broker_down(1).unwrap();
    }

    /// Comes back on the same port, with all it had.
    pub fn up(&self) {
        self.cluster.broker_up(1).unwrap();
    }

    /// Lets every answer wait.
    pub fn delay(&self, time: Duration) {
        self.cluster.broker_round_trip_time(1, time).unwrap();
    }

    /// Answers the next request of a kind with an error.
    pub fn fail_next(&self, request: RDKafkaApiKey, error: RDKafkaRespErr) {
        self.cluster.request_errors(request, &[error]);
    }

    /// Knows no `InitProducerId`, as brokers before 0.11.
    pub fn without_transactions(&self) {
        self.cluster.apiversion(RDKafkaApiKey::InitProducerId, None, None).unwrap();
    }

    pub fn create_topic(&self, name: &str) {
        self.cluster.create_topic(name, PARTITIONS, 1).unwrap();
    }

    pub fn topic(&self) -> Topic {
        self.topic_named(TOPIC)
    }

    pub fn topic_named(&self, name: &str) -> Topic {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address());
        config.set("reconnect.backoff.ms", "10").set("reconnect.backoff.max.ms", "100");
        Topic::new(&config, name)
    }

    pub fn records(&self) -> Vec<Record> {
        self.topic().read()
    }
}
