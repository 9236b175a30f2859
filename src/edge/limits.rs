//! Time and size limits of the HTTP edge.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

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
