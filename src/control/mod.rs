//! Lets a command ask the running process for a change, through a Unix domain socket in the spool directory.
//!
//! The spool has one writer. While a node runs, the node itself makes every change for a command: one JSON line
//! each way, one connection at a time, with limits on every size and time. The socket's mode (0600) is the
//! permission. The operations listener has no authentication, so it cannot change anything.

mod client;
mod protocol;
mod republish;
mod server;
mod socket;
mod work;

pub use client::{ControlError, ask, refused, replay};
#[doc(hidden)]
pub use protocol::is_request;
pub use protocol::{REPUBLISH_BYTES, REQUEST_MAX_IDS};
pub use republish::{republish, target};
pub use server::Control;
