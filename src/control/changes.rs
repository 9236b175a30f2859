//! Changes of the quarantine and replays of refused webhooks, with their log lines: for commands at the control socket,
//! and for the page.

use std::sync::Arc;

use super::protocol::REQUEST_MAX_IDS;
use crate::clock;
use crate::quarantine::{Changed, Done, EntryAction, change};
use crate::refused::{RefusedId, RefusedJournal, ReplayDone, ReplayResult, replay};
use crate::spool::{QuarantineId, Reader, Spool};

/// The components that requests change or read. Each call may wait for the disk.
#[derive(Debug)]
pub struct Changes {
    /// The spool.
    pub spool: Spool,
    /// A reader of its own.
    pub reader: Reader,
    /// The refused journal.
    pub journal: Arc<RefusedJournal>,
}

impl Changes {
    /// Publishes entries of the refused journal.
    ///
    /// # Errors
    /// Too many ids, or the spool cannot be read; as text.
    pub fn replay(&self, ids: &[RefusedId]) -> Result<Vec<ReplayResult>, String> {
        too_many(ids.len())?;
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
                return Err(error.to_string());
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
        Ok(results)
    }

    /// Requeues or drops entries of the quarantine.
    ///
    /// # Errors
    /// Too many ids, or the spool cannot be read; as text.
    pub fn change(&self, action: EntryAction, ids: &[QuarantineId]) -> Result<Vec<Changed>, String> {
        too_many(ids.len())?;
        let ids = ids.iter().copied().collect();
        let changed = match change(&self.spool, &self.reader, action, &ids, clock::now_ms()) {
            Ok(changed) => changed,
            Err(error) => {
                tracing::error!(
                    event = "quarantine_change_failed", %error, ?action,
                    "cannot change the quarantine"
                );
                return Err(error.to_string());
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
        Ok(changed)
    }
}

fn too_many(ids: usize) -> Result<(), String> {
    if ids > REQUEST_MAX_IDS {
        return Err(format!("more than {REQUEST_MAX_IDS} entries in one request"));
    }
    Ok(())
}
