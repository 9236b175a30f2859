//! Selects entries of the journal.

use serde::{Deserialize, Serialize};

use super::entry::{RefusedEntry, RefusedId};

/// All conditions must match. Without conditions every entry matches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RefusedFilter {
    /// This outcome.
    pub outcome: Option<String>,
    /// Of this account.
    pub account: Option<String>,
    /// With this MsgKey.
    pub key: Option<String>,
    /// Received at this time or later, in UNIX milliseconds.
    pub since_ms: Option<i64>,
    /// With this id or a higher one.
    pub from: Option<RefusedId>,
    /// With this id or a lower one.
    pub through: Option<RefusedId>,
    /// Only with a valid `Sign`.
    pub authentic: bool,
}

impl RefusedFilter {
    /// Whether an entry matches.
    pub fn matches(&self, entry: &RefusedEntry) -> bool {
        self.outcome.as_ref().is_none_or(|outcome| *outcome == entry.outcome)
            && self.account.as_ref().is_none_or(|account| entry.account.as_ref() == Some(account))
            && self.key.as_ref().is_none_or(|key| entry.keys.contains(key))
            && self.since_ms.is_none_or(|since| entry.at_ms >= since)
            && self.from.is_none_or(|from| entry.id >= from)
            && self.through.is_none_or(|through| entry.id <= through)
            && (!self.authentic || entry.standing.is_authentic())
    }
}
