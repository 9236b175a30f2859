//! The protocol of the control socket: one JSON line in each direction.

use serde::{Deserialize, Serialize};

use crate::quarantine::{Changed, EntryAction};
use crate::spool::QuarantineId;

/// Entries that one request may name.
pub const REQUEST_MAX_IDS: usize = 256;
/// Maximum bytes of a request: enough for all its entries.
pub(super) const REQUEST_MAX_BYTES: usize = 16 << 10;
/// Maximum bytes of a response: enough for a reason per entry.
pub(super) const RESPONSE_MAX_BYTES: u64 = 4 << 20;

/// A change that a command asks for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) action: EntryAction,
    pub(super) ids: Vec<QuarantineId>,
}

/// The response to a request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ControlResponse {
    /// The result for each entry.
    Changed(Vec<Changed>),
    /// The request could not be executed completely.
    Error(String),
}

/// Whether a line is a request, for the fuzz targets.
pub fn is_request(line: &[u8]) -> bool {
    serde_json::from_slice::<Request>(line).is_ok()
}
