//! A real one-node Apache Kafka broker, started from its jars in its own directory.
//!
//! Tests can kill it, stop it, freeze it, and start it again at the same address with the same data.
//! `scripts/kafka-libs` downloads the jars. Java 17 or later must be installed.

mod ports;
mod process;
mod properties;

use crate::process::Start as _;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::Metadata;
use rustix::process::Signal;
use tempfile::TempDir;

use ports::address;
pub use ports::{Ports, free_port};
use process::Process;
pub use process::java;

/// The timeout for the start and the stop of a broker. It is long, for slow machines.
const DEADLINE: Duration = Duration::from_secs(180);

/// The number of further attempts to start if another process has taken one of the ports.
const START_ATTEMPTS: u32 = 10;

/// The cluster id. Brokers of different tests never connect to each other, so one id is enough.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qg";

/// A broker that runs, is killed, or is frozen. Drop kills the process and removes its data.
pub struct Broker {
    ports: Ports,
    more: Vec<(&'static str, u16)>,
    scram: Vec<String>,
    process: Option<Process>,
    dir: TempDir,
}

impl Broker {
    /// Returns the shared broker, for tests that do not change it. It ends with the test process.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts a broker and waits until it accepts requests.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Like [`Broker::start`], with settings that override or add to the harness's own.
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::launch(settings, None)
    }

    /// Starts a broker that requires authentication at [`Broker::guarded`] and authorizes by ACLs. `users` have
    /// passwords (SASL PLAIN). Clients of [`Broker::bootstrap`] have all rights.
    pub fn start_with_acls(users: &[(&str, &str)]) -> Self {
        let mut login = "org.apache.kafka.common.security.plain.PlainLoginModule required".to_owned();
        for (user, password) in users {
            write!(login, " user_{user}=\"{password}\"").expect("a string takes text");
        }
        login.push(';');
        Self::launch(
            &[
                ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:SASL_PLAINTEXT"),
                ("listener.name.proxied.sasl.enabled.mechanisms", "PLAIN"),
                ("listener.name.proxied.plain.sasl.jaas.config", &login),
                ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
                ("super.users", "User:ANONYMOUS"),
            ],
            Some(0),
        )
    }

    /// Starts a broker that clients can also reach through a proxy of the test. The proxy listens at `127.0.0.1:port`
    /// and forwards to [`Broker::upstream`]. There the broker advertises the proxy's address. [`Broker::bootstrap`]
    /// does not use the proxy.
    #[allow(dead_code, reason = "for tests that break the network on purpose")]
    pub fn start_behind_proxy(port: u16) -> Self {
        Self::launch(&[], Some(port))
    }

    /// Starts one of several brokers at given ports, because each node must know all controllers. Waits until it
    /// accepts requests, which requires most of the other brokers.
    #[allow(dead_code, reason = "for tests of several brokers")]
    pub fn start_node(ports: Ports, settings: &[(&str, &str)], proxy: u16) -> Self {
        let dir = tempfile::Builder::new().prefix("bridge-kafka-").tempdir().expect("a temporary directory");
        let mut broker = Self { ports, more: Vec::new(), scram: Vec::new(), process: None, dir };
        broker.format(settings, Some(proxy));
        match broker.run() {
            Ok(()) => broker,
            Err(NotServing::AddressInUse) => broker.give_up("somebody else has taken one of its ports"),
            Err(NotServing::Failed(why)) => broker.give_up(&why),
        }
    }

    /// Starts a broker with further listeners, see [`Broker::at`]. There, a client needs an ACL. `users` have
    /// passwords (SASL SCRAM).
    pub fn start_secured(listeners: &[&'static str], settings: &[(&str, &str)], users: &[(&str, &str)]) -> Self {
        let scram = users.iter().map(|(user, password)| format!("SCRAM-SHA-512=[name={user},password={password}]"));
        Self::launch_as(settings, None, listeners, &scram.collect::<Vec<_>>())
    }

    fn launch(settings: &[(&str, &str)], proxy: Option<u16>) -> Self {
        Self::launch_as(settings, proxy, &[], &[])
    }

    fn launch_as(settings: &[(&str, &str)], proxy: Option<u16>, listeners: &[&'static str], scram: &[String]) -> Self {
        for _ in 0..START_ATTEMPTS {
            let dir = tempfile::Builder::new().prefix("bridge-kafka-").tempdir().expect("a temporary directory");
            let more = listeners.iter().map(|name| (*name, free_port())).collect();
            let mut broker = Self { ports: Ports::pick(), more, scram: scram.to_vec(), process: None, dir };
            broker.format(settings, proxy);
            match broker.run() {
                Ok(()) => return broker,
                Err(NotServing::AddressInUse) => {}
                Err(NotServing::Failed(why)) => broker.give_up(&why),
            }
        }
        panic!("no free ports for a broker after {START_ATTEMPTS} attempts");
    }

    /// Returns the address for clients.
    pub fn bootstrap(&self) -> String {
        address(self.ports.clients).to_string()
    }

    /// Returns the address for clients with authentication.
    pub fn guarded(&self) -> String {
        address(self.ports.proxied).to_string()
    }

    /// Returns the address of a listener of [`Broker::start_secured`].
    pub fn at(&self, listener: &str) -> String {
        let (_, port) = self.more.iter().find(|(name, _)| *name == listener).expect("a listener of this name");
        address(*port).to_string()
    }

    /// Allows `user` the `operations` on `resource`, given as arguments of Kafka's `kafka-acls` (`["--topic",
    /// "name"]`).
    pub fn allow(&self, user: &str, operations: &[&str], resource: &[&str]) {
        let mut command = java();
        command.args(["org.apache.kafka.tools.AclCommand", "--bootstrap-server", &self.bootstrap(), "--add"]);
        command.args(["--allow-principal", &format!("User:{user}")]).args(resource);
        for operation in operations {
            command.args(["--operation", operation]);
        }
        let output = command.run().expect("java starts (Debian package default-jre-headless)");
        assert!(output.status.success(), "no ACL: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Returns the address to which the proxy of [`Broker::start_behind_proxy`] forwards.
    #[allow(dead_code, reason = "for tests that break the network on purpose")]
    pub fn upstream(&self) -> SocketAddr {
        address(self.ports.proxied)
    }

    /// Kills the broker as a crash or the OOM killer does.
    pub fn kill(&mut self) {
        self.process.take().expect("a running broker").kill();
    }

    /// Stops the broker as an operator does, and waits for its exit.
    pub fn terminate(&mut self) {
        let mut process = self.process.take().expect("a running broker");
        process.signal(Signal::TERM);
        // A frozen process receives the signal when it resumes.
        process.signal(Signal::CONT);
        let deadline = Instant::now() + DEADLINE;
        while process.ended().is_none() {
            if Instant::now() > deadline {
                self.give_up("it did not stop on SIGTERM");
            }
            pause_between_polls();
        }
    }

    /// Freezes the broker: its connections stay open, and it does not respond. If this lasts longer than the broker
    /// session (2 s), its partitions can lack a leader for a moment after it resumes.
    pub fn pause(&self) {
        self.running().signal(Signal::STOP);
    }

    /// Ends [`Broker::pause`].
    pub fn resume(&self) {
        self.running().signal(Signal::CONT);
    }

    /// Starts a killed or stopped broker again at the same address with the same data. Waits until every partition
    /// has a leader. A running broker is killed first.
    pub fn restart(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
        for _ in 0..START_ATTEMPTS {
            match self.run() {
                Ok(()) => return,
                // Connections of the old process may hold the port for a moment.
                Err(NotServing::AddressInUse) => thread::sleep(Duration::from_millis(200)),
                Err(NotServing::Failed(why)) => self.give_up(&why),
            }
        }
        self.give_up("somebody else has taken its port");
    }

    /// Creates a topic, and waits until each of its partitions has a leader.
    pub fn create_topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        self.create_replicated_topic(name, partitions, 1, configs);
    }

    /// Creates a topic with this number of replicas.
    pub fn create_replicated_topic(&self, name: &str, partitions: i32, copies: i32, configs: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("rdkafka creates an admin client");
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(copies));
        for &(key, value) in configs {
            topic = topic.set(key, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(DEADLINE));
        let created = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a tokio runtime")
            .block_on(admin.create_topics([&topic], &options));
        match created.as_deref() {
            Ok([Ok(_)]) => {}
            refused => panic!("topic {name} was not created: {refused:?}"),
        }

        let consumer = self.consumer();
        let deadline = Instant::now() + DEADLINE;
        while !consumer.fetch_metadata(Some(name), POLL_TIMEOUT).is_ok_and(|metadata| has_all_leaders(&metadata)) {
            if Instant::now() > deadline {
                self.give_up(&format!("topic {name} got no leader"));
            }
            pause_between_polls();
        }
    }

    /// Changes settings of a topic.
    pub fn alter_topic(&self, name: &str, settings: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("rdkafka creates an admin client");
        let mut change = AlterConfig::new(ResourceSpecifier::Topic(name));
        for (key, value) in settings {
            change = change.set(key, value);
        }
        let altered = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a tokio runtime")
            .block_on(admin.alter_configs([&change], &AdminOptions::new()));
        match altered.as_deref() {
            Ok([Ok(_)]) => {}
            refused => panic!("topic {name} was not altered: {refused:?}"),
        }
    }

    /// Returns a client configuration that reconnects soon after a restart of this broker.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.bootstrap())
            .set("broker.address.family", "v4")
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "200");
        config
    }

    /// Returns the end of the broker's log, for the message of a failing test.
    pub fn log_tail(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    fn consumer(&self) -> BaseConsumer {
        self.client().create().expect("rdkafka creates a consumer")
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("a running broker")
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("broker.log")
    }

    fn properties(&self) -> PathBuf {
        self.dir.path().join("server.properties")
    }

    /// Writes the settings and formats the storage. Kafka requires both before its first start.
    fn format(&self, settings: &[(&str, &str)], proxy: Option<u16>) {
        let text = properties::properties(self.dir.path(), self.ports, proxy, &self.more, settings);
        fs::write(self.properties(), text).expect("server.properties is written");
        let output = java()
            .args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"])
            .arg(self.properties())
            .args(self.scram.iter().flat_map(|scram| ["--add-scram", scram]))
            .run()
            .expect("java starts (Debian package default-jre-headless)");
        assert!(
            output.status.success(),
            "Kafka's storage was not formatted: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Starts the process and waits until it accepts requests.
    fn run(&mut self) -> Result<(), NotServing> {
        // The file is truncated, so that all its lines are from this process.
        let log = File::create(self.log()).expect("the broker's log is created");
        let child = java()
            // The directory for native libraries that Java unpacks. A killed process does not remove them.
            .arg(format!("-Djava.io.tmpdir={}", self.dir.path().display()))
            .arg("kafka.Kafka")
            .arg(self.properties())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log)
            .start()
            .expect("java starts (Debian package default-jre-headless)");
        self.process = Some(Process::guarded(child, self.dir.path()));

        let deadline = Instant::now() + DEADLINE;
        let clients = address(self.ports.clients);
        while TcpStream::connect_timeout(&clients, POLL_TIMEOUT).is_err() {
            self.check(deadline, "it does not listen")?;
            pause_between_polls();
        }
        let consumer = self.consumer();
        while !consumer.fetch_metadata(None, POLL_TIMEOUT).is_ok_and(|metadata| has_all_leaders(&metadata)) {
            self.check(deadline, "it listens, but does not serve")?;
            pause_between_polls();
        }
        // Another broker may have responded, if it has the port of this one.
        self.check(deadline, "it ended while it was asked")
    }

    fn check(&mut self, deadline: Instant, late: &str) -> Result<(), NotServing> {
        let process = self.process.as_mut().expect("a started broker");
        if let Some(status) = process.ended() {
            self.process = None;
            let log = fs::read(self.log()).unwrap_or_default();
            if String::from_utf8_lossy(&log).contains("Address already in use") {
                return Err(NotServing::AddressInUse);
            }
            return Err(NotServing::Failed(format!("it ended with {status}")));
        }
        if Instant::now() > deadline {
            return Err(NotServing::Failed(late.to_owned()));
        }
        Ok(())
    }

    fn give_up(&self, why: &str) -> ! {
        panic!("the test broker failed: {why}; the end of its log:\n{}", self.log_tail());
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }
}

/// The timeout of one request to a broker. After it, the process is checked again.
const POLL_TIMEOUT: Duration = Duration::from_secs(1);

fn pause_between_polls() {
    thread::sleep(Duration::from_millis(10));
}

fn has_all_leaders(metadata: &Metadata) -> bool {
    !metadata.brokers().is_empty()
        && metadata.topics().iter().all(|topic| {
            topic.error().is_none()
                && topic.partitions().iter().all(|partition| partition.error().is_none() && partition.leader() >= 0)
        })
}

enum NotServing {
    AddressInUse,
    Failed(String),
}
