//! The bridge as a process that is killed often: fixed ports, one spool, one log file.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::bridge::Setup;
use crate::broker::free_port;
use crate::process::Start as _;

/// The timeout of requests to the operations listener.
const TIMEOUT: Duration = Duration::from_millis(500);

pub(crate) struct Node {
    setup: Setup,
    log: PathBuf,
    webhook: SocketAddr,
    ops: SocketAddr,
    child: Child,
}

impl Node {
    /// Starts the bridge. `setup` contains every setting except the ports.
    pub(crate) fn start(setup: Setup, log: PathBuf) -> Self {
        let [webhook, ops] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let setup = setup.env("BRIDGE_LISTEN", webhook).env("BRIDGE_OPS_LISTEN", ops);
        let child = launch(&setup, &log);
        Self { setup, log, webhook, ops, child }
    }

    pub(crate) fn webhook(&self) -> SocketAddr {
        self.webhook
    }

    /// Sends SIGKILL and waits for the end of the process.
    pub(crate) fn kill(&mut self) {
        // Fails only if the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // Fails only if the process has already ended; `ended` reports that.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Returns the exit status if the process has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the bridge is our process")
    }

    /// Starts another process with the same spool and ports.
    pub(crate) fn restart(&mut self) {
        self.child = launch(&self.setup, &self.log);
    }

    /// Returns a handle that other threads use to query this process.
    pub(crate) fn probe(&self) -> Probe {
        Probe { ops: self.ops, pid: self.child.id() }
    }

    /// Stops the bridge as an operator does. Returns its exit status if it ends within this time.
    pub(crate) fn stop(&mut self, within: Duration) -> Option<ExitStatus> {
        self.signal(Signal::TERM);
        let until = Instant::now() + within;
        loop {
            match self.ended() {
                Some(status) => return Some(status),
                None if Instant::now() >= until => return None,
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Queries the process of a bridge.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe {
    ops: SocketAddr,
    pid: u32,
}

impl Probe {
    /// Returns a page of the operations listener, or `None` if the listener does not respond.
    pub(crate) fn ops(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect_timeout(&self.ops, TIMEOUT).ok()?;
        stream.set_read_timeout(Some(TIMEOUT)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer.split_once("\r\n\r\n")?.1.to_owned())
    }

    /// Returns a sample. `name` has no prefix `recall_bridge_`.
    pub(crate) fn metric(&self, name: &str) -> Option<u64> {
        sample(&self.ops("/metrics")?, name)
    }

    /// Returns the resident memory in KiB.
    pub(crate) fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
    }
}

/// Returns a sample of a metrics page that is a whole number.
pub(crate) fn sample(page: &str, name: &str) -> Option<u64> {
    let line = page.lines().find_map(|line| line.strip_prefix("recall_bridge_")?.strip_prefix(name)?.strip_prefix(' '));
    let value: f64 = line?.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, far below 2^52")]
    let whole = value as u64;
    Some(whole)
}

/// Starts the bridge under `setpriv`, which kills the bridge when the thread that started it ends for any reason.
fn launch(setup: &Setup, log: &PathBuf) -> Child {
    let bridge = setup.command(&["serve"]);
    let log = OpenOptions::new().create(true).append(true).open(log).expect("the bridge's log is opened");
    let environment = bridge.get_envs().filter_map(|(name, value)| Some((name, value?)));
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--"])
        .arg(bridge.get_program())
        .args(bridge.get_args())
        .env_clear()
        .envs(environment)
        .current_dir(setup.home())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .start()
        .expect("setpriv starts (Debian package util-linux)")
}
