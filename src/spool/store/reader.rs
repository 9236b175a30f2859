//! Reads the spool in limited steps, on its own connection.
//!
//! Each read is one short transaction: while a read transaction is open, SQLite cannot restart the WAL.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};

use super::errors::{as_spool_error, corrupt};
use super::files::database_file;
use super::open::open_reader;
use super::row::Row;
use crate::spool::error::{CorruptedRow, SpoolError};
use crate::spool::frame;
use crate::spool::terms::{NextOffsets, Seq};

/// Limits of one read. At least one row is read: up to 1 MiB and one webhook.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimit {
    /// Maximum number of events.
    pub events: u64,
    /// Maximum number of bytes. The last row may exceed it.
    pub bytes: usize,
}

/// A run of events in sequence.
#[derive(Debug, Default)]
pub struct Batch {
    rows: Vec<Row>,
    from: Seq,
    until: Seq,
}

impl Batch {
    /// The events with their sequence numbers, without gaps.
    pub fn events(&self) -> impl Iterator<Item = (Seq, &[u8])> {
        self.rows
            .iter()
            .flat_map(|row| (row.first_seq..).zip(frame::events(&row.payload)))
            .skip_while(|&(seq, _)| seq < self.from)
            .take_while(|&(seq, _)| seq < self.until)
    }

    /// The sequence number after the last event.
    pub fn until(&self) -> Seq {
        self.until
    }

    /// Whether the batch has no events.
    pub fn is_empty(&self) -> bool {
        self.from == self.until
    }
}

/// Reads events and next offsets.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    file: PathBuf,
}

impl Reader {
    pub(in crate::spool) fn open(dir: &Path) -> Result<Self, SpoolError> {
        Ok(Self { connection: open_reader(dir)?, file: database_file(dir) })
    }

    pub(in crate::spool) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(in crate::spool) fn file(&self) -> &Path {
        &self.file
    }

    /// Reads events from `from` on, in sequence, within `limit` and below `below`.
    ///
    /// # Errors
    /// [`SpoolError::CorruptedRow`]: the row of `from` is corrupted. Rows before a corrupted row are returned without it.
    /// [`SpoolError::Corrupt`]: events are missing, or SQLite finds the file corrupted.
    pub fn read(&mut self, from: Seq, below: Seq, limit: ReadLimit) -> Result<Batch, SpoolError> {
        // SQLite's numbers are signed.
        let below = below.min(from.saturating_add(limit.events)).min(Seq::MAX >> 1);
        let (batch, stop) =
            read(&self.connection, from, below, limit.bytes).map_err(|error| as_spool_error(&self.file, error))?;
        match stop {
            Stop::Damaged(row, until) if batch.is_empty() => Err(self.damaged(row, until)),
            Stop::Gap(next) if batch.is_empty() => {
                Err(self.corrupt(format!("events {from} to {} are missing", next - 1)))
            }
            _ => Ok(batch),
        }
    }

    /// The stored next offsets in a topic. Empty: nothing was published to it.
    pub fn next_offsets(&self, topic: &str) -> Result<NextOffsets, SpoolError> {
        let mut statement =
            self.connection.prepare_cached("SELECT partition, next_offset FROM position WHERE topic = ?1")?;
        let next_offsets = statement.query_map([topic], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(next_offsets.collect::<rusqlite::Result<_>>()?)
    }

    /// When the event was accepted, in UNIX milliseconds, if it is in the spool.
    pub fn accepted_at_ms(&self, seq: Seq) -> Result<Option<i64>, SpoolError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT accepted_at_ms FROM event_group
             WHERE first_seq <= ?1 AND first_seq + events > ?1 ORDER BY first_seq DESC LIMIT 1",
        )?;
        Ok(statement.query_row([seq], |row| row.get(0)).optional()?)
    }

    fn damaged(&self, row: Row, until: Option<Seq>) -> SpoolError {
        let Some(until) = until else {
            return self.corrupt(format!("the row of event {} is corrupted, and so is the next one", row.first_seq));
        };
        SpoolError::CorruptedRow(Box::new(CorruptedRow {
            file: self.file.clone(),
            first_seq: row.first_seq,
            until,
            reason: row.fault.unwrap_or_default(),
            bytes: row.payload,
        }))
    }

    fn corrupt(&self, reason: String) -> SpoolError {
        corrupt(&self.file, reason)
    }
}

/// Why a read ended.
enum Stop {
    /// The limit or the last event was reached.
    Enough,
    /// This row is corrupted; the next row starts there.
    Damaged(Row, Option<Seq>),
    /// The next row starts with this event, and the events before it are missing.
    Gap(Seq),
}

fn read(connection: &Connection, from: Seq, below: Seq, max_bytes: usize) -> rusqlite::Result<(Batch, Stop)> {
    let mut batch = Batch { rows: Vec::new(), from, until: from };
    let mut statement = connection.prepare_cached(
        "SELECT first_seq, events, checksum, payload FROM event_group
         WHERE first_seq >= coalesce((SELECT max(first_seq) FROM event_group WHERE first_seq <= ?1), ?1)
           AND first_seq < ?2
         ORDER BY first_seq",
    )?;
    let mut rows = statement.query(params![from, below])?;
    let mut bytes = 0;
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => Row::read(row)?,
            Ok(None) => break,
            // The rows before the error are returned; the next read finds the error again.
            Err(_) if !batch.is_empty() => break,
            Err(error) => return Err(error),
        };
        if row.first_seq > batch.until {
            let next = row.first_seq;
            return Ok((batch, Stop::Gap(next)));
        }
        if row.fault.is_some() {
            let until = row.trusted_end(connection)?;
            if until.is_none_or(|until| until > from) {
                return Ok((batch, Stop::Damaged(row, until)));
            }
        }
        if row.end <= from {
            continue;
        }
        bytes += row.payload.len();
        batch.until = row.end.min(below);
        batch.rows.push(row);
        if batch.until == below || bytes >= max_bytes {
            break;
        }
    }
    Ok((batch, Stop::Enough))
}
