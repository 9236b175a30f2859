//! The broker: `BENCH_KAFKA` is `real` (starts an Apache Kafka; run `scripts/kafka-libs` first), `host:port`, or not
//! set (librdkafka's mock cluster, in a process of its own).

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::mocking::MockCluster;
use rdkafka::types::RDKafkaErrorCode;

use super::process::{Process, role};

/// The bridge's default topic.
pub(crate) const TOPIC: &str = "official-account.recalls";
/// The topics of the handlers.
pub(crate) const FORGET: &str = "bench.forget";
pub(crate) const AWAIT: &str = "bench.await";
const PARTITIONS: i32 = 6;
const TIMEOUT: Duration = Duration::from_secs(30);
/// The harness of the tests starts its brokers without the optimizing compiler, which a measurement needs.
const JVM: (&str, &str) = ("BRIDGE_TEST_KAFKA_JVM", "-Xmx1g -XX:+UseSerialGC");
const MOCK_KIND: &str = "librdkafka's mock cluster";
const MOCK: &str = "kafka-mock";
const REAL: &str = "kafka-real";

/// The broker of a run.
pub(crate) struct Kafka {
    pub(crate) address: String,
    pub(crate) kind: &'static str,
    _process: Option<Process>,
}

impl Kafka {
    /// Starts or finds the broker, and creates the topics.
    pub(crate) fn start() -> Self {
        let named = std::env::var("BENCH_KAFKA").unwrap_or_default();
        let (kind, process, address) = match named.as_str() {
            "" => start(MOCK_KIND, MOCK, &[]),
            "real" => start("Apache Kafka", REAL, &[JVM]),
            _ => ("a named broker", None, named),
        };
        let broker = Self { address, kind, _process: process };
        for topic in [TOPIC, FORGET, AWAIT] {
            broker.topic(topic);
        }
        broker
    }

    /// Creates a topic, unless it exists.
    pub(crate) fn topic(&self, name: &str) {
        if self.address != NOBODY {
            create_topic(&self.address, name, self.is_mock());
        }
    }

    pub(crate) fn is_mock(&self) -> bool {
        self.kind == MOCK_KIND
    }
}

/// An address without a broker: no process listens on port 1.
pub(crate) const NOBODY: &str = "127.0.0.1:1";

fn start(kind: &'static str, name: &str, more: &[(&str, &str)]) -> (&'static str, Option<Process>, String) {
    let (process, address) = role(name, NOBODY, more);
    (kind, Some(process), address)
}

/// Runs this process as a broker if that is its role.
pub(crate) fn run(role: &str) {
    match role {
        MOCK => {
            let cluster = MockCluster::new(1).expect("a mock cluster");
            for topic in [TOPIC, FORGET, AWAIT] {
                cluster.create_topic(topic, PARTITIONS, 1).expect("a topic");
            }
            println!("{}", cluster.bootstrap_servers());
            park();
        }
        REAL => {
            let broker = test_support::kafka::broker::Broker::start();
            println!("{}", broker.bootstrap());
            park();
        }
        _ => {}
    }
}

fn park() -> ! {
    loop {
        std::thread::park();
    }
}

/// Creates a topic that does not exist, and waits for its leaders. The mock cluster creates a topic when a client asks
/// for it.
fn create_topic(address: &str, name: &str, mock: bool) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address);
    if !mock {
        create_by_admin(&config, name);
    }
    let consumer: BaseConsumer = config.set("allow.auto.create.topics", mock.to_string()).create().expect("a consumer");
    let is_ready = || {
        let metadata = consumer.fetch_metadata(Some(name), TIMEOUT).expect("metadata");
        let partitions = metadata.topics()[0].partitions();
        !partitions.is_empty() && partitions.iter().all(|partition| partition.leader() >= 0)
    };
    let until = Instant::now() + TIMEOUT;
    while !is_ready() {
        assert!(Instant::now() < until, "topic {name} has no leader");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn create_by_admin(config: &ClientConfig, name: &str) {
    let admin: AdminClient<DefaultClientContext> = config.create().expect("an admin client");
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let topic = NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1));
    for result in runtime.block_on(admin.create_topics([&topic], &options)).expect("the broker answers") {
        if let Err((topic, error)) = result {
            assert_eq!(error, RDKafkaErrorCode::TopicAlreadyExists, "{topic}");
        }
    }
}
