//! Selects entries of the quarantine.

use super::kind::account;
use crate::spool::{QuarantineId, QuarantineReason, StoredEntry};

/// All conditions must match. Without conditions every entry matches.
///
/// Entries never change, and later entries have higher ids. So the set that a filter with [`through`](Self::through)
/// matches can only shrink.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// This reason.
    pub reason: Option<QuarantineReason>,
    /// Of this account.
    pub account: Option<String>,
    /// Stored at this time or later, in UNIX milliseconds.
    pub since_ms: Option<i64>,
    /// With this id or a lower one.
    pub through: Option<QuarantineId>,
}

impl Filter {
    /// Whether an entry matches.
    pub fn matches(&self, entry: &StoredEntry) -> bool {
        self.reason.as_ref().is_none_or(|reason| *reason == entry.reason)
            && self.since_ms.is_none_or(|since| entry.at_ms >= since)
            && self.through.is_none_or(|through| entry.id <= through)
            // Last: it reads the body.
            && self.account.as_ref().is_none_or(|wanted| account(entry).as_ref() == Some(wanted))
    }

    /// Whether no entry above this id can match.
    pub fn is_past(&self, id: QuarantineId) -> bool {
        self.through.is_some_and(|through| id > through)
    }
}
