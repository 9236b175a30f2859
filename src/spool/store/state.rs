//! The stored state of a spool. Reading it costs the same for any backlog.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};
use uuid::Uuid;

use super::errors::{as_spool_error, corrupt};
use super::{quarantine, rows};
use crate::spool::error::SpoolError;
use crate::spool::quarantine::{Tallies, Tally};
use crate::spool::terms::{Identity, Seq};

/// The stored state of a spool.
#[derive(Debug, Clone)]
pub(in crate::spool) struct StoredState {
    /// The next sequence number to publish.
    pub(in crate::spool) published_end: Seq,
    /// The sequence number of the next accepted event.
    pub(in crate::spool) next_seq: Seq,
    /// Running total of payload bytes through the newest row.
    pub(in crate::spool) bytes_through: u64,
    /// Running total through the last row whose events are all published.
    pub(in crate::spool) bytes_released: u64,
    /// Entries of the quarantine, by reason.
    pub(in crate::spool) quarantine: Tallies,
    /// The identities, oldest first.
    pub(in crate::spool) identities: Vec<Identity>,
}

/// Reads the state from the first and the last row, and checks that its values agree.
pub(in crate::spool) fn check(connection: &Connection, file: &Path) -> Result<StoredState, SpoolError> {
    let found = look(connection).map_err(|error| as_spool_error(file, error))?;
    let Some(first) = found.identities.first() else {
        return Err(corrupt(file, "it has no identity".to_owned()));
    };
    if found.published_end < 1 || found.next_seq < found.published_end || first.first_seq > found.published_end {
        return Err(corrupt(
            file,
            format!(
                "its numbers contradict each other: identity from {}, published below {}, given out below {}",
                first.first_seq, found.published_end, found.next_seq
            ),
        ));
    }
    if found.bytes_released > found.bytes_through {
        return Err(corrupt(
            file,
            format!(
                "its totals contradict each other: {} bytes published of {}",
                found.bytes_released, found.bytes_through
            ),
        ));
    }
    Ok(found)
}

fn look(connection: &Connection) -> rusqlite::Result<StoredState> {
    let (published_end, quarantine_events, quarantine_bytes): (Seq, u64, u64) = connection.query_row(
        "SELECT watermark, quarantine_events, quarantine_bytes FROM progress WHERE id = 1",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let newest = connection
        .query_row(
            "SELECT first_seq + events, bytes_through FROM event_group ORDER BY first_seq DESC LIMIT 1",
            [],
            |row| Ok((row.get::<_, Seq>(0)?, row.get::<_, u64>(1)?)),
        )
        .optional()?;
    let (next_seq, bytes_through) = newest.unwrap_or((published_end, 0));
    let bytes_released = match rows::released(connection, published_end)? {
        Some(bytes) => bytes,
        None => connection
            .query_row(
                "SELECT bytes_through - length(payload) FROM event_group ORDER BY first_seq LIMIT 1",
                [],
                |row| row.get(0),
            )
            .optional()?
            .unwrap_or(bytes_through),
    };
    let identities = rows::identities(connection)?;
    let quarantine = quarantine::tallies(connection).unwrap_or_else(|error| {
        // Recalls are still accepted: only the entries of the quarantine are affected.
        tracing::error!(event = "quarantine_unreadable", %error, "cannot read the quarantine");
        [("unreadable".into(), Tally { events: quarantine_events, bytes: quarantine_bytes })].into()
    });
    Ok(StoredState { published_end, next_seq, bytes_through, bytes_released, quarantine, identities })
}

/// Takes a new UUID if no event was accepted under the present one. Only a copy of this file (for example from a
/// machine image) can have the same UUID, and two nodes must not publish under one UUID.
pub(in crate::spool) fn rename_unused(connection: &Connection, found: &mut StoredState) -> rusqlite::Result<()> {
    let [identity] = found.identities.as_mut_slice() else { return Ok(()) };
    if found.next_seq > identity.first_seq {
        return Ok(());
    }
    identity.uuid = Uuid::now_v7();
    connection
        .execute("UPDATE identity SET uuid = ?1 WHERE first_seq = ?2", params![identity.uuid, identity.first_seq])?;
    Ok(())
}
