//! The HTTP layer between a socket and a service, for both listeners.
//!
//! The layer reads one request at a time from a connection, checks its framing, passes it to a [`Service`], and
//! writes the response before it reads the next request. Any peer that reaches the port gets here, so these rules
//! protect the bridge:
//!
//! - **Every wait for a peer has a deadline.** A head must be complete [`HEAD_TIMEOUT`] after its first byte, a TLS
//!   handshake after [`HANDSHAKE_TIMEOUT`]. A new connection has the same time for its first byte. The service
//!   limits the wait for a body. A write must progress within [`WRITE_TIMEOUT`]. After the last response the layer
//!   discards input for at most [`LINGER_TIMEOUT`] and [`LINGER_BYTES`]. An idle connection closes after the
//!   keep-alive time.
//! - **Unread responses stop reading.** The next request is read only after the previous response is written.
//! - **Memory is bounded.** A connection holds one head ([`MAX_HEAD_BYTES`]) and one body. What a
//!   connection holds above [`FREE_BYTES`] comes from one budget for the process ([`BUDGET_BYTES`]).
//! - **Fairness.** After each response the connection yields to the other connections of its worker.
//! - **Connections are limited** ([`Limits::connections`]). At the limit the oldest idle connection closes; a
//!   connection that never sent an authentic request closes before one that did.
//! - **Every request gets one response**, also a request that cannot be parsed ([`Service::bad_request`]).
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

/// The time from the first byte of a head to its end.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// The time from the first byte of a TLS handshake to its end.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest time of a write without progress.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest time of a whole response.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
/// The time for which input is discarded after the last response, so that the peer reads the response before a
/// reset.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// The amount of input that is discarded after the last response.
pub const LINGER_BYTES: usize = 512 * 1024;
/// The maximum length of a head in bytes: request line and headers.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The maximum number of header lines of a request.
pub const MAX_HEADERS: usize = 96;
/// The bytes that each connection may hold without using the budget. A head of the vendor has about 500 bytes, a
/// body about 300.
pub const FREE_BYTES: usize = 4 * 1024;
/// The bytes that all connections of a listener may hold above their free bytes: more than the largest configurable
/// body (16 MiB).
pub const BUDGET_BYTES: usize = 24 * 1024 * 1024;

/// Answers the requests of a listener. One instance serves one worker thread.
pub trait Service: 'static {
    /// Answers one request. It may read the body; an unread body closes the connection.
    fn call(&self, head: &Head, body: &mut Body<'_>) -> impl Future<Output = Reply>;

    /// Answers bytes that are not an HTTP request. The connection closes after the response.
    fn bad_request(&self, error: &HeadError, peer: std::net::IpAddr) -> Reply;
}

/// The limits of one listener.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Worker threads.
    pub workers: usize,
    /// Open connections of all workers together.
    pub connections: usize,
    /// The longest idle time of a connection between two requests.
    pub keep_alive: Duration,
    /// The time that current requests have when the listener stops.
    pub stop_timeout: Duration,
}

/// The counters of a listener, for the metrics.
#[derive(Debug, Default)]
pub struct Counters {
    /// Open connections.
    pub open: AtomicU64,
    /// Connections closed because of the connection limit.
    pub evicted: AtomicU64,
    /// Connections closed because the peer did not read a response.
    pub stalled: AtomicU64,
}
