//! A real one-node Apache Kafka broker, started from its jars in a directory of its own.
//!
//! It can be killed, stopped, frozen and started again at the same address with the same data:
//! what a promise about brokers that die has to be tested against. `scripts/kafka-libs` downloads
//! the jars; Java 17 or later must be installed.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::Metadata;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a broker may take to start or to stop: far more than it needs, for slow machines.
const DEADLINE: Duration = Duration::from_secs(60);

/// How often a start is tried anew because somebody took one of the ports in between.
const START_ATTEMPTS: u32 = 10;

/// Any valid cluster id does: no broker ever meets another one.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qg";

/// Measured on two cores: a start takes 2.4 s with these, 3.3 s without, and a broker that lives
/// for a few seconds never earns back what the optimizing compiler costs.
const JVM_OPTIONS: [&str; 3] = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

/// The broker that `BRIDGE_TEST_KAFKA=host:port` names, for tests that leave it as it was.
#[allow(dead_code, reason = "for tests that need a broker but do not harm it")]
pub(crate) fn shared_bootstrap() -> Option<String> {
    std::env::var("BRIDGE_TEST_KAFKA").ok().filter(|address| !address.is_empty())
}

/// A running (or killed, or frozen) broker. Dropping it kills the process and removes its data.
pub(crate) struct Broker {
    ports: Ports,
    process: Option<Process>,
    dir: TempDir,
}

impl Broker {
    /// Starts a broker and returns once it serves.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Like [`Broker::start`], with settings that override or add to the harness's own.
    pub(crate) fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::launch(settings, None)
    }

    /// Starts a broker that can be reached through a proxy of the test, too: the proxy listens at
    /// `127.0.0.1:port` and forwards to [`Broker::upstream`], and there the broker gives the
    /// proxy's address as its own. [`Broker::bootstrap`] still goes past the proxy.
    #[allow(dead_code, reason = "for tests that break the network on purpose")]
    pub(crate) fn start_behind_proxy(port: u16) -> Self {
        Self::launch(&[], Some(port))
    }

    fn launch(settings: &[(&str, &str)], proxy: Option<u16>) -> Self {
        for _ in 0..START_ATTEMPTS {
            let dir = tempfile::Builder::new().prefix("bridge-kafka-").tempdir().expect("a temporary directory");
            let mut broker = Self { ports: Ports::pick(), process: None, dir };
            broker.format(settings, proxy);
            match broker.run() {
                Ok(()) => return broker,
                Err(NotServing::AddressInUse) => {}
                Err(NotServing::Failed(why)) => broker.give_up(&why),
            }
        }
        panic!("no free ports for a broker after {START_ATTEMPTS} attempts");
    }

    /// What clients connect to.
    pub(crate) fn bootstrap(&self) -> String {
        address(self.ports.clients).to_string()
    }

    /// Where the proxy of [`Broker::start_behind_proxy`] forwards to.
    #[allow(dead_code, reason = "for tests that break the network on purpose")]
    pub(crate) fn upstream(&self) -> SocketAddr {
        address(self.ports.proxied)
    }

    /// Kills the broker as a crash or the OOM killer does.
    pub(crate) fn kill(&mut self) {
        self.process.take().expect("a running broker").kill();
    }

    /// Stops the broker as an operator does, and waits until it is gone.
    pub(crate) fn terminate(&mut self) {
        let mut process = self.process.take().expect("a running broker");
        process.signal(Signal::TERM);
        // A frozen process takes the signal when it goes on.
        process.signal(Signal::CONT);
        let deadline = Instant::now() + DEADLINE;
        while process.ended().is_none() {
            if Instant::now() > deadline {
                self.give_up("it did not stop on SIGTERM");
            }
            pause_between_polls();
        }
    }

    /// Freezes the broker: its connections stay open, and nothing answers. After more than the
    /// broker session (2 s) its partitions can be without a leader for a moment once it resumes.
    pub(crate) fn pause(&self) {
        self.running().signal(Signal::STOP);
    }

    /// Ends [`Broker::pause`].
    pub(crate) fn resume(&self) {
        self.running().signal(Signal::CONT);
    }

    /// Starts a killed or stopped broker again, at its address and with its data, and returns
    /// once every partition has its leader back. A broker that runs is killed first.
    pub(crate) fn restart(&mut self) {
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

    /// Creates a topic, and returns once every partition of it has a leader.
    pub(crate) fn create_topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("rdkafka creates an admin client");
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
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

    /// A client configuration that finds this broker again soon after it was away.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.bootstrap())
            .set("broker.address.family", "v4")
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "200");
        config
    }

    /// The end of the broker's own log, for the message of a test that fails.
    pub(crate) fn log_tail(&self) -> String {
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

    /// Writes the settings and formats the storage, which Kafka asks for before its first start.
    fn format(&self, settings: &[(&str, &str)], proxy: Option<u16>) {
        let text = properties(self.dir.path(), self.ports, proxy, settings);
        fs::write(self.properties(), text).expect("server.properties is written");
        let output = java()
            .args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"])
            .arg(self.properties())
            .output()
            .expect("java starts (Debian package default-jre-headless)");
        assert!(
            output.status.success(),
            "Kafka's storage was not formatted: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Starts the process and waits until it serves.
    fn run(&mut self) -> Result<(), NotServing> {
        // Truncated, so that what is found in it was said by this process.
        let log = File::create(self.log()).expect("the broker's log is created");
        let child = java()
            .arg("kafka.Kafka")
            .arg(self.properties())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log)
            .spawn()
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
        // Somebody else's broker may have answered at a port that this one did not get.
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

/// How long one question to a broker may take before the process itself is looked at again.
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

/// The broker's process, and a shell that outlives the test to clean up after it.
struct Process {
    java: Child,
    guard: Child,
}

impl Process {
    /// A test that is killed, or that keeps its broker in a static, drops nothing. The guard
    /// sees its standard input close, whatever ended the test.
    fn guarded(java: Child, dir: &Path) -> Self {
        let guard = Command::new("sh")
            .args(["-c", r#"trap "" INT TERM HUP; read -r _; kill -9 "$1"; rm -rf "$2""#, "broker-guard"])
            .arg(java.id().to_string())
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        Self { java, guard }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.java), signal).expect("the broker's process is there");
    }

    /// The exit status once the process is gone; the guard goes with it.
    fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.java.try_wait().expect("the broker's process is ours")?;
        self.dismiss_guard();
        Some(status)
    }

    fn kill(mut self) {
        // The guard first: its number to kill is only safe while the process is not reaped.
        self.dismiss_guard();
        // Fails only where the process has ended already.
        let _ = self.java.kill();
        let _ = self.java.wait();
    }

    fn dismiss_guard(&mut self) {
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }
}

#[derive(Clone, Copy)]
struct Ports {
    clients: u16,
    controller: u16,
    proxied: u16,
}

impl Ports {
    fn pick() -> Self {
        Self { clients: free_port(), controller: free_port(), proxied: free_port() }
    }
}

/// A port that is free now, and that this process is not given twice.
///
/// Not one that the system hands out (`bind` to port 0): while the broker is down, a client that
/// reconnects to such a port can be given the very same one as its own, connect to itself, and
/// keep the broker from ever coming back.
fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;

    // Processes that run at the same time start at different places.
    let offset = (std::process::id() % u32::from(COUNT)) * 37 % u32::from(COUNT);
    let offset = u16::try_from(offset).expect("an offset below COUNT");
    for _ in 0..COUNT {
        let step = TAKEN.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (offset + step) % COUNT;
        if TcpListener::bind(address(port)).is_ok() {
            return port;
        }
    }
    panic!("no free port from {FIRST} on");
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn java() -> Command {
    let mut command = Command::new("java");
    command.args(JVM_OPTIONS).arg("-cp").arg(libs().join("*"));
    command
}

fn libs() -> PathBuf {
    let dir = std::env::var_os("BRIDGE_TEST_KAFKA_LIBS").map_or_else(
        || Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory").join("kafka/libs"),
        PathBuf::from,
    );
    let has_jars = fs::read_dir(&dir)
        .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("kafka_")));
    assert!(has_jars, "no Kafka jars in {}: run scripts/kafka-libs (or set BRIDGE_TEST_KAFKA_LIBS)", dir.display());
    dir
}

/// One process that is broker and controller, with as little on disk and in memory as it can do
/// with. Of a key given twice, Kafka takes the last.
///
/// The short session is for [`Broker::restart`]: after a crash the controller refuses a new
/// process with the old one's id until the session of the dead one has run out (9 s by default).
fn properties(dir: &Path, ports: Ports, proxy: Option<u16>, settings: &[(&str, &str)]) -> String {
    let Ports { clients, controller, proxied } = ports;
    let mut listeners = format!("PLAINTEXT://127.0.0.1:{clients},CONTROLLER://127.0.0.1:{controller}");
    let mut advertised = format!("PLAINTEXT://127.0.0.1:{clients}");
    if let Some(port) = proxy {
        write!(listeners, ",PROXIED://127.0.0.1:{proxied}").expect("a string takes text");
        write!(advertised, ",PROXIED://127.0.0.1:{port}").expect("a string takes text");
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
