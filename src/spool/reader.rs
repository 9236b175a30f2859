//! Reading the spool in bounded steps, on a connection of its own.
//!
//! Every read is one short transaction: a reader that stayed inside one would keep SQLite from
//! starting its log anew.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};

use super::{Positions, Seq, SpoolError, group, schema};

/// How much one read may bring. At least one row is always read: up to 1 MiB and one delivery.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimit {
    /// Events at most.
    pub events: u64,
    /// No further row is begun once this many bytes are there.
    pub bytes: usize,
}

/// A run of events in sequence.
#[derive(Debug, Default)]
pub struct Batch {
    rows: Vec<Row>,
    from: Seq,
    until: Seq,
}

#[derive(Debug)]
struct Row {
    first_seq: Seq,
    payload: Vec<u8>,
}

impl Batch {
    /// The events with their sequence numbers, without a gap.
    pub fn events(&self) -> impl Iterator<Item = (Seq, &[u8])> {
        self.rows
            .iter()
            .flat_map(|row| (row.first_seq..).zip(group::events(&row.payload)))
            .skip_while(|&(seq, _)| seq < self.from)
            .take_while(|&(seq, _)| seq < self.until)
    }

    /// The sequence number after the last event.
    pub fn until(&self) -> Seq {
        self.until
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.from == self.until
    }
}

/// Reads events and positions.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    file: PathBuf,
}

impl Reader {
    pub(super) fn open(dir: &Path) -> Result<Self, SpoolError> {
        Ok(Self { connection: schema::open_reader(dir)?, file: schema::database_file(dir) })
    }

    /// Reads events from `from` on, in sequence, within `limit` and below `below`.
    ///
    /// # Errors
    /// [`SpoolError::Corrupt`] where a row does not hold what was written.
    pub fn read(&mut self, from: Seq, below: Seq, limit: ReadLimit) -> Result<Batch, SpoolError> {
        let below = below.min(from.saturating_add(limit.events));
        let mut batch = Batch { rows: Vec::new(), from, until: from };
        let mut statement = self.connection.prepare_cached(
            "SELECT first_seq, events, checksum, payload FROM event_group
             WHERE first_seq >= coalesce((SELECT max(first_seq) FROM event_group WHERE first_seq <= ?1), ?1)
               AND first_seq < ?2
             ORDER BY first_seq",
        )?;
        let mut rows = statement.query(params![from, below])?;
        let mut bytes = 0;
        while let Some(row) = rows.next().map_err(|error| schema::as_fault(&self.file, error))? {
            let (first_seq, events, checksum): (Seq, u64, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let payload: Vec<u8> = row.get(3)?;
            let end = first_seq + events;
            if end <= from {
                continue;
            }
            if first_seq > batch.until {
                return Err(self.corrupt(format!("events {} to {} are missing", batch.until, first_seq - 1)));
            }
            if group::fault(first_seq, events, checksum, &payload).is_some() {
                return Err(self.corrupt(format!("the row of events {first_seq} to {} is damaged", end - 1)));
            }
            bytes += payload.len();
            batch.rows.push(Row { first_seq, payload });
            batch.until = end.min(below);
            if batch.until == below || bytes >= limit.bytes {
                break;
            }
        }
        Ok(batch)
    }

    /// The stored positions in a topic; empty where nothing was ever published to it.
    pub fn positions(&self, topic: &str) -> Result<Positions, SpoolError> {
        let mut statement =
            self.connection.prepare_cached("SELECT partition, next_offset FROM position WHERE topic = ?1")?;
        let positions = statement.query_map([topic], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(positions.collect::<rusqlite::Result<_>>()?)
    }

    /// When the event with this number was accepted, in UNIX milliseconds, if it is there.
    pub fn accepted_at_ms(&self, seq: Seq) -> Result<Option<i64>, SpoolError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT accepted_at_ms FROM event_group
             WHERE first_seq <= ?1 AND first_seq + events > ?1 ORDER BY first_seq DESC LIMIT 1",
        )?;
        Ok(statement.query_row([seq], |row| row.get(0)).optional()?)
    }

    fn corrupt(&self, reason: String) -> SpoolError {
        SpoolError::Corrupt { file: self.file.clone(), reason }
    }
}
