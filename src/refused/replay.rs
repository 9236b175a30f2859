//! Publishes entries of the refused journal: appends their events to the spool, through the same functions as for a
//! webhook and for the quarantine.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::entry::{RefusedEntry, RefusedId, Replayed};
use super::view::ReplayedView;
use crate::quarantine::revive_webhook;
use crate::spool::{Identity, Reader, Spool, SpoolError, StoredEntry, TakeOutError};

/// Maximum length of a reason, which may quote the body.
const WHY_MAX_CHARS: usize = 300;

/// An entry and the result of its replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayResult {
    /// The id of the entry.
    pub id: RefusedId,
    /// The result.
    #[serde(flatten)]
    pub done: ReplayDone,
}

/// The result of a replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum ReplayDone {
    /// Its new events will be published. It may have none: then all its recalls had been accepted before.
    Replayed(ReplayedView),
    /// It was replayed before, and is not published again.
    Before(ReplayedView),
    /// It cannot be published.
    Kept {
        /// The reason.
        why: String,
    },
    /// The journal has no entry with this id.
    Unknown,
}

/// Replays entries in the order of `ids`. `find` returns an entry, `mark` records a replay. It is safe to repeat.
///
/// # Errors
/// The quarantine cannot be read. Earlier replays stay.
pub fn replay(
    spool: &Spool,
    reader: &Reader,
    ids: &[RefusedId],
    now_ms: i64,
    find: impl Fn(RefusedId) -> Option<Arc<RefusedEntry>>,
    mut mark: impl FnMut(&RefusedEntry, Replayed),
) -> Result<Vec<ReplayResult>, SpoolError> {
    let mut results = Vec::with_capacity(ids.len());
    for &id in ids {
        let done = match find(id) {
            None => ReplayDone::Unknown,
            Some(entry) => match &entry.replayed {
                Some(before) => ReplayDone::Before(before.into()),
                None => one(spool, reader, &entry, now_ms, &mut mark)?,
            },
        };
        results.push(ReplayResult { id, done });
    }
    Ok(results)
}

fn one(
    spool: &Spool,
    reader: &Reader,
    entry: &RefusedEntry,
    now_ms: i64,
    mark: &mut impl FnMut(&RefusedEntry, Replayed),
) -> Result<ReplayDone, SpoolError> {
    let kept = |why: &dyn ToString| Ok(ReplayDone::Kept { why: why.to_string().chars().take(WHY_MAX_CHARS).collect() });
    if !entry.standing.is_authentic() {
        return kept(
            &"it is not authentic, so its body was not read; correct the cause, and recall the messages again",
        );
    }
    let stored = match (entry.quarantine, &entry.body) {
        (Some(id), _) => match reader.quarantine_entry(id)? {
            Some(stored) => stored,
            None => return kept(&format!("its entry {id} was requeued or dropped from quarantine before")),
        },
        (None, Some(body)) => StoredEntry {
            id: 0,
            at_ms: entry.at_ms,
            reason: entry.outcome.as_ref().into(),
            detail: String::new(),
            query: entry.query.clone(),
            body: body.bytes().to_vec(),
            name: None,
        },
        (None, None) => return kept(&"its body was not received completely, or is too large to be kept"),
    };
    let events = match revive_webhook(&stored, now_ms) {
        Ok(events) => events,
        Err(unfit) => return kept(&unfit),
    };
    let appended = match spool.replay(entry.quarantine, &events) {
        Ok(appended) => appended,
        Err(TakeOutError::Full(full)) => return kept(&full),
        Err(TakeOutError::Gone) => return kept(&"it left the quarantine meanwhile"),
        Err(TakeOutError::Spool(error)) => return kept(&format!("{error}; repeat the command")),
    };
    let name = Identity::name(&spool.identities(), appended.first_seq);
    let (bridge_spool, bridge_seq) = name.unwrap_or((Uuid::nil(), appended.first_seq));
    let duplicates = (events.len() as u64).saturating_sub(appended.events);
    let replayed = Replayed { at_ms: now_ms, records: appended.events, duplicates, bridge_spool, bridge_seq };
    mark(entry, replayed);
    Ok(ReplayDone::Replayed((&replayed).into()))
}
