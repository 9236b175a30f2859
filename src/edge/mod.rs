//! The HTTP layer between a socket and a service, for both listeners.
//!
//! The layer reads one request at a time from a connection, checks its framing, passes it to a [`Service`], and
//! writes the response before it reads the next request. Any peer that reaches the port gets here, so these rules
//! protect the bridge:
//!
//! - **Every wait for a peer has a deadline.** A head must be complete [`HEAD_TIMEOUT`](limits::HEAD_TIMEOUT) after its first byte, a TLS
//!   handshake after [`HANDSHAKE_TIMEOUT`](limits::HANDSHAKE_TIMEOUT). A new connection has the same time for its first byte. The service
//!   limits the wait for a body. A write must progress within [`WRITE_TIMEOUT`](limits::WRITE_TIMEOUT). After the last response the layer
//!   discards input for at most [`LINGER_TIMEOUT`](limits::LINGER_TIMEOUT) and [`LINGER_BYTES`](limits::LINGER_BYTES). An idle connection closes after the
//!   keep-alive time.
//! - **Unread responses stop reading.** The next request is read only after the previous response is written.
//! - **Memory is bounded.** A connection holds one head ([`MAX_HEAD_BYTES`](limits::MAX_HEAD_BYTES)) and one body. What a
//!   connection holds above [`FREE_BYTES`](limits::FREE_BYTES) comes from one budget for the process ([`BUDGET_BYTES`](limits::BUDGET_BYTES)).
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
pub mod limits;
mod registry;
mod response;
mod server;
mod service;
mod stream;
mod timer;
mod worker;

pub use body::{Body, BodyError};
pub use head::{Head, HeadError, Method};
pub use limits::{Counters, Limits};
pub use response::Response;
pub use server::{ListenerOptions, Server, run};
pub use service::Service;
pub use timer::DeadlinePassed;
