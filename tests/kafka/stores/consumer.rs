//! A consumer of `examples/` as a process, and its committed offsets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use rustix::process::Signal;

use super::Store;
use crate::bridge::{PATIENCE, Process};
use crate::broker::Broker;
use crate::process::Start as _;
use crate::topic::{Record, Topic};
use crate::wait::{DEADLINE, ends, until};

/// The consumers in `examples/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    RustRedis,
    PythonRedis,
    PythonArchive,
    JavaRedis,
    GoRedis,
    NodeRedis,
}

/// A running consumer. Drop kills it.
pub(super) struct Consumer {
    pub(super) process: Process,
}

impl Consumer {
    /// Starts a consumer. The name of its group is the topic's name.
    pub(super) fn start(kind: Kind, broker: &Broker, topic: &str, store: &Store) -> Self {
        Self::start_with(kind, broker, topic, store, &[])
    }

    /// Like [`Consumer::start`], with further variables.
    pub(super) fn start_with(
        kind: Kind,
        broker: &Broker,
        topic: &str,
        store: &Store,
        variables: &[(&str, &str)],
    ) -> Self {
        let mut command = match kind {
            Kind::RustRedis => Command::new(rust_example("purge_redis")),
            Kind::PythonRedis => python_example("purge_redis.py"),
            Kind::PythonArchive => python_example("mark_archive.py"),
            Kind::JavaRedis => java_example(),
            Kind::GoRedis => Command::new(tool("examples-go/purge-redis")),
            Kind::NodeRedis => node_example(),
        };
        let (variable, url) = store.variable();
        command
            .env("KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap())
            .env("KAFKA_RECONNECT_BACKOFF_MAX_MS", "200")
            .env("KAFKA_SESSION_TIMEOUT_MS", "2000")
            .env("KAFKA_HEARTBEAT_INTERVAL_MS", "300")
            // The maximum time between two polls of a consumer.
            .env("KAFKA_MAX_POLL_INTERVAL_MS", "3000")
            .env("RECALL_TOPIC", topic)
            .env("GROUP_ID", topic)
            .env(variable, url)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.start();
        Self { process: Process::watch(child.expect("scripts/example-tools was run")) }
    }

    /// Waits until the log has at least `times` lines that contain `text`.
    #[track_caller]
    pub(super) fn wait_for_log(&self, text: &str, times: usize) {
        until(&format!("{times} log lines with {text:?}"), || (self.logged(text) >= times).then_some(()));
    }

    /// Returns the number of log lines that contain `text`.
    pub(super) fn logged(&self, text: &str) -> usize {
        self.process.log_lines().iter().filter(|line| line.contains(text)).count()
    }

    /// Stops the consumer as an operator does, and returns its lines on stdout.
    #[track_caller]
    pub(super) fn stop(mut self) -> Vec<String> {
        // Every consumer handles signals before it logs this line. An earlier SIGTERM ends a JVM with 143.
        self.wait_for_log("waiting for recalls from", 1);
        self.process.signal(Signal::TERM);
        assert_eq!(self.process.wait_exit(PATIENCE), 0, "exit code after SIGTERM");
        self.process.stdout_lines()
    }
}

fn rust_example(name: &str) -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_recall-bridge")).with_file_name("examples").join(name);
    assert!(built.exists(), "{} is missing: run scripts/example-tools", built.display());
    built
}

/// Returns the path of a file that `scripts/example-tools` has made.
fn tool(path: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory");
    let tool = target.join("tools").join(path);
    assert!(tool.exists(), "{} is missing: run scripts/example-tools", tool.display());
    tool
}

fn python_example(name: &str) -> Command {
    let mut command = Command::new(tool("examples/bin/python"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name));
    command
}

fn java_example() -> Command {
    let built = tool("examples-java");
    let class_path = format!("{0}/classes:{0}/libs/*", built.display());
    let mut command = Command::new("java");
    // These options make the start faster, and keep the client's settings out of the log.
    command.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]);
    command.args(["-cp", &class_path, "PurgeRedis"]);
    command
}

fn node_example() -> Command {
    let mut command = Command::new("node");
    // The file is a link in the directory of the packages. With these options, Node looks for packages beside the link.
    command.args(["--preserve-symlinks", "--preserve-symlinks-main"]).arg(tool("examples-node/purge_redis.js"));
    command
}

/// Returns the group's committed offset of each partition: the offset of the record to read next.
#[track_caller]
pub(super) fn committed(broker: &Broker, topic: &str) -> BTreeMap<i32, i64> {
    let consumer: BaseConsumer = broker.client().set("group.id", topic).create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in ends(&broker.client(), topic).into_keys() {
        list.add_partition(topic, partition);
    }
    let offsets = until("the group's offsets", || consumer.committed_offsets(list.clone(), DEADLINE).ok());
    let known = offsets.elements();
    let known = known.iter().filter_map(|element| match element.offset() {
        Offset::Offset(offset) => Some((element.partition(), offset)),
        _ => None,
    });
    known.collect()
}

/// Returns the records before the committed offsets. The group does not read them again.
#[track_caller]
pub(super) fn done(broker: &Broker, topic: &str) -> Vec<Record> {
    let committed = committed(broker, topic);
    let mut records = Topic::new(&broker.client(), topic).read();
    records.retain(|record| committed.get(&record.partition).is_some_and(|offset| record.offset < *offset));
    records
}

/// Panics unless every committed record is purged. Returns the number of committed records.
#[track_caller]
pub(super) fn assert_committed_is_purged(broker: &Broker, topic: &str, store: &Store) -> usize {
    // The order of these two calls matters: the committed records must be purged before the store is read.
    let done = done(broker, topic);
    let shown = store.shown();
    for record in &done {
        let name = format!("message:{}:{}", record.key, record.msg_key());
        assert!(!shown.contains(&name), "{}@{} is committed, and shown: {name}", record.partition, record.offset);
    }
    done.len()
}
