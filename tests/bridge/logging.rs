//! The log never stops the service: with any kind of stderr, recalls are answered and SIGTERM ends the process.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::bridge::{APP, PATIENCE, Setup, TOKEN, eventually};
use crate::mock::Kafka;
use crate::process::Start as _;
use crate::sender::{Sender, signed_query};

/// A bridge whose stderr is none of the usual; killed on drop.
struct Odd {
    child: Child,
    /// Keeps the spool's directory.
    _setup: Setup,
    webhook: SocketAddr,
    ops: SocketAddr,
}

impl Odd {
    /// Its stderr is what is given; the ports come from the system's table of sockets.
    fn start(setup: &Setup, stderr: impl Into<Stdio>) -> Self {
        let child = setup.command(&["serve"]).stdout(Stdio::null()).stderr(stderr).start().unwrap();
        let found = eventually("both listeners are open", || {
            let ports = listening(child.id());
            let ops = *ports.iter().find(|address| get(**address, "/livez").starts_with("HTTP/1.1 200"))?;
            let webhook = *ports.iter().find(|address| **address != ops)?;
            Some((webhook, ops))
        });
        Self { child, _setup: setup.clone(), webhook: found.0, ops: found.1 }
    }

    /// Its stderr is a pipe, of which the lines up to the last one of the start are read.
    fn piped(setup: &Setup) -> (Self, BufReader<ChildStderr>) {
        let mut child = setup.command(&["serve"]).stdout(Stdio::null()).stderr(Stdio::piped()).start().unwrap();
        let mut pipe = BufReader::new(child.stderr.take().unwrap());
        let mut ready = |message: &str| loop {
            let mut line = String::new();
            assert_ne!(pipe.read_line(&mut line).unwrap(), 0, "the log ended before {message:?}");
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["message"] == message {
                return line["address"].as_str().unwrap().parse().unwrap();
            }
        };
        let (webhook, ops) = (ready("webhook listener ready"), ready("operations listener ready"));
        (Self { child, _setup: setup.clone(), webhook, ops }, pipe)
    }

    /// Connections that send no HTTP and requests that are refused, each of which could write a line.
    fn junk(&self, connections: usize) {
        for number in 0..connections {
            let mut stream = TcpStream::connect(self.webhook).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let junk = match number % 3 {
                0 => "\x16\x03\x01\x02 not HTTP\r\n\r\n".to_owned(),
                1 => format!("GET /{number} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
                _ => "POST /?SdkAppid=1&Sign=\x1b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(),
            };
            stream.write_all(junk.as_bytes()).unwrap();
            let _ = stream.read(&mut [0; 1024]);
        }
    }

    fn recall(&self, key: &str) {
        let url = format!("http://{}/", self.webhook);
        Sender::new(&url, APP, TOKEN).acknowledged("#TOA#_1", &[key]);
    }

    fn dropped(&self, reason: &str) -> f64 {
        let metrics = get(self.ops, "/metrics");
        let name = format!("recall_bridge_log_lines_dropped_total{{reason=\"{reason}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&name)).expect("the metric").parse().unwrap()
    }

    fn stops(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let code = eventually("the process has ended", || self.child.try_wait().unwrap());
        assert_eq!(code.code(), Some(0));
    }
}

impl Drop for Odd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Addresses of 127.0.0.1 on which a process listens.
fn listening(pid: u32) -> Vec<SocketAddr> {
    let Ok(descriptors) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let links = descriptors.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    let sockets: Vec<String> = links.map(|link| link.display().to_string()).collect();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let row = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let is_listening = columns[3] == "0A" && sockets.contains(&format!("socket:[{}]", columns[9]));
        let port = u16::from_str_radix(columns[1].split_once(':')?.1, 16).ok()?;
        is_listening.then(|| SocketAddr::from(([127, 0, 0, 1], port)))
    };
    table.lines().skip(1).filter_map(row).collect()
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut answer = String::new();
    let asked = TcpStream::connect(address).and_then(|mut stream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
        stream.read_to_string(&mut answer)
    });
    asked.map(|_| answer).unwrap_or_default()
}

#[test]
fn an_unread_log_delays_neither_recalls_nor_the_stop() {
    let kafka = Kafka::start();
    // More of everything than any pipe holds.
    let (mut bridge, pipe) = Odd::piped(&kafka.setup().env("BRIDGE_LOG", "trace"));
    bridge.junk(1500);
    bridge.recall("1_1_1");
    assert!(get(bridge.ops, "/readyz").starts_with("HTTP/1.1 200"));
    assert!(bridge.dropped("budget") > 0.0);
    bridge.stops();
    drop(pipe);
}

#[test]
fn a_closed_log_pipe_stops_nothing_and_lost_lines_are_counted() {
    let kafka = Kafka::start();
    let (mut bridge, pipe) = Odd::piped(&kafka.setup());
    drop(pipe);
    bridge.junk(30);
    bridge.recall("1_1_1");
    eventually("lost lines are counted", || (bridge.dropped("write") > 0.0).then_some(()));
    bridge.stops();
}

#[test]
fn a_log_on_a_full_disk_stops_nothing() {
    let kafka = Kafka::start();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut bridge = Odd::start(&kafka.setup(), full);
    bridge.junk(30);
    bridge.recall("1_1_1");
    assert!(bridge.dropped("write") > 0.0);
    bridge.stops();
}

#[test]
fn closed_descriptors_and_one_that_does_not_block_stop_nothing() {
    let kafka = Kafka::start();
    let closed = kafka.setup().inside(&["/bin/sh", "-c", "exec \"$0\" \"$@\" 0<&- 1>&- 2>&-"]);
    let mut bridge = Odd::start(&closed, Stdio::null());
    bridge.recall("1_1_1");
    bridge.stops();
    let (reader, writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let mut bridge = Odd::start(&kafka.setup().env("BRIDGE_LOG", "trace"), writer);
    bridge.junk(600);
    bridge.recall("2_1_1");
    bridge.stops();
    drop(reader);
}

#[test]
fn unauthenticated_peers_fill_neither_a_line_nor_the_log() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let before: usize = bridge.process.log_lines().iter().map(String::len).sum();
    let started = Instant::now();
    let long = "x".repeat(60_000);
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for number in 0..150 {
        let query = match number % 3 {
            0 => format!("SdkAppid=1&CallbackCommand={long}"),
            1 => format!("{}&ClientIP={long}", signed_query(APP, "wrong")),
            _ => format!("SdkAppid={long}"),
        };
        sender.post(&query, "{}");
    }
    let lines = bridge.process.log_lines();
    let written = lines.iter().map(String::len).sum::<usize>() - before;
    let bound = 64 * 1024 + 16 * 1024 * (usize::try_from(started.elapsed().as_secs()).unwrap() + 2);
    assert!(written < bound, "{written} bytes in {:?}", started.elapsed());
    assert!(lines.iter().all(|line| line.len() < 9 * 1024));
    assert!(lines.iter().any(|line| line.contains("(cut)")), "{}", bridge.process.tail());
}

#[test]
fn dropped_lines_are_reported() {
    let kafka = Kafka::start();
    let setup = kafka.setup().env("BRIDGE_LOG", "trace");
    let bridge = setup.start();
    let stop = Instant::now() + Duration::from_secs(20);
    while bridge.process.log_of("log lines were dropped").is_empty() {
        assert!(Instant::now() < stop, "{}", bridge.process.tail());
        let mut stream = TcpStream::connect(bridge.webhook_address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let _ = stream.read(&mut [0; 1024]);
    }
    let line = &bridge.process.log_of("log lines were dropped")[0];
    assert_eq!((&line["event"], &line["reason"]), (&"log_lines_dropped".into(), &"budget".into()));
    assert!(line["lines"].as_u64().unwrap() > 0);
}
