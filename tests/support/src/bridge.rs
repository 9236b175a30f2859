//! The real binary as a process: started with an environment, watched by its log, killed on drop.
//!
//! For every test suite of the project. Wait with [`eventually`], never with a bare sleep.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, LazyLock};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::Value;
use tempfile::TempDir;

pub use crate::process::Process;
use crate::process::Start as _;
pub use crate::wait::{PATIENCE, eventually};

/// The default app of the bridges in the tests.
pub const APP: u64 = 1_400_000_001;
/// The token of [`APP`]. It is long, so that it does not occur in any output by chance.
pub const TOKEN: &str = "tok-5ecret-9f8e7d6c";
/// The default topic.
pub const TOPIC: &str = "official-account.recalls";
/// An environment and a directory for bridges that run one after the other. Clones share the directory.
#[derive(Clone, Debug)]
pub struct Setup {
    env: BTreeMap<String, String>,
    home: Arc<TempDir>,
    wrapper: Vec<String>,
}

/// Returns the path of the binary that Cargo builds for the suites. It is beside the directory of the running test.
pub fn binary() -> &'static Path {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
        let test = std::env::current_exe().unwrap();
        let binary = test.parent().and_then(Path::parent).unwrap().join("recall-bridge");
        assert!(binary.is_file(), "{} is not there: cargo test builds it", binary.display());
        binary
    });
    &BINARY
}

impl Setup {
    /// Returns the setup of a bridge for [`APP`], on free ports, that publishes to `bootstrap_servers`.
    pub fn new(bootstrap_servers: &str) -> Self {
        let home = Arc::new(TempDir::with_prefix("bridge-test-").unwrap());
        let setup = Self { env: BTreeMap::new(), home, wrapper: Vec::new() };
        let spool = setup.home().join("spool").display().to_string();
        setup
            .env("BRIDGE_APPS", format!("{APP}:{TOKEN}"))
            .env("BRIDGE_LISTEN", "127.0.0.1:0")
            .env("BRIDGE_OPS_LISTEN", "127.0.0.1:0")
            .env("BRIDGE_SPOOL_DIR", spool)
            .env("BRIDGE_TOPIC", TOPIC)
            .env("BRIDGE_LOG_FORMAT", "json")
            .env("BRIDGE_WORKERS", "2")
            .env("BRIDGE_DRAIN_SECONDS", "0")
            .env("KAFKA_BOOTSTRAP_SERVERS", bootstrap_servers)
    }

    /// Sets a variable.
    #[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.env.insert(name.to_owned(), value.to_string());
        self
    }

    /// Removes a variable.
    pub fn without(mut self, name: &str) -> Self {
        self.env.remove(name);
        self
    }

    /// Ignores the signal that comes with a file that may not grow: what is left is the error, as a
    /// disk gives it. See [`Bridge::break_disk`].
    pub fn breakable(self) -> Self {
        self.inside(&["/bin/sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
    }

    /// Runs the binary through a command that executes its arguments at its end.
    pub fn inside(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().copied().map(str::to_owned).collect();
        self
    }

    /// Returns a directory for files of this test. It is removed with the last clone.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// `BRIDGE_SPOOL_DIR`.
    pub fn spool_dir(&self) -> PathBuf {
        self.env["BRIDGE_SPOOL_DIR"].clone().into()
    }

    /// Returns the command with this environment, without the environment of the test.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut line = self.wrapper.iter().map(OsStr::new).chain([binary().as_os_str()]);
        let mut command = Command::new(line.next().expect("a program"));
        command.args(line).args(args).env_clear().envs(&self.env).current_dir(self.home()).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        let process = self.launch(args);
        process.output()
    }

    /// Starts `serve` and waits until both listeners are ready.
    #[track_caller]
    pub fn start(&self) -> Bridge {
        let process = self.launch(&["serve"]);
        let address = |message| process.wait_for_line(message)["address"].as_str().unwrap().parse().unwrap();
        let (webhook, ops) = (address("webhook listener ready"), address("operations listener ready"));
        Bridge { setup: self.clone(), process, webhook, ops }
    }

    /// Starts any command and does not wait.
    pub fn launch(&self, args: &[&str]) -> Process {
        let child = self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).start();
        Process::watch(child.expect("the binary starts")).working_in(&self.home)
    }
}

/// A running bridge.
#[derive(Debug)]
pub struct Bridge {
    setup: Setup,
    /// The process: signals, log, exit.
    pub process: Process,
    webhook: SocketAddr,
    ops: SocketAddr,
}

impl Bridge {
    /// The setup of this process.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Returns the URL for webhooks, with the path `/`.
    pub fn url(&self) -> String {
        format!("http://{}/", self.webhook)
    }

    /// Returns the address of the webhook listener.
    pub fn webhook_address(&self) -> SocketAddr {
        self.webhook
    }

    /// Returns the address of the operations listener.
    pub fn ops_address(&self) -> SocketAddr {
        self.ops
    }

    /// Status code and body of a path of the operations listener.
    #[track_caller]
    pub fn ops_get(&self, path: &str) -> (u16, String) {
        let answer = self.try_ops_get(path);
        answer.unwrap_or_else(|error| panic!("GET {path}: {error}; the log's end:\n{}", self.process.tail()))
    }

    /// Returns status code and body from a bridge that may have exited.
    pub fn try_ops_get(&self, path: &str) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.ops)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.ok_or(std::io::ErrorKind::InvalidData)?, body.to_owned()))
    }

    /// `/status`.
    #[track_caller]
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.ops_get("/status").1).expect("/status is JSON")
    }

    /// `/metrics`: every sample under its name and labels as written.
    #[track_caller]
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let (status, text) = self.ops_get("/metrics");
        assert_eq!(status, 200, "{text}");
        let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        samples
            .map(|line| {
                let (name, value) = line.rsplit_once(' ').expect("name and value");
                (name.to_owned(), value.parse().expect("a number"))
            })
            .collect()
    }

    /// Returns one sample. `name` has no prefix `recall_bridge_`.
    #[track_caller]
    pub fn metric(&self, name: &str) -> f64 {
        let metrics = self.metrics();
        *metrics.get(&format!("recall_bridge_{name}")).unwrap_or_else(|| panic!("no metric {name}"))
    }

    /// Waits until the backlog is empty.
    #[track_caller]
    pub fn wait_published(&self) {
        eventually("all is published", || (self.metric("spool_events") == 0.0).then_some(()));
    }

    /// Makes every write to a file fail from now on. Reads still succeed. Requires [`Setup::breakable`].
    pub fn break_disk(&self) {
        assert!(!self.setup.wrapper.is_empty());
        self.limit_files(Some(0));
    }

    /// Makes writes succeed again.
    pub fn mend_disk(&self) {
        self.limit_files(getrlimit(Resource::Fsize).current);
    }

    fn limit_files(&self, current: Option<u64>) {
        let pid = Pid::from_raw(self.process.pid().try_into().unwrap());
        let maximum = getrlimit(Resource::Fsize).maximum;
        prlimit(pid, Resource::Fsize, Rlimit { current, maximum }).unwrap();
    }

    /// Ends the process with SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts another bridge with the same environment and spool. This one must have ended.
    #[track_caller]
    pub fn restart(self) -> Self {
        let setup = self.setup.clone();
        drop(self);
        setup.start()
    }
}

/// Copies the files of a directory, without sockets.
pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_file() {
            continue;
        }
        let mut source = File::open(&path).unwrap();
        std::io::copy(&mut source, &mut File::create(to.join(path.file_name().unwrap())).unwrap()).unwrap();
    }
}
