//! Compares the numbers in the topic with the progress of a node.

use serde::Serialize;

use super::missing::Missing;
use super::spool_records::SpoolRecords;
use crate::escape::plain;

/// The progress of a node, taken before the topic was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeProgress {
    /// Its spool UUIDs with their numbers, oldest first.
    pub spools: Vec<NodeSpool>,
    /// Records in its quarantine: their numbers are missing in the topic.
    pub quarantined: u64,
    /// Whether its quarantine has corrupted rows: these have numbers too.
    pub has_corrupted_rows: bool,
}

/// The numbers of one spool UUID of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeSpool {
    /// The spool UUID.
    pub bridge_spool: String,
    /// The last assigned `bridge_seq`; 0: none.
    pub accepted: u64,
    /// The last `bridge_seq` that is published or in quarantine; 0: none.
    pub published: u64,
}

/// The comparison of one spool.
pub(super) struct Comparison {
    /// For a person.
    pub(super) line: String,
    /// Numbers that are missing and not explained.
    pub(super) missing: u64,
    /// The error, if there is one.
    pub(super) fault: Option<String>,
}

/// Compares one spool. `complete`: the reading includes the first record that each partition ever had. `quarantined`:
/// numbers that the quarantine can explain; the comparison takes those that it uses.
pub(super) fn compare(
    node: &NodeSpool,
    found: Option<&SpoolRecords>,
    complete: bool,
    quarantined: &mut u64,
    has_corrupted_rows: bool,
) -> Comparison {
    let NodeSpool { bridge_spool, accepted, published } = node;
    let name = plain(bridge_spool);
    let waiting = accepted.saturating_sub(*published);
    let line = format!("spool {name}: published up to {published}, {waiting} waiting, according to its node");
    let first = if complete { Some(1) } else { found.and_then(|found| found.range).map(|(first, _)| first) };
    let missing = match (first, found) {
        (Some(first), Some(found)) => Missing::find(&found.seqs, first, *published),
        (Some(first), None) => {
            Missing { count: (*published + 1).saturating_sub(first), named: format!("1-{published}") }
        }
        (None, _) => Missing::default(),
    };
    let is_absent = found.is_none() && *published > 0;
    if missing.count > 0 && missing.count <= *quarantined {
        *quarantined -= missing.count;
        let line = format!("{line}; {} missing and in quarantine: {}", missing.count, missing.named);
        return Comparison { line, missing: 0, fault: None };
    }
    let fault = if is_absent {
        Some(format!(
            "spool {name}: its node has published up to {published}, and no record of it was read; check that the node \
             publishes to this topic and broker, that retention has not removed its records, and --from"
        ))
    } else if missing.count > 0 {
        let rows = if has_corrupted_rows { ", or are in a corrupted row of it" } else { "" };
        Some(format!(
            "spool {name}: {} number(s) up to {published} missing: {}; the node has {quarantined} rejected record(s) in \
             quarantine{rows}; its log names those that were requeued under another number",
            missing.count, missing.named
        ))
    } else {
        None
    };
    Comparison { line, missing: missing.count, fault }
}
