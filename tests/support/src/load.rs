//! Senders that run until they are stopped, and record the response to each webhook.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::bridge::{APP, TOKEN};
use crate::http::Connection;
use crate::random::Random;
use crate::sender::{recall_body, signed_query};
use crate::wait::{DEADLINE, until_true};

/// Accounts of one connection. The connection sends one webhook after the other, so the order of the recalls of each
/// account is known.
const ACCOUNTS: u64 = 5;

/// The result of a webhook, as its sender sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseKind {
    Acknowledged,
    /// The status was not 200.
    Refused,
    /// The connection ended before the response.
    Missing,
}

#[derive(Debug, Clone)]
pub struct SentWebhook {
    pub account: String,
    pub keys: Vec<String>,
    pub response: ResponseKind,
    pub took: Duration,
}

/// Connections that send one webhook after the other until they are stopped.
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Vec<SentWebhook>>>,
}

struct Shared {
    /// The target, and a number that changes with it.
    target: Mutex<(u64, SocketAddr)>,
    changed: Condvar,
    stop: AtomicBool,
    acknowledged: AtomicU64,
    unanswered: AtomicU64,
    /// The pause between a response and the next webhook of a connection.
    pace: Duration,
}

impl Load {
    /// Starts senders without a pause. `name` keeps the accounts of several loads apart.
    pub fn start(name: &str, connections: usize, target: SocketAddr, random: &mut Random) -> Self {
        Self::paced(name, connections, Duration::ZERO, target, random)
    }

    /// Starts senders with a pause between a response and the next webhook of the connection.
    pub fn paced(name: &str, connections: usize, pace: Duration, target: SocketAddr, random: &mut Random) -> Self {
        let shared = Arc::new(Shared {
            target: Mutex::new((0, target)),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            pace,
        });
        let threads = (0..connections)
            .map(|number| {
                let (shared, random) = (Arc::clone(&shared), random.fork());
                let name = format!("#TOA#_{name}-{number}");
                thread::spawn(move || send(&shared, &name, random))
            })
            .collect();
        Self { shared, threads }
    }

    /// Sets a new target. Senders whose connection ended continue there.
    pub fn aim(&self, target: SocketAddr) {
        let mut place = self.shared.target.lock().unwrap();
        *place = (place.0 + 1, target);
        self.shared.changed.notify_all();
    }

    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Returns the number of webhooks whose connection ended before the response.
    pub fn unanswered(&self) -> u64 {
        self.shared.unanswered.load(Ordering::Relaxed)
    }

    /// Waits until this number of further webhooks is acknowledged.
    #[track_caller]
    pub fn until_acknowledged(&self, more: u64) {
        let enough = self.acknowledged() + more;
        until_true(&format!("{more} more acknowledgements"), || self.acknowledged() >= enough);
    }

    /// Ends every connection after its pending response. Returns all webhooks; those of one account are in the order
    /// in which they were sent.
    pub fn stop(self) -> Vec<SentWebhook> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.changed.notify_all();
        self.threads.into_iter().flat_map(|thread| thread.join().expect("a sender ends")).collect()
    }
}

fn send(shared: &Shared, name: &str, mut random: Random) -> Vec<SentWebhook> {
    let mut ledger = Vec::new();
    let mut open: Option<Connection> = None;
    let mut generation = None;
    for number in 0_u64.. {
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        if open.is_none() {
            match connect(shared, &mut generation) {
                Some(connection) => open = Some(connection),
                None => break,
            }
        }
        let Some(connection) = &mut open else { break };
        let account = format!("{name}-{}", random.next() % ACCOUNTS);
        let keys: Vec<String> = (0..random.between(1, 4)).map(|key| format!("{number}_{key}_1698741698")).collect();
        let sent = Instant::now();
        let target = format!("/?{}", signed_query(APP, TOKEN));
        let response = match connection.post(&target, &recall_body(&account, &keys)) {
            Ok(200) => {
                shared.acknowledged.fetch_add(1, Ordering::Relaxed);
                ResponseKind::Acknowledged
            }
            Ok(_) => ResponseKind::Refused,
            Err(_) => {
                open = None;
                shared.unanswered.fetch_add(1, Ordering::Relaxed);
                ResponseKind::Missing
            }
        };
        ledger.push(SentWebhook { account, keys, response, took: sent.elapsed() });
        thread::sleep(shared.pace);
    }
    ledger
}

/// Connects to the current target. If that fails, waits for another target.
fn connect(shared: &Shared, tried: &mut Option<u64>) -> Option<Connection> {
    let deadline = Instant::now() + DEADLINE;
    let mut place = shared.target.lock().unwrap();
    loop {
        if shared.stop.load(Ordering::Relaxed) || Instant::now() >= deadline {
            return None;
        }
        let (generation, address) = *place;
        if *tried == Some(generation) {
            // The wait has a timeout, because a stop can come between the check and the wait.
            place = shared.changed.wait_timeout(place, Duration::from_millis(100)).unwrap().0;
            continue;
        }
        *tried = Some(generation);
        drop(place);
        if let Ok(connection) = Connection::open(address) {
            return Some(connection);
        }
        place = shared.target.lock().unwrap();
    }
}
