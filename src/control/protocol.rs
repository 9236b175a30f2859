//! The protocol of the control socket: one JSON line in each direction.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::quarantine::{Changed, EntryAction};
use crate::refused::{RefusedFilter, RefusedId, RefusedView, ReplayResult};
use crate::replay::{PublishTarget, Republished};
use crate::spool::QuarantineId;

/// Entries that one request may name.
pub const REQUEST_MAX_IDS: usize = 256;
/// Maximum bytes of a request: enough for its entries, and for the records of a replay in Base64.
pub(super) const REQUEST_MAX_BYTES: usize = 2 << 20;
/// A replay adds records to one request until they have this number of bytes. The last record may exceed it by 1 MiB,
/// the limit of a webhook.
pub const REPUBLISH_BYTES: usize = 256 << 10;
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
    /// Records of the topic, to be published again.
    Republish { republish: RepublishRequest },
}

/// The limits under which the process runs, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolLimits {
    /// `BRIDGE_SPOOL_MAX_BYTES`.
    pub max_bytes: u64,
    /// `BRIDGE_QUARANTINE_MAX_BYTES`.
    pub quarantine_max_bytes: u64,
}

/// A request of a replay.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RepublishRequest {
    /// Where the node publishes to.
    Target,
    /// Append these records.
    Records { replay: Uuid, events: Vec<EventBytes> },
}

/// An encoded record, in Base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct EventBytes(pub(super) Vec<u8>);

impl From<EventBytes> for String {
    fn from(event: EventBytes) -> Self {
        STANDARD.encode(event.0)
    }
}

impl TryFrom<String> for EventBytes {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        STANDARD.decode(text).map(Self)
    }
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
    /// Where the node publishes to.
    Target(PublishTarget),
    /// The result for the records of a replay.
    Republished(Republished),
    /// The request could not be executed completely.
    Error(String),
}

/// Whether a line is a request, for the fuzz targets.
pub fn is_request(line: &[u8]) -> bool {
    serde_json::from_slice::<Request>(line).is_ok()
}
