//! Requeues and drops entries of the quarantine. Entries leave it in no other way.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::revive;
use crate::spool::{Identity, QuarantineId, Reader, Spool, SpoolError, TakeOutError};

/// Limits of one commit: entries, and bytes of their events.
const BATCH_ENTRIES: usize = 64;
const BATCH_BYTES: usize = 256 << 10;
/// Maximum length of a reason, which may quote the body.
const WHY_MAX_CHARS: usize = 300;

/// The action on entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryAction {
    /// Append their events to the spool.
    Requeue,
    /// Delete them.
    Drop,
}

/// The result for an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum Done {
    /// It left the quarantine and will be published, with these sequence numbers.
    Requeued {
        /// Its records.
        records: u64,
        /// The spool UUID.
        bridge_spool: Uuid,
        /// The sequence number of the first; the others follow.
        bridge_seq: u64,
        /// For a poison record: its old sequence number, which stays missing in the topic.
        was: Option<RecordName>,
    },
    /// It was deleted.
    Dropped,
    /// It stays in quarantine.
    Kept {
        /// The reason.
        why: String,
    },
    /// It was requeued or dropped before.
    Gone,
    /// No entry ever had this id.
    Unknown,
}

/// The spool UUID and the sequence number of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordName {
    /// The spool UUID.
    pub bridge_spool: Uuid,
    /// The sequence number.
    pub bridge_seq: u64,
}

/// An entry and its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The id of the entry.
    pub id: QuarantineId,
    /// The result.
    #[serde(flatten)]
    pub done: Done,
}

/// Executes the action on these entries, in the order of their ids. An entry and its events change in one commit, so
/// a crash leaves it in one of the two places. It is safe to repeat.
///
/// # Errors
/// The quarantine cannot be read. Earlier changes stay.
pub fn change(
    spool: &Spool,
    reader: &Reader,
    action: EntryAction,
    ids: &BTreeSet<QuarantineId>,
    now_ms: i64,
) -> Result<Vec<Changed>, SpoolError> {
    let last = reader.quarantine_last_id()?;
    let mut batch = ChangeBatch { spool, action, entries: Vec::new(), events: Vec::new(), bytes: 0, done: Vec::new() };
    for &id in ids {
        let Some(entry) = reader.quarantine_entry(id)? else {
            batch.note(id, if (1..=last).contains(&id) { Done::Gone } else { Done::Unknown });
            continue;
        };
        let events = match action {
            EntryAction::Drop => Vec::new(),
            EntryAction::Requeue => match revive(&entry, now_ms) {
                Ok(events) => events,
                Err(unfit) => {
                    batch.note(id, Done::Kept { why: unfit.to_string().chars().take(WHY_MAX_CHARS).collect() });
                    continue;
                }
            },
        };
        let was = entry.name.map(|(bridge_spool, bridge_seq)| RecordName { bridge_spool, bridge_seq });
        batch.add(Member { id, records: events.len() as u64, was }, events);
    }
    batch.commit();
    batch.done.sort_by_key(|changed| changed.id);
    Ok(batch.done)
}

/// An entry of a batch.
struct Member {
    id: QuarantineId,
    records: u64,
    was: Option<RecordName>,
}

/// Entries to be changed in one commit.
struct ChangeBatch<'s> {
    spool: &'s Spool,
    action: EntryAction,
    entries: Vec<Member>,
    events: Vec<Vec<u8>>,
    bytes: usize,
    done: Vec<Changed>,
}

impl ChangeBatch<'_> {
    fn note(&mut self, id: QuarantineId, done: Done) {
        self.done.push(Changed { id, done });
    }

    fn add(&mut self, entry: Member, events: Vec<Vec<u8>>) {
        self.entries.push(entry);
        self.bytes += events.iter().map(Vec::len).sum::<usize>();
        self.events.extend(events);
        if self.entries.len() >= BATCH_ENTRIES || self.bytes >= BATCH_BYTES {
            self.commit();
        }
    }

    fn commit(&mut self) {
        let (entries, events) = (std::mem::take(&mut self.entries), std::mem::take(&mut self.events));
        self.bytes = 0;
        if entries.is_empty() {
            return;
        }
        let taken = self.spool.take_out(entries.iter().map(|entry| entry.id).collect(), &events);
        let mut next = match taken {
            Ok(first_seq) => first_seq,
            Err(error) => {
                let why = match error {
                    TakeOutError::Full(full) => full.to_string(),
                    TakeOutError::Gone => "an entry beside it left the quarantine meanwhile; repeat it".to_owned(),
                    TakeOutError::Spool(fault) => format!("{fault}; repeat it"),
                };
                for entry in entries {
                    self.note(entry.id, Done::Kept { why: why.clone() });
                }
                return;
            }
        };
        for Member { id, records, was } in entries {
            let done = match self.action {
                EntryAction::Drop => Done::Dropped,
                EntryAction::Requeue => {
                    let name = Identity::name(&self.spool.identities(), next);
                    let (bridge_spool, bridge_seq) = name.unwrap_or((Uuid::nil(), next));
                    Done::Requeued { records, bridge_spool, bridge_seq, was }
                }
            };
            next += records;
            self.note(id, done);
        }
    }
}
