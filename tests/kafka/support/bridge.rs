//! The bridge as its users run it: the real binary, a process of its own.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::http::{self, Answer};
use super::webhook::{APP, TOKEN};
use super::{DEADLINE, until, until_true};

/// What survives the process: its spool and its settings.
pub(crate) struct Node {
    dir: TempDir,
    vars: Vec<(String, String)>,
}

impl Node {
    pub(crate) fn new(bootstrap: &str, topic: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("bridge-node-").tempdir().expect("a temporary directory");
        let node = Self { dir, vars: Vec::new() };
        node.with("KAFKA_BOOTSTRAP_SERVERS", bootstrap).with("BRIDGE_TOPIC", topic)
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.vars.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.dir.path().join("spool")
    }

    /// The database of the spool, for changes while no bridge runs.
    pub(crate) fn database(&self) -> rusqlite::Connection {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
        rusqlite::Connection::open_with_flags(self.spool().join("spool.db"), flags).expect("the spool's database")
    }

    /// Another node with the same settings on a copy of this spool.
    pub(crate) fn copied(&self) -> Self {
        let dir = tempfile::Builder::new().prefix("bridge-node-").tempdir().expect("a temporary directory");
        let copy = Self { dir, vars: self.vars.clone() };
        copy_files(&self.spool(), &copy.spool());
        copy
    }

    /// Starts the bridge and returns once it accepts.
    #[track_caller]
    pub(crate) fn start(&self) -> Bridge {
        let mut bridge = self.spawn();
        bridge.webhook = bridge.log.address("webhook listener ready");
        bridge.ops = bridge.log.address("operations listener ready");
        bridge
    }

    /// Starts a bridge that is to fail, and returns its exit code and what it said.
    #[track_caller]
    pub(crate) fn start_in_vain(&self) -> (Option<i32>, String) {
        let mut bridge = self.spawn();
        let status = until("the end of a bridge that cannot start", || bridge.child.try_wait().expect("our child"));
        (status.code(), bridge.log.text())
    }

    fn spawn(&self) -> Bridge {
        let mut command = Command::new(env!("CARGO_BIN_EXE_recall-bridge"));
        for (name, _) in std::env::vars() {
            if name.starts_with("BRIDGE_") || name.starts_with("KAFKA_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .arg("serve")
            .env("BRIDGE_APPS", format!("{APP}:{TOKEN}"))
            .env("BRIDGE_LISTEN", "127.0.0.1:0")
            .env("BRIDGE_OPS_LISTEN", "127.0.0.1:0")
            .env("BRIDGE_SPOOL_DIR", self.spool())
            .env("BRIDGE_WORKERS", "2")
            .env("BRIDGE_LOG_FORMAT", "json")
            .env("KAFKA_BROKER_ADDRESS_FAMILY", "v4")
            .envs(self.vars.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the bridge's binary starts");
        let log = Log::follow(child.stderr.take().expect("a pipe"));
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Bridge { child, log, webhook: nowhere, ops: nowhere }
    }
}

/// Copies the files of a directory; what wrote them must not run.
pub(crate) fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for file in std::fs::read_dir(from).expect("a directory").flatten() {
        std::fs::copy(file.path(), to.join(file.file_name())).expect("a file is copied");
    }
}

/// A running bridge. Dropping it kills the process.
pub(crate) struct Bridge {
    child: Child,
    log: Arc<Log>,
    webhook: SocketAddr,
    ops: SocketAddr,
}

impl Bridge {
    pub(crate) fn webhook(&self) -> SocketAddr {
        self.webhook
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the bridge's process is there");
    }

    /// Kills the bridge as a crash or the OOM killer does.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Stops the bridge as an operator does, and waits until it has ended.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        until("the end of the bridge after SIGTERM", || self.child.try_wait().expect("our child"))
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        http::get(self.ops, path).unwrap_or_else(|error| panic!("{path}: {error}; its log:\n{}", self.log.text()))
    }

    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.get("/status").body).expect("JSON")
    }

    /// One sample of `/metrics`; the name without `recall_bridge_`, with its labels.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        sample(&self.get("/metrics").body, name)
    }

    /// Waits until all that was accepted is in Kafka.
    #[track_caller]
    pub(crate) fn until_drained(&self) {
        until_true("all that was accepted is published", || self.status()["depth"] == 0);
    }

    #[track_caller]
    pub(crate) fn until_kafka_is(&self, state: &str) {
        until_true(&format!("the publisher is {state}"), || self.status()["kafka"]["state"] == state);
    }

    /// The identity of contract section 8, in one scrape.
    #[track_caller]
    pub(crate) fn assert_accounts(&self) {
        let metrics = self.get("/metrics").body;
        let at = |name| sample(&metrics, name);
        assert_eq!(
            at("spool_recovered_events") + at("events_accepted_total"),
            at("records_published_total") + at("records_quarantined_total") + at("spool_events"),
            "found at start + accepted = published + quarantined + waiting"
        );
    }

    /// Whether a line of its log contains this.
    pub(crate) fn has_logged(&self, text: &str) -> bool {
        self.log.text().contains(text)
    }

    fn end(&mut self) {
        // Fails only where the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.end();
        if thread::panicking() {
            eprintln!("the bridge's log:\n{}", self.log.text());
        }
    }
}

fn sample(metrics: &str, name: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix("recall_bridge_")?.strip_prefix(name)?.strip_prefix(' '));
    let value: f64 = line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no metric {name}"));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts, far below 2^52")]
    let value = value as u64;
    value
}

/// What the process writes to stderr, line by line.
struct Log {
    lines: Mutex<(Vec<String>, bool)>,
    grown: Condvar,
}

impl Log {
    fn follow(stderr: ChildStderr) -> Arc<Self> {
        let log = Arc::new(Self { lines: Mutex::default(), grown: Condvar::new() });
        let writer = Arc::clone(&log);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                writer.lines.lock().unwrap().0.push(line);
                writer.grown.notify_all();
            }
            writer.lines.lock().unwrap().1 = true;
            writer.grown.notify_all();
        });
        log
    }

    fn text(&self) -> String {
        let lines = self.lines.lock().unwrap();
        lines.0.iter().fold(String::new(), |mut text, line| {
            writeln!(text, "{line}").expect("a string takes text");
            text
        })
    }

    /// The `address` of the line with this message.
    #[track_caller]
    fn address(&self, message: &str) -> SocketAddr {
        let deadline = Instant::now() + DEADLINE;
        let mut lines = self.lines.lock().unwrap();
        loop {
            let found = lines.0.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|line| {
                (line["message"] == message).then(|| line["address"].as_str()?.parse().ok()).flatten()
            });
            if let Some(address) = found {
                return address;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!lines.1 && !left.is_zero(), "the bridge did not start: {:#?}", lines.0);
            lines = self.grown.wait_timeout(lines, left).unwrap().0;
        }
    }
}
