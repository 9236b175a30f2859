//! The processes that are measured, and what the kernel counts for them (Linux).

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use test_support::get::get;
use test_support::process::Start as _;

use super::{APP, TOKEN, setting};

/// The timeout of [`Process::until_idle`].
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
const IDLE_LOOK: Duration = Duration::from_millis(50);

/// A child process, killed on drop.
pub(crate) struct Process {
    child: Child,
    pub(crate) webhook: SocketAddr,
    pub(crate) ops: Option<SocketAddr>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process has used since its start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    /// Voluntary and involuntary context switches.
    pub(crate) switches: u64,
    /// Bytes written to the disk, as the kernel attributes them to the process.
    pub(crate) written: u64,
    /// Commits of the bridge to its spool, and their events.
    pub(crate) groups: f64,
    pub(crate) events: f64,
}

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn usage(&self) -> Usage {
        let directory = format!("/proc/{}", self.id());
        let mut usage = Usage { written: field(&format!("{directory}/io"), "write_bytes:"), ..Usage::default() };
        for task in fs::read_dir(format!("{directory}/task")).expect("Linux").flatten() {
            let task = task.path().display().to_string();
            let stat = fs::read_to_string(format!("{task}/schedstat")).unwrap_or_default();
            usage.cpu_seconds += first_number(&stat) as f64 / 1e9;
            let status = format!("{task}/status");
            usage.switches +=
                field(&status, "voluntary_ctxt_switches:") + field(&status, "nonvoluntary_ctxt_switches:");
        }
        if self.ops.is_some() {
            let text = self.ask("metrics");
            usage.groups = metric(&text, "spool_group_events_count");
            usage.events = metric(&text, "spool_group_events_sum");
        }
        usage
    }

    /// Returns the resident memory, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        field(&format!("/proc/{}/status", self.id()), "VmRSS:") * 1024
    }

    /// Returns the largest resident memory since [`Process::forget_peak`], in bytes.
    pub(crate) fn peak(&self) -> u64 {
        field(&format!("/proc/{}/status", self.id()), "VmHWM:") * 1024
    }

    pub(crate) fn forget_peak(&self) {
        let _ = fs::write(format!("/proc/{}/clear_refs", self.id()), "5");
    }

    /// Waits until the process has published its backlog and uses next to no processor time.
    pub(crate) fn until_idle(&self) {
        let until = Instant::now() + IDLE_TIMEOUT;
        while Instant::now() < until {
            let before = self.usage().cpu_seconds;
            std::thread::sleep(IDLE_LOOK);
            let idle = self.usage().cpu_seconds - before < IDLE_LOOK.as_secs_f64() * 0.1;
            if idle && (self.ops.is_none() || self.status("depth") == 0) {
                return;
            }
        }
        eprintln!("process {} is not idle after {} s", self.id(), IDLE_TIMEOUT.as_secs());
    }

    /// Returns one value of `/metrics`. The name has no prefix.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        metric(&self.ask("metrics"), name)
    }

    /// Returns one value of `/status`.
    pub(crate) fn status(&self, field: &str) -> u64 {
        let text = self.ask("status");
        serde_json::from_str::<serde_json::Value>(&text).expect("JSON")[field].as_u64().expect("a number")
    }

    fn ask(&self, path: &str) -> String {
        let address = self.ops.expect("the bridge has an operations listener").to_string();
        get(&address, &format!("/{path}")).expect("an answer").1
    }
}

/// Starts the bridge of this build, or the binary `BENCH_BRIDGE`, and waits until it listens.
pub(crate) fn bridge(spool: &Path, kafka: &str, more: &[(&str, &str)]) -> Process {
    let binary = setting("BENCH_BRIDGE", env!("CARGO_BIN_EXE_recall-bridge").to_owned());
    serve(Command::new(binary), spool, kafka, more)
}

/// Starts a bridge with this command, and waits until it listens.
pub(crate) fn serve(mut command: Command, spool: &Path, kafka: &str, more: &[(&str, &str)]) -> Process {
    command
        .arg("serve")
        .envs(environment(kafka))
        .env("BRIDGE_SPOOL_DIR", spool)
        .env("BRIDGE_SPOOL_MAX_BYTES", (32_u64 << 30).to_string())
        .env("BRIDGE_TOPIC_CREATE", "true")
        .env("BRIDGE_TOPIC_REPLICATION", "1")
        .env("BRIDGE_LOG_FORMAT", "json")
        .envs(more.iter().copied())
        .stderr(Stdio::piped())
        .stdout(Stdio::null());
    let mut child = command.start().expect("the bridge starts");
    let mut lines = BufReader::new(child.stderr.take().expect("stderr")).lines();
    let mut seen = Vec::new();
    let mut find = |message: &str| {
        for line in lines.by_ref().map_while(Result::ok) {
            if line.contains(message) {
                let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
                return line["address"].as_str().and_then(|text| text.parse().ok()).expect("an address");
            }
            seen.push(line);
        }
        panic!("the bridge does not listen; its log:\n{}", seen.join("\n"))
    };
    let webhook = find("webhook listener ready");
    let ops = Some(find("operations listener ready"));
    // The output is read so that the pipe does not fill.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    Process { child, webhook, ops }
}

/// The variables that the bridge and the handlers of [`super::handlers`] have in common: app, broker, properties of
/// librdkafka.
fn environment(kafka: &str) -> [(&'static str, String); 4] {
    let port = || "127.0.0.1:0".to_owned();
    [
        ("BRIDGE_APPS", format!("{APP}:{TOKEN}")),
        ("BRIDGE_LISTEN", port()),
        ("BRIDGE_OPS_LISTEN", port()),
        ("KAFKA_BOOTSTRAP_SERVERS", kafka.to_owned()),
    ]
}

/// A role of this program, killed on drop, and the first line of its output.
pub(crate) fn role(name: &str, kafka: &str, more: &[(&str, &str)]) -> (Process, String) {
    let mut child = role_command(name)
        .envs(environment(kafka))
        .envs(more.iter().copied())
        .stdout(Stdio::piped())
        .start()
        .expect("another role starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("an address");
    assert!(!line.is_empty(), "role {name} ended");
    let webhook = line.trim().parse().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 1)));
    (Process { child, webhook, ops: None }, line.trim().to_owned())
}

/// Returns the command of this program in another role (`BENCH_ROLE`).
pub(crate) fn role_command(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.env("BENCH_ROLE", name);
    command
}

/// Returns the processor time of this thread, in seconds.
pub(crate) fn thread_cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    first_number(&stat) as f64 / 1e9
}

fn metric(text: &str, name: &str) -> f64 {
    let name = format!("recall_bridge_{name} ");
    text.lines().find_map(|line| line.strip_prefix(&name)).and_then(|value| value.parse().ok()).unwrap_or(0.0)
}

fn field(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix(name)).map_or(0, first_number)
}

fn first_number(text: &str) -> u64 {
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
