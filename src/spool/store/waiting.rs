//! What a command reads of a spool: its numbers, and the events that wait.

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
use crate::spool::terms::{Identity, Positions, Seq};

/// Rows of one step of reading are at most these many bytes and one row.
const STEP_BYTES: usize = 1 << 20;

/// What the file says of itself, all from one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The next sequence number to publish, as stored: Kafka may be a little further.
    pub watermark: Seq,
    /// The next sequence number to give out.
    pub next_seq: Seq,
    /// Bytes of unpublished payload.
    pub bytes: u64,
    /// When the oldest unpublished event was accepted, in UNIX milliseconds.
    pub oldest_accepted_at_ms: Option<i64>,
    /// Under which names sequence numbers at or above the watermark are published, oldest first.
    pub identities: Vec<Identity>,
    /// The next offset of every partition, by topic.
    pub positions: BTreeMap<String, Positions>,
    /// What is in quarantine.
    pub quarantine: Tallies,
}

/// Events that wait, as one row of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingRow {
    /// The number of its first event.
    pub first_seq: Seq,
    /// How many it holds.
    pub events: u64,
    /// When they were accepted, in UNIX milliseconds.
    pub accepted_at_ms: i64,
    /// Each event behind its length; see [`events`](Self::events).
    pub payload: Vec<u8>,
    /// Its events below this one are published.
    pub watermark: Seq,
    /// Whether checksum and count are right.
    pub is_sound: bool,
}

/// Some rows, and under which names their events are published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The rows, by number.
    pub rows: Vec<WaitingRow>,
    /// The names, oldest first.
    pub identities: Vec<Identity>,
}

impl WaitingRow {
    /// The events that wait, with their numbers.
    pub fn events(&self) -> impl Iterator<Item = (Seq, &[u8])> {
        (self.first_seq..).zip(frame::events(&self.payload)).skip_while(|&(seq, _)| seq < self.watermark)
    }
}

impl Reader {
    /// Opens the spool of a directory for reading, beside whoever works on it. Changes nothing in
    /// the database, not even by copying its log into it at the end.
    ///
    /// # Errors
    /// There is no spool, or none that this release reads.
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

    /// What the file says of itself.
    ///
    /// # Errors
    /// The file cannot be read, or its numbers contradict each other.
    pub fn facts(&self) -> Result<Facts, SpoolError> {
        let fault = |error| as_spool_error(self.file(), error);
        // One moment for all of it.
        let tx = self.connection().unchecked_transaction().map_err(fault)?;
        let found = check(&tx, self.file())?;
        let mut positions = BTreeMap::<String, Positions>::new();
        let mut statement = tx.prepare("SELECT topic, partition, next_offset FROM position").map_err(fault)?;
        let mut rows = statement.query([]).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            let (topic, partition, offset) = (|| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))().map_err(fault)?;
            positions.entry(topic).or_default().insert(partition, offset);
        }
        Ok(Facts {
            watermark: found.watermark,
            next_seq: found.next_seq,
            bytes: found.bytes_through - found.bytes_released,
            oldest_accepted_at_ms: self.accepted_at_ms(found.watermark)?,
            identities: found.identities,
            positions,
            quarantine: found.quarantine,
        })
    }

    /// The next rows with events that are not published, behind the row that begins with `after`;
    /// some of them, at least one where there is one. What is published while a reader is at work, it
    /// does not get.
    ///
    /// # Errors
    /// The file cannot be read; a row whose content is damaged is no error, see
    /// [`WaitingRow::is_sound`].
    pub fn waiting(&self, after: Option<Seq>) -> Result<Waiting, SpoolError> {
        let fault = |error| as_spool_error(self.file(), error);
        // One moment for rows and names.
        let tx = self.connection().unchecked_transaction().map_err(fault)?;
        let found = (|| {
            let (watermark, first): (Seq, Option<Seq>) = tx.query_row(
                "SELECT watermark, (SELECT max(first_seq) FROM event_group WHERE first_seq <= watermark)
                 FROM progress WHERE id = 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            let from = first.unwrap_or(watermark).max(after.map_or(0, |after| after + 1));
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
                if first_seq.saturating_add(events) <= watermark {
                    continue;
                }
                let payload: Vec<u8> = row.get(4)?;
                bytes += payload.len();
                let is_sound = frame::fault(first_seq, events, row.get(3)?, &payload).is_none();
                let accepted_at_ms = row.get(2)?;
                waiting.rows.push(WaitingRow { first_seq, events, accepted_at_ms, payload, watermark, is_sound });
            }
            Ok(waiting)
        })();
        found.map_err(fault)
    }
}
