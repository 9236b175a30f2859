//! The HTTP edge: everything between a socket and a service, for both listeners.
//!
//! The edge reads one request at a time from a connection, checks its framing, hands it to a
//! [`Service`], and writes the reply before it reads the next request. Vendors, balancers and strangers
//! all come through here, so the rules of this module are what keeps a peer from hurting the bridge:
//!
//! - **Every wait for a peer has a deadline.** A head must be complete [`HEAD_TIMEOUT`] after its first
//!   byte, a TLS handshake after [`HANDSHAKE_TIMEOUT`]. A new connection has the same time for its first byte. The service bounds the wait for a body. A write must
//!   progress within [`WRITE_TIMEOUT`]. After the last reply the edge discards input for at most
//!   [`LINGER_TIMEOUT`] and [`LINGER_BYTES`]. An idle connection ends after the keep-alive time.
//! - **Unread replies stop reading.** The next request is not read before the last reply is written.
//! - **Memory is bounded.** A connection holds one head ([`MAX_HEAD_BYTES`]) and one body. What a
//!   connection holds above [`FREE_BYTES`] comes from one budget for the process ([`BUDGET_BYTES`]).
//! - **Fair share.** After each reply the connection yields to the other connections of its worker.
//! - **Connections are bounded** ([`Limits::connections`]). Above the bound the oldest idle connection
//!   ends, and one that never sent an authentic request ends before one that did.
//! - **Every request gets one reply**, also a request that cannot be parsed ([`Service::bad_request`]).
//!
//! Sources: RFC 9110 (semantics), RFC 9112 (HTTP/1.1 framing, section 6.3 for the length of a body).

mod body;
mod chunked;
mod connection;
pub mod descriptors;
mod head;
mod input;
mod registry;
mod reply;
mod server;
mod stream;

use std::future::Future;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

pub use body::{Body, BodyError};
pub use head::{Head, HeadError, Method};
pub use reply::Reply;
pub use server::{Options, Server, run};

/// From the first byte of a head to its end.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// From the first byte of a TLS handshake to its end.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a write may go without progress.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a reply may take in all.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long input is discarded after the last reply, so that the peer reads the reply before a reset.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// How much input is discarded after the last reply.
pub const LINGER_BYTES: usize = 512 * 1024;
/// Longest head, in bytes: request line and headers.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Most header lines of a request.
pub const MAX_HEADERS: usize = 96;
/// What each connection may hold without asking the budget, in bytes. A head of the vendor has some
/// 500 bytes, a body some 300.
pub const FREE_BYTES: usize = 4 * 1024;
/// What all connections of a listener may hold above their free bytes, in bytes: more than the largest body
/// that can be configured (16 MiB).
pub const BUDGET_BYTES: usize = 24 * 1024 * 1024;

/// What answers the requests of a listener. One instance serves one worker thread.
pub trait Service: 'static {
    /// Answers one request. Reads the body, or leaves it; a body that is left ends the connection.
    fn call(&self, head: &Head, body: &mut Body<'_>) -> impl Future<Output = Reply>;

    /// Answers bytes that are no HTTP request. The connection ends after it.
    fn bad_request(&self, error: &HeadError, peer: std::net::IpAddr) -> Reply;
}

/// Bounds of one listener.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Worker threads.
    pub workers: usize,
    /// Open connections, of all workers together.
    pub connections: usize,
    /// How long a connection may be idle between two requests.
    pub keep_alive: Duration,
    /// How long requests in progress may take once the listener stops.
    pub stop_timeout: Duration,
}

/// What happened on a listener, for the metrics.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that are open.
    pub open: AtomicU64,
    /// Connections that ended because of the bound.
    pub evicted: AtomicU64,
    /// Connections that ended because the peer did not read a reply.
    pub stalled: AtomicU64,
}
