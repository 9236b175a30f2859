//! Shared code of the benchmarks: child processes, a load generator, a median.
#![allow(dead_code, reason = "each benchmark uses its part")]

use std::hash::{BuildHasher as _, RandomState};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use test_support::process::Start as _;

use hdrhistogram::Histogram;
use recall_bridge::events::RECALL_COMMAND;
use recall_bridge::webhook::Token;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const APP: u64 = 1_400_000_001;
pub(crate) const TOKEN: &str = "benchmark";

/// A child process, killed on drop.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) webhook: SocketAddr,
    pub(crate) ops: Option<SocketAddr>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Returns the resident memory, in bytes (Linux).
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
        line.trim().split(' ').next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    /// Returns the user and system time so far, in seconds (Linux, 100 ticks per second).
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        (ticks(11) + ticks(12)) / 100.0
    }

    /// Returns one value of `/metrics`. The name has no prefix.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let name = format!("recall_bridge_{name} ");
        let text = self.ask("metrics");
        text.lines().find_map(|line| line.strip_prefix(&name)).and_then(|value| value.parse().ok()).unwrap_or(0.0)
    }

    fn ask(&self, path: &str) -> String {
        // The client requires a crypto provider even without TLS.
        let _ = recall_bridge::tls::provider().as_ref().clone().install_default();
        let url = format!("http://{}/{path}", self.ops.expect("the bridge has an operations listener"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async { reqwest::get(url).await?.text().await }).expect("an answer")
    }

    /// Returns one value of `/status`.
    pub(crate) fn status(&self, field: &str) -> u64 {
        let text = self.ask("status");
        serde_json::from_str::<serde_json::Value>(&text).expect("JSON")[field].as_u64().expect("a number")
    }
}

/// Starts the bridge, and waits until it listens.
pub(crate) fn bridge(spool: &Path, kafka: &str, more: &[(&str, &str)]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_recall-bridge"));
    command
        .arg("serve")
        .env("BRIDGE_APPS", format!("{APP}:{TOKEN}"))
        .env("BRIDGE_LISTEN", "127.0.0.1:0")
        .env("BRIDGE_OPS_LISTEN", "127.0.0.1:0")
        .env("BRIDGE_SPOOL_DIR", spool)
        .env("BRIDGE_SPOOL_MAX_BYTES", (8_u64 << 30).to_string())
        .env("BRIDGE_TOPIC_CREATE", "true")
        .env("BRIDGE_TOPIC_REPLICATION", "1")
        .env("BRIDGE_LOG_FORMAT", "json")
        .env("KAFKA_BOOTSTRAP_SERVERS", kafka)
        .envs(more.iter().copied())
        .stderr(Stdio::piped())
        .stdout(Stdio::null());
    let mut child = command.start().expect("the bridge starts");
    let mut lines = BufReader::new(child.stderr.take().expect("stderr")).lines();
    let mut find = |message: &str| {
        let line =
            lines.by_ref().map_while(Result::ok).find(|line| line.contains(message)).expect("the bridge listens");
        let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        line["address"].as_str().and_then(|text| text.parse().ok()).expect("an address")
    };
    let webhook = find("webhook listener ready");
    let ops = Some(find("operations listener ready"));
    // The output is read so that the pipe does not fill.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    Process { child, webhook, ops }
}

/// Starts this benchmark again as another role (`BENCH_ROLE`); its first line is an address.
pub(crate) fn role(name: &str) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .env("BENCH_ROLE", name)
        .stdout(Stdio::piped())
        .start()
        .expect("another role starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("an address");
    (child, line.trim().to_owned())
}

/// The result of one load run.
pub(crate) struct Run {
    pub(crate) answers: u64,
    pub(crate) failed: u64,
    pub(crate) seconds: f64,
    pub(crate) latency: Histogram<u64>,
}

impl Run {
    pub(crate) fn rate(&self) -> f64 {
        self.answers as f64 / self.seconds
    }

    pub(crate) fn ms(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1000.0
    }
}

/// Posts signed recalls over keep-alive connections, one at a time on each, for `time` or until `count` recalls are
/// answered.
pub(crate) fn load(target: SocketAddr, connections: usize, keys: usize, time: Duration, count: u64) -> Run {
    // Each run sends different recalls, because the bridge does not publish duplicates.
    let run = RandomState::new().hash_one(connections) >> 32;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let started = Instant::now();
        let until = started + time;
        let left = std::rc::Rc::new(std::cell::Cell::new(count));
        let tasks: Vec<_> = (0..connections)
            .map(|connection| {
                let request = request(connection, keys, run);
                tokio::task::spawn_local(post(target, request, until, std::rc::Rc::clone(&left)))
            })
            .collect();
        let mut latency = Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds");
        let mut failed = 0;
        for task in tasks {
            let (one, bad) = task.await.expect("a connection");
            latency.add(one).expect("bounds");
            failed += bad;
        }
        Run { answers: latency.len() - failed, failed, seconds: started.elapsed().as_secs_f64(), latency }
    })
}

async fn post(
    target: SocketAddr,
    mut request: Vec<u8>,
    until: Instant,
    left: std::rc::Rc<std::cell::Cell<u64>>,
) -> (Histogram<u64>, u64) {
    let mut latency = Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds");
    let mut failed = 0;
    let mut stream = TcpStream::connect(target).await.expect("a connection");
    stream.set_nodelay(true).expect("nodelay");
    let mut buffer = vec![0; 4096];
    while Instant::now() < until && left.get() > 0 {
        left.set(left.get() - 1);
        let before = Instant::now();
        stream.write_all(&request).await.expect("sent");
        let mut got = 0;
        loop {
            let n = stream.read(&mut buffer[got..]).await.expect("answered");
            assert!(n > 0, "the connection was closed");
            got += n;
            if is_whole(&buffer[..got]) {
                break;
            }
        }
        latency.saturating_record(u64::try_from(before.elapsed().as_micros()).unwrap_or(u64::MAX));
        failed += u64::from(!buffer.starts_with(b"HTTP/1.1 200"));
        // A `Sign` is valid for a minute, and a run is shorter.
        next_key(&mut request);
    }
    (latency, failed)
}

fn request(connection: usize, keys: usize, run: u64) -> Vec<u8> {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs().to_string();
    let sign = TOKEN.parse::<Token>().expect("a token").sign(&time);
    let list: Vec<String> =
        (0..keys).map(|key| format!("{{\"MsgKey\":\"{connection:04}{key:02}0000000000_{run}_1698741698\"}}")).collect();
    let body = format!(
        "{{\"CallbackCommand\":\"{RECALL_COMMAND}\",\"Official_Account\":\"#TOA#_{connection}\",\"WithdrawMsgList\":[{}],\"EventTime\":1670574414123}}",
        list.join(",")
    );
    format!(
        "POST /?SdkAppid={APP}&CallbackCommand={RECALL_COMMAND}&contenttype=json&ClientIP=127.0.0.1&OptPlatform=RESTAPI&Sign={sign}&RequestTime={time} HTTP/1.1\r\n\
         Host: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Increments the ten digits of every key, in place.
fn next_key(request: &mut [u8]) {
    const MARK: &[u8] = b"\"MsgKey\":\"";
    let mut at = 0;
    while let Some(found) = request[at..].windows(MARK.len()).position(|window| window == MARK) {
        let digits = at + found + MARK.len() + 6;
        for digit in request[digits..digits + 10].iter_mut().rev() {
            if *digit == b'9' {
                *digit = b'0';
            } else {
                *digit += 1;
                break;
            }
        }
        at = digits + 10;
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let text = std::str::from_utf8(&answer[..head]).unwrap_or_default().to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")).and_then(|n| n.trim().parse().ok());
    answer.len() >= head + 4 + length.unwrap_or(0_usize)
}

/// Returns the median.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
