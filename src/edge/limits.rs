//! Time and size limits of the HTTP layer.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// The time from the first byte of a head to its end.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// The time from the first byte of a TLS handshake to its end.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest time of a write without progress.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest time of a whole response.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
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
