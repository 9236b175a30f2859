//! The HTTP edge: everything between a socket and a service, for both listeners.
//!
//! The edge reads one request at a time from a connection, checks its framing, hands it to a
//! [`Service`], and writes the reply before it reads the next request. Vendors, balancers and strangers
//! all come through here, so the rules of this module are what keeps a peer from hurting the bridge:
//!
//! - **Every wait for a peer has a deadline.** A head must be complete [`HEAD_TIMEOUT`](limits::HEAD_TIMEOUT) after its first
//!   byte, a TLS handshake after [`HANDSHAKE_TIMEOUT`](limits::HANDSHAKE_TIMEOUT). A new connection has the same time for its first byte. The service bounds the wait for a body. A write must
//!   progress within [`WRITE_TIMEOUT`](limits::WRITE_TIMEOUT). After the last reply the edge discards input for at most
//!   [`LINGER_TIMEOUT`](limits::LINGER_TIMEOUT) and [`LINGER_BYTES`](limits::LINGER_BYTES). An idle connection ends after the keep-alive time.
//! - **Unread replies stop reading.** The next request is not read before the last reply is written.
//! - **Memory is bounded.** A connection holds one head ([`MAX_HEAD_BYTES`](limits::MAX_HEAD_BYTES)) and one body. What a
//!   connection holds above [`FREE_BYTES`](limits::FREE_BYTES) comes from one budget for the process ([`BUDGET_BYTES`](limits::BUDGET_BYTES)).
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
pub mod limits;
mod registry;
mod reply;
mod server;
mod service;
mod stream;
mod worker;

pub use body::{Body, BodyError};
pub use head::{Head, HeadError, Method};
pub use limits::{Counters, Limits};
pub use reply::Reply;
pub use server::{Options, Server, run};
pub use service::Service;
