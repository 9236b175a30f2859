//! Queries for commands: the state of a spool, and its backlog.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::config::DbConfig;

use super::errors::as_spool_error;
use super::files::database_file;
use super::reader::Reader;
use super::rows;
use super::schema::check_format;
use super::state::check;
use crate::spool::error::SpoolError;
use crate::spool::frame;
use crate::spool::quarantine::Tallies;
use crate::spool::terms::{Identity, NextOffsets, Seq};

/// Maximum number of bytes of one read. The last row may exceed it.
const STEP_BYTES: usize = 1 << 20;

/// The stored state of a spool at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The stored published sequence. Kafka may be slightly ahead.
    pub published_end: Seq,
    /// The sequence number of the next accepted event.
    pub next_seq: Seq,
    /// Bytes of unpublished payload.
    pub bytes: u64,
    /// When the oldest unpublished event was accepted, in UNIX milliseconds.
    pub oldest_accepted_at_ms: Option<i64>,
    /// The identities of unpublished events, oldest first.
    pub identities: Vec<Identity>,
    /// The next offset of every partition, by topic.
    pub next_offsets: BTreeMap<String, NextOffsets>,
    /// Entries of the quarantine, by reason.
    pub quarantine: Tallies,
}

/// One row of the backlog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingRow {
    /// The sequence number of its first event.
    pub first_seq: Seq,
    /// Its number of events.
    pub events: u64,
    /// When the events were accepted, in UNIX milliseconds.
    pub accepted_at_ms: i64,
    /// Each event after its length; see [`events`](Self::events).
    pub payload: Vec<u8>,
    /// Events below this sequence number are published.
    pub published_end: Seq,
    /// Whether checksum and count are correct.
    pub is_sound: bool,
}

/// Rows of the backlog, and the identities of their events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The rows in order.
    pub rows: Vec<WaitingRow>,
    /// The identities, oldest first.
    pub identities: Vec<Identity>,
}

impl WaitingRow {
    /// The unpublished events with their sequence numbers.
    pub fn events(&self) -> impl Iterator<Item = (Seq, &[u8])> {
        (self.first_seq..).zip(frame::events(&self.payload)).skip_while(|&(seq, _)| seq < self.published_end)
    }
}

impl Reader {
    /// Opens the spool of a directory for reading, also while a node uses it. Changes nothing in the database; the
    /// WAL is not copied on close.
    ///
    /// # Errors
    /// The directory has no spool, or its format is not supported.
    pub fn open_beside(dir: &Path) -> Result<Self, SpoolError> {
        let file = database_file(dir);
        if !file.exists() {
            return Err(SpoolError::NoSpool { dir: dir.to_owned() });
        }
        let reader = Self::open(dir)?;
        let connection = reader.connection();
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .map_err(|error| as_spool_error(&file, error))?;
        check_format(connection, &file)?;
        Ok(reader)
    }

    /// The stored state.
    ///
    /// # Errors
    /// The file cannot be read, or its values contradict each other.
    pub fn facts(&self) -> Result<Facts, SpoolError> {
        let fault = |error| as_spool_error(self.file(), error);
        // One transaction, so that all values belong to one moment.
        let tx = self.connection().unchecked_transaction().map_err(fault)?;
        let found = check(&tx, self.file())?;
        let mut next_offsets = BTreeMap::<String, NextOffsets>::new();
        let mut statement = tx.prepare("SELECT topic, partition, next_offset FROM position").map_err(fault)?;
        let mut rows = statement.query([]).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            let (topic, partition, offset) = (|| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))().map_err(fault)?;
            next_offsets.entry(topic).or_default().insert(partition, offset);
        }
        Ok(Facts {
            published_end: found.published_end,
            next_seq: found.next_seq,
            bytes: found.bytes_through - found.bytes_released,
            oldest_accepted_at_ms: self.accepted_at_ms(found.published_end)?,
            identities: found.identities,
            next_offsets,
            quarantine: found.quarantine,
        })
    }

    /// The next rows with unpublished events after the row that starts with `after`. Empty: no further row. Events
    /// that are published during the reading are left out.
    ///
    /// # Errors
    /// The file cannot be read; a row whose content is damaged is no error, see
    /// [`WaitingRow::is_sound`].
    pub fn waiting(&self, after: Option<Seq>) -> Result<Waiting, SpoolError> {
        let fault = |error| as_spool_error(self.file(), error);
        // One transaction for rows and identities.
        let tx = self.connection().unchecked_transaction().map_err(fault)?;
        let found = (|| {
            let (published_end, first): (Seq, Option<Seq>) = tx.query_row(
                "SELECT watermark, (SELECT max(first_seq) FROM event_group WHERE first_seq <= watermark)
                 FROM progress WHERE id = 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            let from = first.unwrap_or(published_end).max(after.map_or(0, |after| after + 1));
            let identities = rows::identities(&tx)?;
            let mut waiting = Waiting { rows: Vec::new(), identities };
            let mut statement = tx.prepare_cached(
                "SELECT first_seq, events, accepted_at_ms, checksum, payload FROM event_group
                 WHERE first_seq >= ?1 ORDER BY first_seq",
            )?;
            let mut rows = statement.query([from])?;
            let mut bytes = 0;
            while bytes < STEP_BYTES {
                let Some(row) = rows.next()? else { break };
                let (first_seq, events): (Seq, u64) = (row.get(0)?, row.get(1)?);
                if first_seq.saturating_add(events) <= published_end {
                    continue;
                }
                let payload: Vec<u8> = row.get(4)?;
                bytes += payload.len();
                let is_sound = frame::fault(first_seq, events, row.get(3)?, &payload).is_none();
                let accepted_at_ms = row.get(2)?;
                waiting.rows.push(WaitingRow { first_seq, events, accepted_at_ms, payload, published_end, is_sound });
            }
            Ok(waiting)
        })();
        found.map_err(fault)
    }
}
