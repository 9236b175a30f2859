//! Asks a node for its sequence numbers: `/status` of its operations listener.

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use super::CommandError;
use super::node_client::NodeClient;
use crate::verify::{NodeProgress, NodeSpool};

/// The fields of `/status` that count. `identities` is missing in releases before 0.2.
#[derive(Debug, Deserialize)]
struct StatusFields {
    spool_uuid: String,
    accepted_seq: u64,
    published_seq: u64,
    #[serde(default)]
    identities: Vec<StatusIdentity>,
    #[serde(default)]
    quarantine: Value,
}

#[derive(Debug, Deserialize)]
struct StatusIdentity {
    bridge_spool: String,
    first_seq: u64,
}

/// Returns the progress of the node.
///
/// # Errors
/// No node responds at this URL.
pub(super) fn ask(url: &reqwest::Url) -> Result<NodeProgress, CommandError> {
    let node = NodeClient::new(Some(url.as_str()))?;
    let status = super::block_on(node.json(url.path()))
        .and_then(|status| progress(status).with_context(|| format!("{url} is not the /status of a node")));
    status.context("--status-url").map_err(CommandError::Outside)
}

fn progress(status: Value) -> anyhow::Result<NodeProgress> {
    let status: StatusFields = serde_json::from_value(status)?;
    let StatusFields { spool_uuid, accepted_seq, published_seq, mut identities, quarantine } = status;
    if identities.is_empty() {
        identities.push(StatusIdentity { bridge_spool: spool_uuid, first_seq: 1 });
    }
    // `/status` counts events across all spool UUIDs; `bridge_seq` counts from 1 within one.
    let ends = identities.iter().skip(1).map(|next| next.first_seq.saturating_sub(1)).chain([accepted_seq]);
    let spools = identities.iter().zip(ends).map(|(identity, end)| {
        let before = identity.first_seq.saturating_sub(1);
        NodeSpool {
            bridge_spool: identity.bridge_spool.clone(),
            accepted: end.saturating_sub(before),
            published: published_seq.min(end).saturating_sub(before),
        }
    });
    let rejected = quarantine.as_object().into_iter().flatten().filter(|(reason, _)| reason.starts_with("kafka_"));
    Ok(NodeProgress {
        spools: spools.collect(),
        quarantined: rejected.filter_map(|(_, tally)| tally["events"].as_u64()).sum(),
        has_corrupted_rows: quarantine.get("damaged").is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_of_the_node_become_numbers_of_its_spools() {
        let status = r#"{ "spool_uuid": "b", "accepted_seq": 30, "published_seq": 22,
            "identities": [{ "bridge_spool": "a", "first_seq": 1 }, { "bridge_spool": "b", "first_seq": 21 }],
            "quarantine": { "kafka_too_large": { "events": 2, "bytes": 9 }, "stale": { "events": 5, "bytes": 9 } } }"#;
        let progress = progress(serde_json::from_str(status).unwrap()).unwrap();
        let numbers: Vec<_> = progress
            .spools
            .iter()
            .map(|spool| (spool.bridge_spool.as_str(), spool.accepted, spool.published))
            .collect();
        assert_eq!(numbers, [("a", 20, 20), ("b", 10, 2)]);
        assert_eq!((progress.quarantined, progress.has_corrupted_rows), (2, false));
    }

    #[test]
    fn a_status_without_identities_has_one_spool_from_1_on() {
        let progress = progress(json!({ "spool_uuid": "a", "accepted_seq": 3, "published_seq": 2 })).unwrap();
        let [NodeSpool { bridge_spool, accepted, published }] = progress.spools.as_slice() else { panic!() };
        assert_eq!((bridge_spool.as_str(), *accepted, *published), ("a", 3, 2));
        assert!(super::progress(json!({})).is_err());
    }
}
