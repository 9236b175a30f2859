//! Which entries are meant.

use super::kind::account;
use crate::spool::{QuarantineId, StoredEntry};

/// Conditions that all have to hold; none: every entry.
///
/// Entries never change, and a later one has a higher number: what a filter with
/// [`through`](Self::through) matches can only become fewer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// This reason.
    pub reason: Option<String>,
    /// About this account.
    pub account: Option<String>,
    /// Put there at this time or later, in UNIX milliseconds.
    pub since_ms: Option<i64>,
    /// With this number or a lower one.
    pub through: Option<QuarantineId>,
}

impl Filter {
    /// Whether an entry is meant.
    pub fn matches(&self, entry: &StoredEntry) -> bool {
        self.reason.as_ref().is_none_or(|reason| *reason == entry.reason)
            && self.since_ms.is_none_or(|since| entry.at_ms >= since)
            && self.through.is_none_or(|through| entry.id <= through)
            // Last: it reads the body.
            && self.account.as_ref().is_none_or(|wanted| account(entry).as_ref() == Some(wanted))
    }

    /// Whether nothing beyond this number can be meant.
    pub fn is_past(&self, id: QuarantineId) -> bool {
        self.through.is_some_and(|through| id > through)
    }
}
