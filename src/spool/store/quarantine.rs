//! SQL of the quarantine.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use uuid::Uuid;

use super::errors::as_spool_error;
use super::reader::Reader;
use crate::spool::error::SpoolError;
use crate::spool::quarantine::{QuarantineEntry, QuarantineId, StoredEntry, Tallies, Tally};

/// Limits of one read, in entries and in bytes. The last entry may exceed the bytes.
const STEP_ENTRIES: usize = 256;
const STEP_BYTES: u64 = 1 << 20;

/// Inserts an entry; for a record with its spool UUID and `bridge_seq`. A record that is already there, because a
/// commit was reported as failed and succeeded, is not inserted again: two entries would be requeued twice.
pub(in crate::spool) fn insert_quarantine(
    tx: &Transaction<'_>,
    entry: &QuarantineEntry,
    name: Option<(Uuid, u64)>,
) -> rusqlite::Result<()> {
    if let Some((uuid, seq)) = name {
        let query = "SELECT EXISTS (SELECT 1 FROM quarantine WHERE spool_uuid = ?1 AND bridge_seq = ?2)";
        if tx.query_row(query, params![uuid, seq], |row| row.get(0))? {
            return Ok(());
        }
    }
    tx.prepare_cached(
        "INSERT INTO quarantine (at_ms, reason, detail, query, body, spool_uuid, bridge_seq)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        entry.at_ms,
        entry.reason,
        entry.detail,
        entry.query,
        entry.body,
        name.map(|(uuid, _)| uuid),
        name.map(|(_, seq)| seq)
    ])?;
    tx.prepare_cached(
        "UPDATE progress SET quarantine_events = quarantine_events + 1,
                             quarantine_bytes = quarantine_bytes + ?1 WHERE id = 1",
    )?
    .execute([entry.bytes()])?;
    Ok(())
}

/// Removes entries and returns reason and bytes of each. `None`: one entry does not exist, and nothing was changed.
pub(in crate::spool) fn take_out(
    tx: &Transaction<'_>,
    ids: &BTreeSet<QuarantineId>,
) -> rusqlite::Result<Option<Vec<(String, u64)>>> {
    let mut left = Vec::with_capacity(ids.len());
    let mut look = tx.prepare_cached(&format!("SELECT reason, {BYTES} FROM quarantine WHERE id = ?1"))?;
    for id in ids {
        let Some(entry) = look.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()? else {
            return Ok(None);
        };
        left.push(entry);
    }
    let mut remove = tx.prepare_cached("DELETE FROM quarantine WHERE id = ?1")?;
    for id in ids {
        remove.execute([id])?;
    }
    let bytes: u64 = left.iter().map(|(_, bytes)| bytes).sum();
    tx.prepare_cached(
        "UPDATE progress SET quarantine_events = quarantine_events - ?1,
                             quarantine_bytes = quarantine_bytes - ?2 WHERE id = 1",
    )?
    .execute(params![left.len() as u64, bytes])?;
    Ok(Some(left))
}

/// Counts the entries by reason. Reads the head of every entry; the quarantine is limited.
pub(in crate::spool) fn tallies(connection: &Connection) -> rusqlite::Result<Tallies> {
    let mut statement = connection.prepare(&format!("SELECT reason, {BYTES} FROM quarantine"))?;
    let mut rows = statement.query([])?;
    let mut tallies = BTreeMap::<String, Tally>::new();
    while let Some(row) = rows.next()? {
        let reason = row.get_ref(0)?.as_str()?;
        // There are few reasons and many entries: each reason is copied once.
        if !tallies.contains_key(reason) {
            tallies.insert(reason.to_owned(), Tally::default());
        }
        if let Some(tally) = tallies.get_mut(reason) {
            tally.events += 1;
            tally.bytes += row.get::<_, u64>(1)?;
        }
    }
    Ok(tallies.into_iter().map(|(reason, tally)| (Cow::Owned(reason), tally)).collect())
}

/// [`QuarantineEntry::bytes`] of a row.
pub(in crate::spool) const BYTES: &str = "octet_length(detail) + octet_length(query) + octet_length(body)";
const COLUMNS: &str = "id, at_ms, reason, detail, query, body, spool_uuid, bridge_seq";

impl Reader {
    /// The next entries with an id above `after`, in order. Empty: no further entry.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn quarantine_after(&self, after: QuarantineId) -> Result<Vec<StoredEntry>, SpoolError> {
        let fault = |error| as_spool_error(self.file(), error);
        let query = format!("SELECT {COLUMNS} FROM quarantine WHERE id > ?1 ORDER BY id");
        let mut statement = self.connection().prepare_cached(&query).map_err(fault)?;
        let mut rows = statement.query([after]).map_err(fault)?;
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while entries.len() < STEP_ENTRIES && bytes < STEP_BYTES {
            let Some(row) = rows.next().map_err(fault)? else { break };
            let entry = entry(row).map_err(fault)?;
            bytes += entry.bytes();
            entries.push(entry);
        }
        Ok(entries)
    }

    /// One entry, if it exists.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn quarantine_entry(&self, id: QuarantineId) -> Result<Option<StoredEntry>, SpoolError> {
        let fault = |error| as_spool_error(self.file(), error);
        let query = format!("SELECT {COLUMNS} FROM quarantine WHERE id = ?1");
        let mut statement = self.connection().prepare_cached(&query).map_err(fault)?;
        statement.query_row([id], entry).optional().map_err(fault)
    }

    /// The highest id that was ever used. A missing entry up to this id was requeued or dropped.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn quarantine_last_id(&self) -> Result<QuarantineId, SpoolError> {
        let query = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'quarantine'";
        self.connection().query_row(query, [], |row| row.get(0)).map_err(|error| as_spool_error(self.file(), error))
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<StoredEntry> {
    let (uuid, seq): (Option<Uuid>, Option<u64>) = (row.get(6)?, row.get(7)?);
    Ok(StoredEntry {
        id: row.get(0)?,
        at_ms: row.get(1)?,
        reason: row.get(2)?,
        detail: row.get(3)?,
        query: row.get(4)?,
        body: row.get(5)?,
        name: uuid.zip(seq),
    })
}

/// Whether an entry exists.
pub(in crate::spool) fn is_there(connection: &Connection, id: QuarantineId) -> rusqlite::Result<bool> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM quarantine WHERE id = ?1)", [id], |row| row.get(0))
}

/// Number and bytes of the entries: the stored counters, and the actual values.
pub(in crate::spool) fn counted_and_held(tx: &Transaction<'_>) -> rusqlite::Result<[(u64, u64); 2]> {
    let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let counted = tx.query_row("SELECT quarantine_events, quarantine_bytes FROM progress WHERE id = 1", [], pair)?;
    let held = tx.query_row(&format!("SELECT count(*), coalesce(sum({BYTES}), 0) FROM quarantine"), [], pair)?;
    Ok([counted, held])
}
