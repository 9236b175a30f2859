//! Legitimate senders: signed webhooks at a fixed rate.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::bridge::{APP, TOKEN};
use crate::sender::{recall_body, signed_query};

/// Webhooks per second of one sender. There are two senders.
const RATE: u32 = 50;
/// The timeout of the vendor.
const PATIENCE: Duration = Duration::from_secs(2);

/// The results of the senders.
#[derive(Debug, Default)]
pub struct Sent {
    pub latencies: Vec<Duration>,
    pub failed: Vec<String>,
}

impl Sent {
    pub fn percentile(&self, part: f64) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index"
        )]
        let at = (sorted.len() as f64 * part) as usize;
        sorted[at.min(sorted.len() - 1)]
    }
}

/// Senders that run until `stop`.
pub struct Senders {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Sent>>,
}

impl Senders {
    /// Starts one sender that keeps its connection, and one that opens a connection for each webhook.
    pub fn start(address: SocketAddr) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let stop = Arc::new(AtomicBool::new(false));
        let start = |keeps| {
            let (stop, number) = (Arc::clone(&stop), NUMBER.fetch_add(1, Relaxed));
            thread::spawn(move || send(address, keeps, number, &stop))
        };
        let threads = vec![start(true), start(false)];
        Self { stop, threads }
    }

    pub fn stop(self) -> Sent {
        self.stop.store(true, Relaxed);
        let mut all = Sent::default();
        for thread in self.threads {
            let sent = thread.join().unwrap();
            all.latencies.extend(sent.latencies);
            all.failed.extend(sent.failed);
        }
        all
    }
}

/// Sends webhooks at a fixed rate. The latency of a late webhook counts from the time at which it was due.
fn send(address: SocketAddr, keeps: bool, number: u64, stop: &AtomicBool) -> Sent {
    let (mut sent, mut kept, began) = (Sent::default(), None, Instant::now());
    for count in 0_u32.. {
        let due = began + Duration::from_secs(1) * count / RATE;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if stop.load(Relaxed) {
            break;
        }
        let body = recall_body("#TOA#_legitimate", &[format!("{count}_{number}_1698741698")]);
        let result = kept.take().map_or_else(|| connect(address), Ok).and_then(|stream| post(stream, &body, keeps));
        match result {
            Ok(stream) => {
                kept = stream;
                sent.latencies.push(due.elapsed());
            }
            Err(error) => sent.failed.push(format!("{}: {error}", if keeps { "kept" } else { "fresh" })),
        }
    }
    sent
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn post(mut stream: TcpStream, body: &str, keep: bool) -> io::Result<Option<TcpStream>> {
    let (query, length) = (signed_query(APP, TOKEN), body.len());
    let connection = if keep { "keep-alive" } else { "close" };
    let request = format!(
        "POST /?{query} HTTP/1.1\r\nHost: bridge\r\nConnection: {connection}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut part = [0; 1024];
    while !answer.ends_with(b"}") {
        let read = stream.read(&mut part)?;
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&part[..read]);
    }
    if answer.starts_with(b"HTTP/1.1 200 ") {
        return Ok(keep.then_some(stream));
    }
    Err(io::Error::other(String::from_utf8_lossy(&answer).into_owned()))
}
