//! The load generator: one thread with epoll, because it shares the processors with the server.
//!
//! Each connection is kept alive and has at most one request under way. In a closed loop a connection sends the next
//! request after the response to the last one. In an open loop requests are due at fixed times, whether the server has
//! answered or not, and the latency counts from the time when the request was due (no coordinated omission).

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime};

use super::process::thread_cpu_seconds;
use super::request::Request;

const TIMER: u64 = u64::MAX;
/// After the end of an open loop, requests that are not answered count with the latency that they have reached.
const GRACE: Duration = Duration::from_secs(5);
const LATENCY_MAX_US: u64 = 60_000_000;

/// What to send.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    /// MsgKeys of one webhook.
    pub(crate) keys: usize,
    /// Accounts; each connection sends for all of them in turn.
    pub(crate) accounts: usize,
    pub(crate) time: Duration,
    /// The maximum number of webhooks.
    pub(crate) count: u64,
    /// Webhooks per second of an open loop; `None`: a closed loop.
    pub(crate) rate: Option<u64>,
}

/// The result of one load run.
pub(crate) struct Run {
    /// Responses with status 200.
    pub(crate) answers: u64,
    pub(crate) failed: u64,
    pub(crate) seconds: f64,
    /// In microseconds.
    pub(crate) latency: Histogram<u64>,
    /// The time until the first response.
    pub(crate) first: Option<Duration>,
    /// The share of one processor that the generator used.
    pub(crate) busy: f64,
}

impl Run {
    pub(crate) fn rate(&self) -> f64 {
        self.answers as f64 / self.seconds
    }

    pub(crate) fn ms(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1000.0
    }
}

impl Load {
    /// A closed loop of single recalls for this time.
    pub(crate) fn closed(connections: usize, time: Duration) -> Self {
        Self { connections, keys: 1, accounts: super::setting("BENCH_ACCOUNTS", 50), time, count: u64::MAX, rate: None }
    }

    pub(crate) fn run(self, target: SocketAddr) -> Run {
        Generator::new(self, target).run()
    }
}

struct Connection {
    stream: TcpStream,
    request: Request,
    due: Instant,
    answer: [u8; 2048],
    got: usize,
    /// The length of a response with status 200, known after the first one.
    whole: usize,
}

struct Generator {
    load: Load,
    epoll: OwnedFd,
    timer: Option<OwnedFd>,
    connections: Vec<Connection>,
    /// Connections without a request under way, in an open loop.
    idle: VecDeque<usize>,
    /// When the requests were due that wait for a connection.
    waiting: VecDeque<Instant>,
    under_way: usize,
    left: u64,
    latency: Histogram<u64>,
    failed: u64,
}

impl Generator {
    fn new(load: Load, target: SocketAddr) -> Self {
        // Each run sends different recalls, because the bridge does not publish duplicates.
        let run = RandomState::new().hash_one(load.connections) >> 32;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("epoll");
        let connections: Vec<Connection> =
            (0..load.connections).map(|number| Connection::open(number, load, run, target, &epoll)).collect();
        Self {
            epoll,
            timer: None,
            idle: (0..connections.len()).collect(),
            connections,
            waiting: VecDeque::new(),
            under_way: 0,
            left: load.count,
            latency: Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).expect("bounds"),
            failed: 0,
            load,
        }
    }

    fn run(mut self) -> Run {
        let (started, cpu) = (Instant::now(), thread_cpu_seconds());
        let until = started + self.load.time;
        let interval = self.load.rate.map(|rate| Duration::from_nanos(1_000_000_000 / rate));
        let mut next = started;
        if let Some(interval) = interval {
            self.timer = Some(timer(interval, &self.epoll));
        } else {
            (0..self.connections.len()).for_each(|number| self.send(number, started));
        }
        let (mut now, mut first) = (started, None);
        let mut events: Vec<epoll::Event> = Vec::with_capacity(1024);
        let tick = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        while self.under_way > 0 || (interval.is_some() && next < until) || !self.waiting.is_empty() {
            events.clear();
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&tick)).expect("events");
            now = Instant::now();
            for event in &events {
                let number = event.data.u64();
                if number == TIMER {
                    let _ = rustix::io::read(self.timer.as_ref().expect("a timer"), &mut [0_u8; 8]);
                } else if self.connections[number as usize].receive() {
                    first.get_or_insert(now - started);
                    self.answered(number as usize, now, until, interval.is_some());
                }
            }
            while let Some(step) = interval.filter(|_| next <= now && next < until) {
                self.waiting.push_back(next);
                next += step;
            }
            self.send_waiting();
            if now > until + GRACE {
                self.give_up(now);
                break;
            }
        }
        let seconds = now.duration_since(started).as_secs_f64();
        let busy = (thread_cpu_seconds() - cpu) / seconds;
        let answers = self.latency.len() - self.failed;
        Run { answers, failed: self.failed, seconds, latency: self.latency, first, busy }
    }

    fn send(&mut self, number: usize, due: Instant) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        self.under_way += 1;
        self.connections[number].send(due);
    }

    fn answered(&mut self, number: usize, now: Instant, until: Instant, open: bool) {
        let connection = &self.connections[number];
        self.latency.saturating_record(now.duration_since(connection.due).as_micros() as u64);
        self.failed += u64::from(!connection.answer.starts_with(b"HTTP/1.1 200"));
        self.under_way -= 1;
        if open {
            self.idle.push_back(number);
        } else if now < until {
            self.send(number, now);
        }
    }

    /// Sends the requests that are due, as far as connections are idle.
    fn send_waiting(&mut self) {
        while let (Some(&due), Some(&number)) = (self.waiting.front(), self.idle.front()) {
            self.waiting.pop_front();
            self.idle.pop_front();
            self.send(number, due);
        }
    }

    /// Counts the requests without a response as failed, with the latency so far.
    fn give_up(&mut self, now: Instant) {
        let idle: std::collections::HashSet<usize> = self.idle.iter().copied().collect();
        let open = (0..self.connections.len()).filter(|number| !idle.contains(number));
        let due: Vec<Instant> = open.map(|number| self.connections[number].due).collect();
        for due in due.into_iter().chain(std::mem::take(&mut self.waiting)) {
            self.latency.saturating_record(now.saturating_duration_since(due).as_micros() as u64);
            self.failed += 1;
        }
    }
}

impl Connection {
    fn open(number: usize, load: Load, run: u64, target: SocketAddr, epoll: &OwnedFd) -> Self {
        let stream = TcpStream::connect(target).expect("a connection");
        stream.set_nodelay(true).expect("nodelay");
        stream.set_nonblocking(true).expect("nonblocking");
        epoll::add(epoll, &stream, epoll::EventData::new_u64(number as u64), epoll::EventFlags::IN).expect("watched");
        let request = Request::new(number, load.keys, load.accounts, run);
        Self { stream, request, due: Instant::now(), answer: [0; 2048], got: 0, whole: 0 }
    }

    fn send(&mut self, due: Instant) {
        self.due = due;
        self.request.advance(due);
        // The socket's buffer is empty, and larger than a request.
        let sent = self.stream.write(self.request.bytes()).expect("sent");
        assert_eq!(sent, self.request.bytes().len(), "the socket took a part of the request");
    }

    /// Reads once. Returns whether the response is complete.
    fn receive(&mut self) -> bool {
        let got = match self.stream.read(&mut self.answer[self.got..]) {
            Ok(got) => got,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
            Err(error) => panic!("no answer: {error}"),
        };
        assert!(got > 0, "the connection was closed");
        self.got += got;
        let answer = &self.answer[..self.got];
        let good = answer.starts_with(b"HTTP/1.1 200");
        if !(good && self.got == self.whole) {
            if !is_whole(answer) {
                return false;
            }
            if good {
                self.whole = self.got;
            }
        }
        self.got = 0;
        true
    }
}

/// Returns a timer that wakes `epoll` at this interval.
fn timer(interval: Duration, epoll: &OwnedFd) -> OwnedFd {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK);
    let timer = timer.expect("a timer");
    let interval = Timespec { tv_sec: interval.as_secs() as i64, tv_nsec: interval.subsec_nanos().into() };
    let times = Itimerspec { it_interval: interval, it_value: interval };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times).expect("the timer is set");
    epoll::add(epoll, &timer, epoll::EventData::new_u64(TIMER), epoll::EventFlags::IN).expect("the timer is watched");
    timer
}

fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let text = std::str::from_utf8(&answer[..head]).unwrap_or_default().to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")).and_then(|n| n.trim().parse().ok());
    answer.len() >= head + 4 + length.unwrap_or(0_usize)
}
