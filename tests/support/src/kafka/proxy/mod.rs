//! A proxy that simulates an unreliable network. It parses the boundaries of Kafka's requests.

mod network;

use std::io::{Read as _, Result, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::random::Random;
use crate::wait::DEADLINE;
use network::Network;

/// The API key of the request that ends a transaction.
const END_TXN: u16 = 26;
/// The time for which a late request is held.
const LATE_MS: (u64, u64) = (50, 4000);
/// The maximum size of a request, far above the requests of the tests.
const MAX_FRAME_BYTES: usize = 64 << 20;

/// The treatment of a request that ends a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndTxn {
    /// The request passes.
    Pass,
    /// The request waits until [`Proxy::set`] changes the treatment. It is discarded if its client disconnects before.
    Hold,
    /// Some requests are held for 0.05 to 4 s and then delivered. The connection of the client is cut at once, and the
    /// client retries on another one.
    DeliverLate {
        /// A request is held with a probability of 1 in this number.
        one_of: u64,
    },
}

/// A proxy between clients at its port and the broker. It ends on drop.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: Mutex<Option<SocketAddr>>,
    policy: Mutex<EndTxn>,
    changed: Condvar,
    network: Network,
    ended: AtomicBool,
    held: AtomicU64,
    /// Late requests that the broker answered, with or without an error.
    answered: AtomicU64,
    /// Late requests that the broker answered without an error.
    accepted: AtomicU64,
    /// Late requests that are not delivered yet.
    pending: AtomicU64,
}

impl Proxy {
    /// Listens at `port`; connections wait for [`Proxy::forward_to`].
    pub fn start(port: u16, random: Random) -> Self {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port)).expect("the proxy's port is free");
        let shared = Arc::new(Shared {
            upstream: Mutex::new(None),
            policy: Mutex::new(EndTxn::Pass),
            changed: Condvar::new(),
            network: Network::new(random),
            ended: AtomicBool::new(false),
            held: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            pending: AtomicU64::new(0),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if serving.ended.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&serving);
                // A broken connection is expected here.
                thread::spawn(move || client.and_then(|client| serve(&shared, client)));
            }
        });
        Self { port, shared }
    }

    pub fn forward_to(&self, upstream: SocketAddr) {
        *self.shared.upstream.lock().unwrap() = Some(upstream);
    }

    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn set(&self, policy: EndTxn) {
        *self.shared.policy.lock().unwrap() = policy;
        self.shared.changed.notify_all();
    }

    /// Cuts connections, each with a probability of 1 in `one_of`. Returns the number of connections that were cut.
    /// Requests that were sent before still arrive, but their responses do not.
    #[allow(dead_code, reason = "shared between suites; each uses a part")]
    pub fn cut(&self, one_of: u64) -> u64 {
        self.shared.network.cut(one_of)
    }

    /// Delays each request and each response by up to this time. The order within a connection stays.
    #[allow(dead_code, reason = "shared between suites; each uses a part")]
    pub fn delay(&self, at_most: Duration) {
        self.shared.network.delay(at_most);
    }

    /// Holds all data until a call with `false`. After it, requests of disconnected clients are delivered, too.
    #[allow(dead_code, reason = "shared between suites; each uses a part")]
    pub fn stall(&self, stalled: bool) {
        self.shared.network.stall(stalled);
    }

    /// Returns the number of requests held so far.
    pub fn held(&self) -> u64 {
        self.shared.held.load(Ordering::Relaxed)
    }

    /// Returns the number of late requests that the broker answered, with or without an error.
    #[allow(dead_code, reason = "shared between suites; each uses a part")]
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Returns the number of late requests that the broker accepted.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Returns the number of late requests that are not delivered yet.
    pub fn pending(&self) -> u64 {
        self.shared.pending.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // This connection wakes the thread that accepts connections.
        let _ = TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, self.port));
    }
}

fn serve(shared: &Arc<Shared>, client: TcpStream) -> Result<()> {
    let number = shared.network.joined(&client)?;
    let result = forward(shared, client);
    shared.network.left(number);
    result
}

fn forward(shared: &Arc<Shared>, mut client: TcpStream) -> Result<()> {
    let address = (*shared.upstream.lock().unwrap()).expect("the proxy knows its broker");
    let mut upstream = TcpStream::connect(address)?;
    upstream.set_nodelay(true)?;
    client.set_nodelay(true)?;
    let (answers, mut back) = (upstream.try_clone()?, client.try_clone()?);
    let late = Arc::new(AtomicBool::new(false));
    let (counting, is_late) = (Arc::clone(shared), Arc::clone(&late));
    let answering = thread::spawn(move || answer(&counting, &is_late, answers, &mut back));
    loop {
        let frame = read_frame(&mut client);
        let Ok(frame) = frame else {
            // The broker answers the earlier requests, and then sees the end of the connection.
            return upstream.shutdown(Shutdown::Write);
        };
        if u16::from_be_bytes([frame[4], frame[5]]) == END_TXN && !decide(shared, &client)? {
            late.store(true, Ordering::Relaxed);
            shared.pending.fetch_add(1, Ordering::Relaxed);
            // Fails only if the client has disconnected already.
            let _ = client.shutdown(Shutdown::Both);
            thread::sleep(Duration::from_millis(shared.network.between(LATE_MS.0, LATE_MS.1)));
            // Fails if the broker has stopped; then no response comes either.
            let _ = upstream.write_all(&frame);
            let _ = answering.join();
            shared.pending.fetch_sub(1, Ordering::Relaxed);
            return Ok(());
        }
        shared.network.pass();
        upstream.write_all(&frame)?;
    }
}

/// Returns whether an `EndTxn` passes now; otherwise it is delivered late. Waits while such requests are held.
fn decide(shared: &Shared, client: &TcpStream) -> Result<bool> {
    let mut policy = shared.policy.lock().unwrap();
    let mut counted = false;
    loop {
        match *policy {
            EndTxn::Pass => return Ok(true),
            EndTxn::DeliverLate { one_of } => {
                let late = shared.network.between(1, one_of) == 1;
                shared.held.fetch_add(u64::from(late), Ordering::Relaxed);
                return Ok(!late);
            }
            EndTxn::Hold => {
                if !counted {
                    shared.held.fetch_add(1, Ordering::Relaxed);
                    counted = true;
                }
                policy = shared.changed.wait_timeout(policy, DEADLINE).unwrap().0;
                // The request of a client that has disconnected never arrives.
                client.set_nonblocking(true)?;
                let gone = matches!(client.peek(&mut [0]), Ok(0)) || client.take_error()?.is_some();
                client.set_nonblocking(false)?;
                if gone {
                    return Err(std::io::ErrorKind::ConnectionAborted.into());
                }
            }
        }
    }
}

/// Forwards the broker's responses. After the connection was cut, it reads the last response.
fn answer(shared: &Shared, late: &AtomicBool, mut upstream: TcpStream, client: &mut TcpStream) {
    while let Ok(frame) = read_frame(&mut upstream) {
        if late.load(Ordering::Relaxed) {
            // `EndTxn` up to version 2: length, correlation id, throttle time, error code.
            if frame.len() == 14 {
                shared.answered.fetch_add(1, Ordering::Relaxed);
                shared.accepted.fetch_add(u64::from(frame[12..14] == [0, 0]), Ordering::Relaxed);
                break;
            }
        } else {
            shared.network.pass();
            // Fails if the client has disconnected. The broker may still answer a late request, so the loop continues.
            let _ = client.write_all(&frame);
        }
    }
    let _ = upstream.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Both);
}

/// Reads one request or response, and returns it with its length field.
fn read_frame(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    stream.read_exact(&mut frame)?;
    let length = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize;
    assert!((4..MAX_FRAME_BYTES).contains(&length), "a frame of {length} bytes");
    frame.resize(4 + length, 0);
    stream.read_exact(&mut frame[4..])?;
    Ok(frame)
}
