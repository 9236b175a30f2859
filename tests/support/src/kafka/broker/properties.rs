//! The broker's `server.properties`.

use std::fmt::Write as _;
use std::path::Path;

use super::ports::Ports;

/// Returns the settings of one process that is broker and controller, with little use of disk and memory. If a key
/// occurs twice, Kafka uses the last one.
///
/// The short session is for [`Broker::restart`]: after a crash the controller rejects a new process with the same id
/// until the session of the old process has expired (9 s by default).
///
/// `more` are further listeners, by name and port. `settings` defines their protocols.
pub(super) fn properties(
    dir: &Path,
    ports: Ports,
    proxy: Option<u16>,
    more: &[(&str, u16)],
    settings: &[(&str, &str)],
) -> String {
    let Ports { clients, controller, proxied } = ports;
    let mut listeners = format!("PLAINTEXT://127.0.0.1:{clients},CONTROLLER://127.0.0.1:{controller}");
    let mut advertised = format!("PLAINTEXT://127.0.0.1:{clients}");
    if let Some(port) = proxy {
        // With port 0, no proxy is used and the broker advertises its own port.
        let port = if port == 0 { proxied } else { port };
        write!(listeners, ",PROXIED://127.0.0.1:{proxied}").expect("a string takes text");
        write!(advertised, ",PROXIED://127.0.0.1:{port}").expect("a string takes text");
    }
    for (name, port) in more {
        write!(listeners, ",{name}://127.0.0.1:{port}").expect("a string takes text");
        write!(advertised, ",{name}://127.0.0.1:{port}").expect("a string takes text");
    }
    let data = dir.join("data");
    let data = data.display();
    let mut text = format!(
        "\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners={listeners}
advertised.listeners={advertised}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=5
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=200
log.retention.hours=-1
log.preallocate=false
log.index.size.max.bytes=1048576
log.cleaner.dedupe.buffer.size=2097152
num.network.threads=2
num.io.threads=4
num.recovery.threads.per.data.dir=1
"
    );
    for (key, value) in settings {
        writeln!(text, "{key}={value}").expect("a string takes text");
    }
    text
}
