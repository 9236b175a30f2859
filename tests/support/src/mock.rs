//! The embedded broker: librdkafka's mock cluster, over TCP, in the test's process.
//!
//! It supports transactions and fences. But consumers see uncommitted records too, and it never aborts a transaction.
//! Tests of these two points use a real Kafka.

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
    /// Starts a broker with the topic.
    pub fn start() -> Self {
        let kafka = Self { cluster: MockCluster::new(1).unwrap() };
        kafka.create_topic(TOPIC);
        kafka
    }

    pub fn address(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Returns the setup of a bridge that publishes to this broker and reconnects after short intervals.
    pub fn setup(&self) -> Setup {
        Setup::new(&self.address()).env("KAFKA_RECONNECT_BACKOFF_MS", 10).env("KAFKA_RECONNECT_BACKOFF_MAX_MS", 100)
    }

    /// Closes every connection and accepts no new one.
    pub fn down(&self) {
        let _sockets = lock_sockets();
        self.cluster.broker_down(1).unwrap();
    }

    /// Starts to listen again on the same port, with all its data.
    pub fn up(&self) {
        self.cluster.broker_up(1).unwrap();
    }

    /// Delays every response.
    pub fn delay(&self, time: Duration) {
        self.cluster.broker_round_trip_time(1, time).unwrap();
    }

    /// Answers the next request of a kind with an error.
    pub fn fail_next(&self, request: RDKafkaApiKey, error: RDKafkaRespErr) {
        self.cluster.request_errors(request, &[error]);
    }

    /// Does not support `InitProducerId`, like brokers before 0.11.
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
