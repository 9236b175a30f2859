//! Lets a command ask the running process for a change, through a Unix domain socket in the spool directory.
//!
//! The spool has one writer. While a node runs, the node itself makes every change for a command: one JSON line
//! each way, one connection at a time, with limits on every size and time. The socket's mode (0600) is the
//! permission. The operations listener has no authentication, so it cannot change anything.

mod client;
mod server;
mod socket;

pub use client::{ControlError, ask};
pub use server::Control;

use serde::{Deserialize, Serialize};

use crate::quarantine::{Action, Changed};
use crate::spool::QuarantineId;

/// Entries that one request may name.
pub const REQUEST_MAX_IDS: usize = 256;
/// Bytes of a request: enough for all its entries.
const REQUEST_MAX_BYTES: usize = 16 << 10;
/// Bytes of a response: enough for a reason per entry.
const RESPONSE_MAX_BYTES: u64 = 4 << 20;

/// A change that a command asks for.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    action: Action,
    ids: Vec<QuarantineId>,
}

/// The response to a request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ControlResponse {
    /// The result for each entry.
    Changed(Vec<Changed>),
    /// The request could not be executed completely.
    Error(String),
}

/// Whether a line is a valid request. For the fuzz targets.
#[doc(hidden)]
pub fn is_request(line: &[u8]) -> bool {
    serde_json::from_slice::<Request>(line).is_ok()
}
