//! Executes the requests of commands.

use super::changes::Changes;
use super::protocol::{ControlResponse, PAGE_MAX_ENTRIES, RefusedRequest, Request, SpoolLimits};
use crate::refused::{RefusedFilter, RefusedId, RefusedView};

pub(super) fn work(changes: &Changes, request: &Request) -> ControlResponse {
    match request {
        Request::Quarantine { action, ids } => {
            changes.change(*action, ids).map_or_else(ControlResponse::Error, ControlResponse::Changed)
        }
        Request::Refused { refused: RefusedRequest::List { filter, after } } => list(changes, filter, *after),
        Request::Refused { refused: RefusedRequest::Replay { ids } } => {
            changes.replay(ids).map_or_else(ControlResponse::Error, ControlResponse::Replayed)
        }
        Request::Limits { .. } => {
            let usage = changes.spool.usage();
            let (max_bytes, quarantine_max_bytes) = (usage.max_bytes, usage.quarantine_max_bytes);
            ControlResponse::Limits(SpoolLimits { max_bytes, quarantine_max_bytes })
        }
    }
}

fn list(changes: &Changes, filter: &RefusedFilter, after: RefusedId) -> ControlResponse {
    let entries = changes.journal.entries();
    let matching = entries.iter().filter(|entry| entry.id > after && filter.matches(entry));
    ControlResponse::Refused(matching.take(PAGE_MAX_ENTRIES).map(|entry| RefusedView::from(&**entry)).collect())
}
