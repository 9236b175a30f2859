//! How a command asks the running process for a change: a Unix domain socket in the spool directory.
//!
//! The spool has one writer. What a command wants changed while a node runs, the node does: one
//! JSON line each way, one connection after the other, every size and time bounded. The socket's
//! mode (0600) is the permission; nothing can be changed through the operations listener, which
//! asks nobody who he is.

mod client;
mod protocol;
mod server;
mod socket;

pub use client::{ControlError, ask};
pub use protocol::REQUEST_MAX_IDS;
#[doc(hidden)]
pub use protocol::is_request;
pub use server::Control;
