//! One row as it was read: its events, or its error.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension};

use crate::spool::frame;
use crate::spool::terms::Seq;

/// A row of `event_group`, possibly corrupted.
#[derive(Debug)]
pub(in crate::spool) struct Row {
    pub(in crate::spool) first_seq: Seq,
    /// The sequence number after its last event, according to the row itself.
    pub(in crate::spool) end: Seq,
    pub(in crate::spool) payload: Vec<u8>,
    /// Why the row is corrupted. None: it is intact.
    pub(in crate::spool) fault: Option<&'static str>,
}

impl Row {
    /// Reads `first_seq, events, checksum, payload`. A row with values of other types is corrupted, not an error: its
    /// bytes are kept.
    pub(in crate::spool) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let first_seq: Seq = row.get(0)?;
        let payload = match row.get_ref(3)? {
            ValueRef::Blob(bytes) | ValueRef::Text(bytes) => bytes.to_vec(),
            _ => Vec::new(),
        };
        let number = |at| row.get_ref(at).map(|value| value.as_i64().ok().and_then(|value| u64::try_from(value).ok()));
        let (events, sum) = (number(1)?, number(2)?.and_then(|sum| u32::try_from(sum).ok()));
        let fault = match (events, sum) {
            (Some(events), Some(sum)) => frame::fault(first_seq, events, sum, &payload),
            _ => Some("it has values of another type"),
        };
        Ok(Self { first_seq, end: first_seq.saturating_add(events.unwrap_or(0)), payload, fault })
    }

    /// The sequence number after the last event of a corrupted row, whose own count may be wrong: the start of the
    /// next row, if that agrees with the count or is intact itself. `None`: unknown.
    pub(in crate::spool) fn trusted_end(&self, connection: &Connection) -> rusqlite::Result<Option<Seq>> {
        let next = connection
            .prepare_cached(
                "SELECT first_seq, events, checksum, payload FROM event_group
                 WHERE first_seq > ?1 ORDER BY first_seq LIMIT 1",
            )?
            .query_row([self.first_seq], Self::read)
            .optional()?;
        let end = match next {
            None => Some(self.end),
            Some(next) => (next.first_seq == self.end || next.fault.is_none()).then_some(next.first_seq),
        };
        Ok(end.filter(|&end| end > self.first_seq))
    }
}
