//! Executes the requests of commands.

use std::sync::Arc;

use uuid::Uuid;

use super::protocol::{
    ControlResponse, EventBytes, PAGE_MAX_ENTRIES, REQUEST_MAX_IDS, RefusedRequest, RepublishRequest, Request,
};
use crate::clock;
use crate::quarantine::{Done, EntryAction, change};
use crate::refused::{RefusedFilter, RefusedId, RefusedJournal, RefusedView, ReplayDone, replay};
use crate::replay::{PublishTarget, Republished, republish};
use crate::spool::{QuarantineId, Reader, Spool};

/// The components that requests change or read.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) spool: Spool,
    pub(super) reader: Reader,
    pub(super) journal: Arc<RefusedJournal>,
    pub(super) target: PublishTarget,
}

impl Parts {
    pub(super) fn work(&self, request: &Request) -> ControlResponse {
        match request {
            Request::Quarantine { action, ids } => self.change(*action, ids),
            Request::Refused { refused: RefusedRequest::List { filter, after } } => self.list(filter, *after),
            Request::Refused { refused: RefusedRequest::Replay { ids } } => self.replay(ids),
            Request::Republish { republish: RepublishRequest::Target } => ControlResponse::Target(self.target.clone()),
            Request::Republish { republish: RepublishRequest::Records { replay, events } } => {
                self.republish(*replay, events)
            }
        }
    }

    fn republish(&self, replay: Uuid, events: &[EventBytes]) -> ControlResponse {
        let records = events.len();
        match republish(&self.spool, events.iter().map(|event| event.0.clone()).collect(), clock::now_ms()) {
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

    fn list(&self, filter: &RefusedFilter, after: RefusedId) -> ControlResponse {
        let entries = self.journal.entries();
        let matching = entries.iter().filter(|entry| entry.id > after && filter.matches(entry));
        ControlResponse::Refused(matching.take(PAGE_MAX_ENTRIES).map(|entry| RefusedView::from(&**entry)).collect())
    }

    fn replay(&self, ids: &[RefusedId]) -> ControlResponse {
        if let Some(error) = too_many(ids.len()) {
            return error;
        }
        let results = replay(
            &self.spool,
            &self.reader,
            ids,
            clock::now_ms(),
            |id| self.journal.get(id),
            |entry, done| {
                self.journal.mark(entry, done);
            },
        );
        let results = match results {
            Ok(results) => results,
            Err(error) => {
                tracing::error!(event = "refused_replay_failed", %error, "cannot replay refused webhooks");
                return ControlResponse::Error(error.to_string());
            }
        };
        for one in &results {
            match &one.done {
                ReplayDone::Replayed(replayed) => tracing::info!(
                    event = "refused_replayed",
                    entry = one.id,
                    records = replayed.records,
                    duplicates = replayed.duplicates,
                    bridge_spool = %replayed.bridge_spool,
                    bridge_seq = replayed.bridge_seq,
                    "replayed from the refused journal"
                ),
                ReplayDone::Kept { why } => {
                    tracing::warn!(event = "refused_not_replayed", entry = one.id, why, "refused webhook not replayed");
                }
                ReplayDone::Before(_) | ReplayDone::Unknown => {}
            }
        }
        ControlResponse::Replayed(results)
    }

    fn change(&self, action: EntryAction, ids: &[QuarantineId]) -> ControlResponse {
        if let Some(error) = too_many(ids.len()) {
            return error;
        }
        let ids = ids.iter().copied().collect();
        let changed = match change(&self.spool, &self.reader, action, &ids, clock::now_ms()) {
            Ok(changed) => changed,
            Err(error) => {
                tracing::error!(
                    event = "quarantine_change_failed", %error, ?action,
                    "cannot change the quarantine"
                );
                return ControlResponse::Error(error.to_string());
            }
        };
        for one in &changed {
            match (&one.done, action) {
                (Done::Requeued { records, bridge_spool, bridge_seq, was }, _) => {
                    let was_seq = was.map(|was| was.bridge_seq);
                    let was_spool = was.map(|was| was.bridge_spool.to_string());
                    tracing::info!(
                        event = "entry_requeued",
                        entry = one.id, records, %bridge_spool, bridge_seq, was_spool, was_seq,
                        "requeued from quarantine"
                    );
                }
                (Done::Dropped, _) => {
                    tracing::warn!(event = "entry_dropped", entry = one.id, "dropped from quarantine");
                }
                (Done::Kept { why }, action) => {
                    tracing::warn!(event = "entry_kept", entry = one.id, why, ?action, "entry stays in quarantine");
                }
                (Done::Gone | Done::Unknown, _) => {}
            }
        }
        ControlResponse::Changed(changed)
    }
}

fn too_many(ids: usize) -> Option<ControlResponse> {
    (ids > REQUEST_MAX_IDS)
        .then(|| ControlResponse::Error(format!("more than {REQUEST_MAX_IDS} entries in one request")))
}
