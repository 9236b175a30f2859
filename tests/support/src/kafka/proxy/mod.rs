//! A network that delays what it should not: a proxy that knows where Kafka's requests begin.

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
/// How long one is held that is delivered late.
const LATE_MS: (u64, u64) = (50, 4000);
/// Far above any request of the tests.
const MAX_FRAME_BYTES: usize = 64 << 20;

/// What happens to a request that ends a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndTxn {
    /// It passes.
    Pass,
    /// It waits until [`Proxy::pass`], or for ever if its client is gone by then.
    Hold,
    /// One of so many is held for 0.05 to 4 s and then delivered where it would have gone; its
    /// client finds the connection cut at once and tries again on another one.
    DeliverLate {
        /// Of so many, one.
        one_of: u64,
    },
}

/// Between clients at its port and the broker. Ends when it is dropped.
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
    /// Held ones that reached a broker.
    answered: AtomicU64,
    /// Held ones that the broker answered without an error.
    accepted: AtomicU64,
    /// Held ones that are still to be delivered.
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
                // A connection that breaks is what happens here all the time.
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

    /// Cuts one of so many connections; returns how many. What was sent before still arrives; its
    /// answer does not.
    #[allow(dead_code, reason = "shared between suites; each uses a part")]
    pub fn cut(&self, one_of: u64) -> u64 {
        self.shared.network.cut(one_of)
    }

    /// Delays each request and each answer by up to so much, those of one connection in order.
    #[allow(dead_code, reason = "shared between suites; each uses a part")]
    pub fn delay(&self, at_most: Duration) {
        self.shared.network.delay(at_most);
    }

    /// Holds everything until it is told otherwise. Then also what clients that are gone had sent
    /// is delivered.
    #[allow(dead_code, reason = "shared between suites; each uses a part")]
    pub fn stall(&self, stalled: bool) {
        self.shared.network.stall(stalled);
    }

    /// Requests held so far.
    pub fn held(&self) -> u64 {
        self.shared.held.load(Ordering::Relaxed)
    }

    /// Of those delivered late, how many the broker answered, whatever it said.
    #[allow(dead_code, reason = "shared between suites; each uses a part")]
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Of those delivered late, how many the broker took.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Those still to be delivered late.
    pub fn pending(&self) -> u64 {
        self.shared.pending.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
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
            // What was asked before is answered, then the broker sees the end.
            return upstream.shutdown(Shutdown::Write);
        };
        if u16::from_be_bytes([frame[4], frame[5]]) == END_TXN && !decide(shared, &client)? {
            late.store(true, Ordering::Relaxed);
            shared.pending.fetch_add(1, Ordering::Relaxed);
            // Fails only where the client is gone by itself.
            let _ = client.shutdown(Shutdown::Both);
            thread::sleep(Duration::from_millis(shared.network.between(LATE_MS.0, LATE_MS.1)));
            // Fails where the broker is gone, and then nothing answers either.
            let _ = upstream.write_all(&frame);
            let _ = answering.join();
            shared.pending.fetch_sub(1, Ordering::Relaxed);
            return Ok(());
        }
        shared.network.pass();
        upstream.write_all(&frame)?;
    }
}

/// Whether an `EndTxn` passes now; otherwise it is to be delivered late. Waits while they are held.
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
                // What a client that died had sent never arrives.
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

/// Passes the broker's answers on; after the connection was cut, looks at the last one.
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
            // Where the client has left, the broker may still answer what comes late.
            let _ = client.write_all(&frame);
        }
    }
    let _ = upstream.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Both);
}

/// One request or answer, with its length.
fn read_frame(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    stream.read_exact(&mut frame)?;
    let length = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize;
    assert!((4..MAX_FRAME_BYTES).contains(&length), "a frame of {length} bytes");
    frame.resize(4 + length, 0);
    stream.read_exact(&mut frame[4..])?;
    Ok(frame)
}
