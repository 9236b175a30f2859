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
            "" => start("librdkafka's mock cluster", MOCK, &[]),
            "real" => start("Apache Kafka", REAL, &[JVM]),
            _ => ("a named broker", None, named),
        };
        if kind != "librdkafka's mock cluster" && address != NOBODY {
            create_topics(&address, &[TOPIC, FORGET, AWAIT]);
        }
        Self { address, kind, _process: process }
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

/// Creates topics that do not exist, and waits for their leaders.
pub(crate) fn create_topics(address: &str, names: &[&str]) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address);
    let admin: AdminClient<DefaultClientContext> = config.create().expect("an admin client");
    let topics: Vec<_> = names.iter().map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1))).collect();
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    for result in runtime.block_on(admin.create_topics(&topics, &options)).expect("the broker answers") {
        if let Err((topic, error)) = result {
            assert_eq!(error, RDKafkaErrorCode::TopicAlreadyExists, "{topic}");
        }
    }
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let until = Instant::now() + TIMEOUT;
    for name in names {
        let is_ready = || {
            let metadata = consumer.fetch_metadata(Some(name), TIMEOUT).expect("metadata");
            let partitions = metadata.topics()[0].partitions();
            !partitions.is_empty() && partitions.iter().all(|partition| partition.leader() >= 0)
        };
        while !is_ready() {
            assert!(Instant::now() < until, "topic {name} has no leader");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
