//! Senders that behave like the vendor: kept connections, a timeout of 2 s, no retry.
//!
//! Each sender has its own accounts and sends one webhook at a time, so the order of the acknowledged recalls of an
//! account is known.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use recall_bridge::events::RECALL_COMMAND;
use recall_bridge::ingest::Outcome;
use serde::Deserialize;

use crate::bridge::{APP, TOKEN};
use crate::history::{History, ResponseKind};
use crate::http::Connection;
use crate::random::Random;
use crate::sender::{query_at, recall_body, unix_now};
use crate::sighting::{account_name, msg_key};

/// Accounts of one connection.
const ACCOUNTS: usize = 8;
/// The timeout of the vendor.
const PATIENCE: Duration = Duration::from_secs(2);
/// The interval between two attempts to connect.
const RECONNECT: Duration = Duration::from_millis(5);
/// One webhook in this number has a wrong time.
const CLOCK_STEP_ONE_OF: u64 = 100;
/// The smallest and the largest error of the time, in seconds. The bridge accepts 60.
const CLOCK_STEP: (u64, u64) = (70, 7200);
/// A sender that is late by more than this skips the webhooks that it missed.
const LATE: Duration = Duration::from_secs(1);
/// Number of phases with separate times.
pub(crate) const PHASES: usize = 4;

/// The load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    /// Message keys per webhook.
    pub(crate) keys: usize,
    /// Webhooks per second of all connections together.
    pub(crate) rate: u32,
    /// Whether some webhooks have a wrong time.
    pub(crate) clock_steps: bool,
}

/// Times of one phase, in microseconds.
#[derive(Debug, Clone)]
pub(crate) struct Times {
    /// From sending to the acknowledgement.
    pub(crate) answer: Histogram<u64>,
    /// From the planned time of sending to the acknowledgement: a slow response delays the next webhook.
    pub(crate) due: Histogram<u64>,
    /// Webhooks without a response that decides their outcome.
    pub(crate) unanswered: u64,
}

/// The results of all senders.
pub(crate) struct Ledger {
    pub(crate) history: History,
    pub(crate) phases: Vec<Times>,
    /// From a SIGKILL to the next acknowledgement.
    pub(crate) recoveries: Vec<Duration>,
    /// Webhooks with a wrong time.
    pub(crate) clock_steps: u64,
    /// Webhooks with the response `unavailable`: the disk was full or too slow.
    pub(crate) unavailable: u64,
    /// Responses that no fault explains.
    pub(crate) strange: Vec<String>,
}

pub(crate) struct Load {
    shared: Arc<Shared>,
    shape: Shape,
    threads: Vec<JoinHandle<Sent>>,
}

struct Shared {
    target: SocketAddr,
    stop: AtomicBool,
    /// Acknowledged recalls.
    acknowledged: AtomicU64,
    phase: AtomicUsize,
    /// The time of the first SIGKILL after the last acknowledgement.
    killed: Mutex<Option<Instant>>,
    /// Webhooks that a sender began to send. `beginning` reports each of them.
    begun: Mutex<u64>,
    beginning: Condvar,
    recoveries: Mutex<Vec<Duration>>,
}

/// The results of one sender.
struct Sent {
    response: Vec<Vec<ResponseKind>>,
    phases: Vec<Times>,
    clock_steps: u64,
    unavailable: u64,
    strange: Vec<String>,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(rename = "ErrorCode")]
    code: u32,
}

impl Load {
    pub(crate) fn start(shape: Shape, target: SocketAddr, random: &mut Random) -> Self {
        let shared = Arc::new(Shared {
            target,
            stop: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
            phase: AtomicUsize::new(0),
            killed: Mutex::default(),
            begun: Mutex::default(),
            beginning: Condvar::new(),
            recoveries: Mutex::default(),
        });
        let threads = (0..shape.connections).map(|number| {
            let (shared, random) = (Arc::clone(&shared), random.fork());
            thread::spawn(move || Sender::new(&shared, shape, number, random).run())
        });
        Self { threads: threads.collect(), shared, shape }
    }

    pub(crate) fn accounts(shape: Shape) -> usize {
        shape.connections * ACCOUNTS
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Switches to another phase: later times belong to it.
    pub(crate) fn enter(&self, phase: usize) {
        self.shared.phase.store(phase, Ordering::Relaxed);
    }

    /// Waits until a sender begins to send a webhook, at most for `at_most`.
    pub(crate) fn until_sending(&self, at_most: Duration) {
        let begun = self.shared.begun.lock().unwrap();
        let before = *begun;
        drop(self.shared.beginning.wait_timeout_while(begun, at_most, |begun| *begun == before).unwrap());
    }

    /// Starts the measurement of the time from a SIGKILL to the next acknowledgement.
    pub(crate) fn bridge_was_killed(&self) {
        self.shared.killed.lock().unwrap().get_or_insert_with(Instant::now);
    }

    /// Discards the current measurement: another fault stops the bridge from responding.
    pub(crate) fn bridge_is_hindered(&self) {
        *self.shared.killed.lock().unwrap() = None;
    }

    /// Ends every sender after its current response.
    pub(crate) fn stop(self) -> Ledger {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut ledger = Ledger {
            history: History { keys: self.shape.keys, response: Vec::new() },
            phases: no_times(),
            recoveries: Vec::new(),
            clock_steps: 0,
            unavailable: 0,
            strange: Vec::new(),
        };
        for thread in self.threads {
            let sent = thread.join().expect("a sender ends");
            ledger.history.response.extend(sent.response);
            ledger.clock_steps += sent.clock_steps;
            ledger.unavailable += sent.unavailable;
            ledger.strange.extend(sent.strange);
            for (all, one) in ledger.phases.iter_mut().zip(&sent.phases) {
                all.answer.add(&one.answer).expect("histograms of one kind");
                all.due.add(&one.due).expect("histograms of one kind");
                all.unanswered += one.unanswered;
            }
        }
        ledger.recoveries = std::mem::take(&mut self.shared.recoveries.lock().unwrap());
        ledger
    }
}

struct Sender<'a> {
    shared: &'a Shared,
    shape: Shape,
    /// The index of its first account.
    first: usize,
    random: Random,
    connection: Option<(Connection, Instant)>,
    sent: Sent,
}

impl<'a> Sender<'a> {
    fn new(shared: &'a Shared, shape: Shape, number: usize, random: Random) -> Self {
        let response = vec![Vec::new(); ACCOUNTS];
        let sent = Sent { response, phases: no_times(), clock_steps: 0, unavailable: 0, strange: Vec::new() };
        Self { shared, shape, first: number * ACCOUNTS, random, connection: None, sent }
    }

    fn run(mut self) -> Sent {
        let connections = u32::try_from(self.shape.connections).expect("few connections");
        let interval = Duration::from_secs(1) * connections / self.shape.rate;
        // Distributes the senders over the interval.
        let offset = interval.mul_f64(f64::from(u32::try_from(self.random.between(0, 999)).expect("small")) / 1000.0);
        let mut due = Instant::now() + offset;
        while !self.shared.stop.load(Ordering::Relaxed) {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if self.connect() {
                self.deliver(due);
            }
            due += interval;
            if due.elapsed() > LATE {
                due = Instant::now();
            }
        }
        self.sent
    }

    /// Connects, and returns whether a connection exists. Without a bridge no webhook is sent, so none becomes due.
    fn connect(&mut self) -> bool {
        while self.connection.is_none() && !self.shared.stop.load(Ordering::Relaxed) {
            let opening = Instant::now();
            match Connection::open_for(self.shared.target, PATIENCE) {
                Ok(connection) => self.connection = Some((connection, opening)),
                Err(_) => thread::sleep(RECONNECT),
            }
        }
        self.connection.is_some()
    }

    fn deliver(&mut self, due: Instant) {
        let own = usize::try_from(self.random.between(0, ACCOUNTS as u64 - 1)).expect("a small number");
        let account = self.first + own;
        let next = self.sent.response[own].len() * self.shape.keys;
        let keys: Vec<String> = (next..next + self.shape.keys).map(|recall| msg_key(account, recall)).collect();
        let step = self.clock_step();
        let query = query_at(APP, TOKEN, RECALL_COMMAND, unix_now() + step);
        let body = recall_body(&account_name(account), &keys);

        let phase = self.shared.phase.load(Ordering::Relaxed);
        let sent = Instant::now();
        let (connection, opened) = self.connection.as_mut().expect("a connection");
        let opened = *opened;
        *self.shared.begun.lock().unwrap() += 1;
        self.shared.beginning.notify_all();
        let answer = connection.exchange(&format!("/?{query}"), &body);
        let took = sent.elapsed();
        if answer.is_err() {
            self.connection = None;
        }
        let response = self.judge(answer, step != 0);
        let times = &mut self.sent.phases[phase];
        match response {
            ResponseKind::Acknowledged => {
                note(&mut times.answer, took);
                note(&mut times.due, due.elapsed());
                self.shared.acknowledged.fetch_add(self.shape.keys as u64, Ordering::Relaxed);
                self.recovered(opened);
            }
            ResponseKind::Missing => times.unanswered += 1,
            ResponseKind::Refused => {}
        }
        self.sent.response[own].push(response);
    }

    /// Returns the error of this webhook's time in seconds.
    fn clock_step(&mut self) -> i64 {
        if !self.shape.clock_steps || self.random.between(1, CLOCK_STEP_ONE_OF) != 1 {
            return 0;
        }
        self.sent.clock_steps += 1;
        let step = i64::try_from(self.random.between(CLOCK_STEP.0, CLOCK_STEP.1)).expect("some seconds");
        if self.random.between(0, 1) == 0 { step } else { -step }
    }

    /// Returns the meaning of a response for the webhook's recalls, and stores an unexpected response.
    fn judge(&mut self, answer: std::io::Result<(u16, Vec<u8>)>, is_stale: bool) -> ResponseKind {
        let Ok((status, body)) = answer else { return ResponseKind::Missing };
        let code = serde_json::from_slice::<Reply>(&body).map(|reply| reply.code);
        let is = |outcome: Outcome| {
            status == outcome.status().as_u16() && code.as_ref().is_ok_and(|code| *code == outcome.error_code())
        };
        // The outcome of its recalls is unknown.
        if is(Outcome::Unavailable) {
            self.sent.unavailable += 1;
            return ResponseKind::Missing;
        }
        let expected = [Outcome::SpoolFull, Outcome::Timeout, Outcome::Draining];
        let response = if is(Outcome::Accepted) { ResponseKind::Acknowledged } else { ResponseKind::Refused };
        let is_expected = match response {
            ResponseKind::Acknowledged => !is_stale,
            _ => expected.into_iter().any(is) || (is_stale && is(Outcome::Stale)),
        };
        if !is_expected {
            let stale = if is_stale { " of a webhook with a clock that is off" } else { "" };
            self.sent.strange.push(format!("answer{stale}: {status} {}", String::from_utf8_lossy(&body)));
        }
        response
    }

    /// Records the recovery time. Only a connection opened after the SIGKILL leads to the new process.
    fn recovered(&self, opened: Instant) {
        let mut killed = self.shared.killed.lock().unwrap();
        if let Some(at) = killed.filter(|at| *at < opened) {
            self.shared.recoveries.lock().unwrap().push(at.elapsed());
            *killed = None;
        }
    }
}

fn note(histogram: &mut Histogram<u64>, took: Duration) {
    histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
}

fn no_times() -> Vec<Times> {
    let none = || Histogram::new_with_bounds(1, 60_000_000, 3).expect("valid bounds");
    (0..PHASES).map(|_| Times { answer: none(), due: none(), unanswered: 0 }).collect()
}
