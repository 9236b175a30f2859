//! Reads entries of the quarantine.

use rusqlite::{OptionalExtension as _, Row};
use uuid::Uuid;

use super::errors::as_spool_error;
use super::quarantine::reason;
use super::reader::Reader;
use crate::spool::error::SpoolError;
use crate::spool::quarantine::{QuarantineId, StoredEntry};

/// Limits of one read, in entries and in bytes. The last entry may exceed the bytes.
const STEP_ENTRIES: usize = 256;
const STEP_BYTES: u64 = 1 << 20;

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
        reason: reason(row, 2)?,
        detail: row.get(3)?,
        query: row.get(4)?,
        body: row.get(5)?,
        name: uuid.zip(seq),
    })
}
