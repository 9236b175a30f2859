//! How a command asks the running process for a change: a Unix domain socket in the spool directory.
//!
//! The spool has one writer. What a command wants changed while a node runs, the node does: one
//! JSON line each way, one connection after the other, every size and time bounded. The socket's
//! mode (0600) is the permission; nothing can be changed through the operations listener, which
//! asks nobody who he is.

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
/// Bytes of a request: its entries, with room.
const REQUEST_MAX_BYTES: usize = 16 << 10;
/// Bytes of an answer: a reason for each entry.
const ANSWER_MAX_BYTES: u64 = 4 << 20;

/// What is to be done.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    action: Action,
    ids: Vec<QuarantineId>,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    /// Of each entry.
    Changed(Vec<Changed>),
    /// The request could not be worked on, or not to its end.
    Error(String),
}

/// Whether a line is a request, for the fuzz targets.
#[doc(hidden)]
pub fn is_request(line: &[u8]) -> bool {
    serde_json::from_slice::<Request>(line).is_ok()
}
