//! The protocol of the control socket: one JSON line in each direction.

use serde::{Deserialize, Serialize};

use crate::quarantine::{Changed, EntryAction};
use crate::refused::{RefusedFilter, RefusedId, RefusedView, ReplayResult};
use crate::spool::QuarantineId;

/// Entries that one request may name.
pub const REQUEST_MAX_IDS: usize = 256;
/// Maximum bytes of a request: enough for all its entries.
pub(super) const REQUEST_MAX_BYTES: usize = 16 << 10;
/// Maximum bytes of a response: enough for a reason per entry.
pub(super) const RESPONSE_MAX_BYTES: u64 = 4 << 20;

/// Entries of the refused journal that one response holds, with fields of any length within their limits.
pub(super) const PAGE_MAX_ENTRIES: usize = 64;

/// What a command asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Request {
    /// A change of the quarantine.
    Quarantine { action: EntryAction, ids: Vec<QuarantineId> },
    /// Entries of the refused journal.
    Refused { refused: RefusedRequest },
    /// The limits of the spool.
    Limits { limits: () },
}

/// The limits under which the process runs, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolLimits {
    /// `BRIDGE_SPOOL_MAX_BYTES`.
    pub max_bytes: u64,
    /// `BRIDGE_QUARANTINE_MAX_BYTES`.
    pub quarantine_max_bytes: u64,
}

/// A request about the refused journal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RefusedRequest {
    /// The matching entries above this id, in the order of ids.
    List { filter: RefusedFilter, after: RefusedId },
    /// Publish these entries.
    Replay { ids: Vec<RefusedId> },
}

/// The response to a request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ControlResponse {
    /// The result for each entry.
    Changed(Vec<Changed>),
    /// Entries of the refused journal.
    Refused(Vec<RefusedView>),
    /// The result for each entry of a replay.
    Replayed(Vec<ReplayResult>),
    /// The limits of the spool.
    Limits(SpoolLimits),
    /// The request could not be executed completely.
    Error(String),
}

/// Whether a line is a request, for the fuzz targets.
pub fn is_request(line: &[u8]) -> bool {
    serde_json::from_slice::<Request>(line).is_ok()
}
