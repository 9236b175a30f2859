//! Lets a command ask the running process for a change, through a Unix domain socket in the spool directory.
//!
//! The spool has one writer. While a node runs, the node itself makes every change for a command: one JSON line
//! each way, one connection at a time, with limits on every size and time. The socket's mode (0600) is the
//! permission. The operations listener has no authentication, so it changes nothing unless `BRIDGE_OPS_ACTIONS=true`; it
//! then uses the same [`Changes`].

mod changes;
mod client;
mod protocol;
mod republish;
mod server;
mod socket;
mod work;

pub use changes::Changes;
pub use client::{ControlError, ask, refused, replay};
#[doc(hidden)]
pub use protocol::is_request;
pub use protocol::{REPUBLISH_BYTES, REQUEST_MAX_IDS};
pub use republish::{republish, target};
pub use server::Control;
