//! One or more brokers. The bridge reaches each of them through its own proxy.

use std::thread;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::broker::{Broker, Ports, free_port};
use crate::proxy::Proxy;
use crate::random::Random;

pub(crate) const TOPIC: &str = "official-account.recalls";
pub(crate) const PARTITIONS: i32 = 6;
const TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) struct Cluster {
    pub(crate) brokers: Vec<Broker>,
}

impl Cluster {
    /// Starts `count` brokers with a proxy before each of them, and creates the topic.
    pub(crate) fn start(count: usize, random: &mut Random) -> (Self, Vec<Proxy>) {
        let proxies: Vec<(u16, Random)> = (0..count).map(|_| (free_port(), random.fork())).collect();
        let brokers = if count == 1 {
            vec![Broker::start_behind_proxy(proxies[0].0)]
        } else {
            start_several(&proxies.iter().map(|(port, _)| *port).collect::<Vec<_>>())
        };
        let copies = i32::try_from(count).expect("a few brokers");
        let safe = if count == 1 { "1" } else { "2" };
        let configs = [("message.timestamp.type", "LogAppendTime"), ("min.insync.replicas", safe)];
        brokers[0].create_replicated_topic(TOPIC, PARTITIONS, copies, &configs);
        let proxies = proxies.into_iter().zip(&brokers).map(|((port, random), broker)| {
            let proxy = Proxy::start(port, random);
            proxy.forward_to(broker.upstream());
            proxy
        });
        let proxies = proxies.collect();
        (Self { brokers }, proxies)
    }

    /// Returns the configuration of clients that connect to the brokers directly, without the proxies.
    pub(crate) fn client(&self) -> ClientConfig {
        let addresses: Vec<String> = self.brokers.iter().map(Broker::bootstrap).collect();
        let mut client = self.brokers[0].client();
        client.set("bootstrap.servers", addresses.join(","));
        client
    }
}

/// Returns the index of the broker that leads a partition, if the cluster knows it.
pub(crate) fn leader(client: &ClientConfig, partition: u64) -> Option<usize> {
    let consumer: BaseConsumer = client.create().ok()?;
    let metadata = consumer.fetch_metadata(Some(TOPIC), TIMEOUT).ok()?;
    let partitions = metadata.topics().first()?.partitions();
    let partition = partitions.iter().find(|found| u64::from(found.id().unsigned_abs()) == partition)?;
    usize::try_from(partition.leader() - 1).ok()
}

/// Starts nodes 1, 2 …, each as broker and controller. A single node does not become ready, so they start together.
fn start_several(proxies: &[u16]) -> Vec<Broker> {
    let ports: Vec<Ports> = proxies.iter().map(|_| Ports::pick()).collect();
    let voters = ports.iter().enumerate().map(|(at, ports)| format!("{}@127.0.0.1:{}", at + 1, ports.controller));
    let voters = voters.collect::<Vec<_>>().join(",");
    let starting: Vec<_> = proxies
        .iter()
        .zip(ports)
        .enumerate()
        .map(|(at, (proxy, ports))| {
            let (proxy, voters) = (*proxy, voters.clone());
            thread::spawn(move || {
                let node = (at + 1).to_string();
                let settings = [
                    ("node.id", node.as_str()),
                    ("controller.quorum.voters", &voters),
                    ("default.replication.factor", "3"),
                    ("min.insync.replicas", "2"),
                    ("offsets.topic.replication.factor", "3"),
                    ("transaction.state.log.replication.factor", "3"),
                    ("transaction.state.log.min.isr", "2"),
                    ("share.coordinator.state.topic.replication.factor", "3"),
                    ("share.coordinator.state.topic.min.isr", "2"),
                ];
                Broker::start_node(ports, &settings, proxy)
            })
        })
        .collect();
    starting.into_iter().map(|broker| broker.join().expect("a broker starts")).collect()
}
