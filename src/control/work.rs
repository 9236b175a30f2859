//! Executes the requests of commands.

use uuid::Uuid;

use super::changes::Changes;
use super::protocol::{ControlResponse, EventBytes, PAGE_MAX_ENTRIES, RefusedRequest, RepublishRequest, Request};
use crate::clock;
use crate::refused::{RefusedFilter, RefusedId, RefusedView};
use crate::replay::{PublishTarget, Republished, republish};

/// The components that requests change or read.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) changes: Changes,
    pub(super) target: PublishTarget,
}

impl Parts {
    pub(super) fn work(&self, request: &Request) -> ControlResponse {
        match request {
            Request::Quarantine { action, ids } => {
                self.changes.change(*action, ids).map_or_else(ControlResponse::Error, ControlResponse::Changed)
            }
            Request::Refused { refused: RefusedRequest::List { filter, after } } => self.list(filter, *after),
            Request::Refused { refused: RefusedRequest::Replay { ids } } => {
                self.changes.replay(ids).map_or_else(ControlResponse::Error, ControlResponse::Replayed)
            }
            Request::Republish { republish: RepublishRequest::Target } => ControlResponse::Target(self.target.clone()),
            Request::Republish { republish: RepublishRequest::Records { replay, events } } => {
                self.republish(*replay, events)
            }
        }
    }

    fn list(&self, filter: &RefusedFilter, after: RefusedId) -> ControlResponse {
        let entries = self.changes.journal.entries();
        let matching = entries.iter().filter(|entry| entry.id > after && filter.matches(entry));
        ControlResponse::Refused(matching.take(PAGE_MAX_ENTRIES).map(|entry| RefusedView::from(&**entry)).collect())
    }

    fn republish(&self, replay: Uuid, events: &[EventBytes]) -> ControlResponse {
        let records = events.len();
        let events = events.iter().map(|event| event.0.clone()).collect();
        match republish(&self.changes.spool, events, clock::now_ms()) {
            Ok(republished) => {
                if let Republished::Appended { bridge_spool, bridge_seq } = republished {
                    tracing::info!(
                        event = "records_replayed",
                        %replay, records, %bridge_spool, bridge_seq,
                        "records of the topic are published again"
                    );
                }
                ControlResponse::Republished(republished)
            }
            Err(error) => {
                tracing::error!(event = "replay_failed", %replay, %error, "cannot append records of a replay");
                ControlResponse::Error(error.to_string())
            }
        }
    }
}
