//! The bridge as a process that dies often: at fixed ports, on one spool, its log in one file.

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

/// For questions to the operations listener.
const TIMEOUT: Duration = Duration::from_millis(500);

pub(crate) struct Node {
    setup: Setup,
    log: PathBuf,
    webhook: SocketAddr,
    ops: SocketAddr,
    child: Child,
}

impl Node {
    /// Starts it; `setup` says all but the ports.
    pub(crate) fn start(setup: Setup, log: PathBuf) -> Self {
        let [webhook, ops] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let setup = setup.env("BRIDGE_LISTEN", webhook).env("BRIDGE_OPS_LISTEN", ops);
        let child = launch(&setup, &log);
        Self { setup, log, webhook, ops, child }
    }

    pub(crate) fn webhook(&self) -> SocketAddr {
        self.webhook
    }

    /// SIGKILL; the process is gone when this returns.
    pub(crate) fn kill(&mut self) {
        // Fails only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // Fails only where it has ended already, which `ended` shows.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the bridge is our process")
    }

    /// Another process on the same spool, at the same ports.
    pub(crate) fn restart(&mut self) {
        self.child = launch(&self.setup, &self.log);
    }

    /// For questions to this process from elsewhere.
    pub(crate) fn probe(&self) -> Probe {
        Probe { ops: self.ops, pid: self.child.id() }
    }

    /// Stops it as an operator does.
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

/// Asks a bridge's process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe {
    ops: SocketAddr,
    pid: u32,
}

impl Probe {
    /// A page of the operations listener; none while nobody serves it.
    pub(crate) fn ops(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect_timeout(&self.ops, TIMEOUT).ok()?;
        stream.set_read_timeout(Some(TIMEOUT)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer.split_once("\r\n\r\n")?.1.to_owned())
    }

    /// A sample; `name` is without the prefix `recall_bridge_`.
    pub(crate) fn metric(&self, name: &str) -> Option<u64> {
        sample(&self.ops("/metrics")?, name)
    }

    /// Its resident memory in KiB.
    pub(crate) fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
    }
}

/// A whole number of a page of metrics.
pub(crate) fn sample(page: &str, name: &str) -> Option<u64> {
    let line = page.lines().find_map(|line| line.strip_prefix("recall_bridge_")?.strip_prefix(name)?.strip_prefix(' '));
    let value: f64 = line?.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, far below 2^52")]
    let whole = value as u64;
    Some(whole)
}

/// `setpriv` ends the bridge when the thread that started it ends, whatever ended that.
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
