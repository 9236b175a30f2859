//! Selects records by account and MsgKey.

use serde_json::Value;

/// Conditions of a filter. A record matches if it has one of the accounts, if any are given, and one of the keys.
#[derive(Debug, Clone, Default, clap::Args)]
pub(in crate::commands) struct RecordFilter {
    /// Only records of this `Official_Account`; can be repeated.
    #[arg(long = "account", value_name = "ACCOUNT")]
    accounts: Vec<String>,
    /// Only records of this MsgKey; can be repeated.
    #[arg(long = "key", value_name = "MSGKEY")]
    keys: Vec<String>,
}

impl RecordFilter {
    /// Whether a record matches, in the shape of [`as_json`](super::as_json).
    pub(in crate::commands) fn matches(&self, record: &Value) -> bool {
        let is_one_of = |wanted: &[String], value: &Value| {
            wanted.is_empty() || value.as_str().is_some_and(|value| wanted.iter().any(|wanted| wanted == value))
        };
        is_one_of(&self.accounts, &record["key"]) && is_one_of(&self.keys, &record["value"]["msg_key"])
    }
}
