//! The protocol of the control socket: one JSON line in each direction.

use serde::{Deserialize, Serialize};

use crate::quarantine::{Action, Changed};
use crate::spool::QuarantineId;

/// Entries that one request may name.
pub const REQUEST_MAX_IDS: usize = 256;
/// Bytes of a request: its entries, with room.
pub(super) const REQUEST_MAX_BYTES: usize = 16 << 10;
/// Bytes of an answer: a reason for each entry.
pub(super) const ANSWER_MAX_BYTES: u64 = 4 << 20;

/// What is to be done.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) action: Action,
    pub(super) ids: Vec<QuarantineId>,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ControlReply {
    /// Of each entry.
    Changed(Vec<Changed>),
    /// The request could not be worked on, or not to its end.
    Error(String),
}

/// Whether a line is a request, for the fuzz targets.
pub fn is_request(line: &[u8]) -> bool {
    serde_json::from_slice::<Request>(line).is_ok()
}
