//! The results of a search.

use serde::Serialize;
use uuid::Uuid;

/// A place that a recall can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindPlace {
    /// Accepted and not published yet.
    Spool,
    /// Kept and not published.
    Quarantine,
    /// Refused.
    Refused,
    /// In Kafka.
    Published,
}

/// One recall, or one webhook, in one place. What does not apply is `null`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sighting {
    /// The place.
    pub place: FindPlace,
    /// When it got there, in ISO 8601: accepted, stored, refused, published.
    pub at: String,
    /// The account.
    pub account: Option<String>,
    /// The MsgKey, or the keys of a webhook separated by blanks.
    pub msg_key: Option<String>,
    /// The event id.
    pub event_id: Option<String>,
    /// The id of the entry in the quarantine or in the refused journal.
    pub id: Option<i64>,
    /// The reason of the quarantine, or the outcome of the refusal, and its text.
    pub reason: Option<String>,
    /// The header `bridge_spool`.
    pub bridge_spool: Option<Uuid>,
    /// The header `bridge_seq`.
    pub bridge_seq: Option<u64>,
    /// The partition of a published record.
    pub partition: Option<i32>,
    /// Its offset.
    pub offset: Option<i64>,
    /// A command line that shows it.
    pub command: Option<String>,
}

impl FindPlace {
    /// Its name in output.
    pub fn label(self) -> &'static str {
        match self {
            Self::Spool => "spool",
            Self::Quarantine => "quarantine",
            Self::Refused => "refused",
            Self::Published => "published",
        }
    }
}

impl Sighting {
    /// Returns a sighting in `place` without the details of the recall.
    pub fn new(place: FindPlace, at: String) -> Self {
        Self {
            place,
            at,
            account: None,
            msg_key: None,
            event_id: None,
            id: None,
            reason: None,
            bridge_spool: None,
            bridge_seq: None,
            partition: None,
            offset: None,
            command: None,
        }
    }
}

/// The result of a search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindReport {
    /// What was searched.
    pub key: String,
    /// What was found: published first, then spool, quarantine, refused; newest first within the last three.
    pub found: Vec<Sighting>,
    /// Whether each place was searched completely.
    pub complete: bool,
    /// The limits that were reached, one sentence each.
    pub notes: Vec<String>,
}
