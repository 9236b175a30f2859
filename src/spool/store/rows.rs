//! The changes that the writer makes in a transaction.

use std::ops::Range;

use rusqlite::{Connection, Transaction, params};

use crate::spool::frame;
use crate::spool::group::Group;
use crate::spool::terms::{Advance, Identity, Seq};

/// Maximum number of rows removed at once.
const REMOVE_MAX_ROWS: u32 = 2048;

/// Adds a group as one row, with the ids of its events; `bytes_through` is the running total with it.
pub(in crate::spool) fn insert_group(
    tx: &Transaction<'_>,
    first_seq: Seq,
    group: &Group,
    accepted_at_ms: i64,
    bytes_through: u64,
) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO event_group VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(params![
        first_seq,
        group.events,
        accepted_at_ms,
        bytes_through,
        frame::checksum(first_seq, &group.payload),
        group.payload,
        group.ids.as_flattened()
    ])?;
    Ok(())
}

/// Stores the published sequence and its next offsets, and removes identities that end below it.
pub(in crate::spool) fn store_watermark(
    tx: &Transaction<'_>,
    published_end: Seq,
    advance: &Advance,
) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE progress SET watermark = ?1 WHERE id = 1")?.execute([published_end])?;
    for (partition, offset) in &advance.next_offsets {
        tx.prepare_cached("INSERT OR REPLACE INTO position VALUES (?1, ?2, ?3)")?.execute(params![
            advance.topic.as_ref(),
            partition,
            offset
        ])?;
    }
    tx.prepare_cached(
        "DELETE FROM identity WHERE first_seq < (SELECT max(first_seq) FROM identity WHERE first_seq <= ?1)",
    )?
    .execute([published_end])?;
    Ok(())
}

/// Writes a page without changing a value. Two updates: SQLite skips an update that changes no byte.
pub(in crate::spool) fn touch(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    for _ in 0..2 {
        tx.execute("UPDATE progress SET watermark = -watermark WHERE id = 1", [])?;
    }
    Ok(())
}

/// Whether a row starts after the first of these events.
pub(in crate::spool) fn begins_within(tx: &Transaction<'_>, events: &Range<Seq>) -> rusqlite::Result<bool> {
    tx.query_row(
        "SELECT EXISTS (SELECT 1 FROM event_group WHERE first_seq > ?1 AND first_seq < ?2)",
        [events.start, events.end],
        |row| row.get(0),
    )
}

/// Removes rows below the published sequence, oldest first, up to `budget` bytes. Returns whether rows remain.
pub(in crate::spool) fn remove_published(
    tx: &Transaction<'_>,
    published_end: Seq,
    budget: u64,
) -> rusqlite::Result<bool> {
    let mut statement = tx.prepare_cached(
        "SELECT first_seq, first_seq + events <= ?1, length(payload) FROM event_group
         WHERE first_seq < ?1 ORDER BY first_seq LIMIT ?2",
    )?;
    let mut rows = statement.query(params![published_end, REMOVE_MAX_ROWS])?;
    let (mut last, mut bytes, mut count, mut left) = (None, 0, 0, false);
    while let Some(row) = rows.next()? {
        if !row.get::<_, bool>(1)? {
            break;
        }
        if bytes >= budget {
            left = true;
            break;
        }
        last = Some(row.get::<_, Seq>(0)?);
        bytes += row.get::<_, u64>(2)?;
        count += 1;
    }
    drop(rows);
    if let Some(last) = last {
        tx.prepare_cached("DELETE FROM event_group WHERE first_seq <= ?1")?.execute([last])?;
    }
    Ok(left || count == REMOVE_MAX_ROWS)
}

/// Removes the events from this one on. They were never acknowledged.
pub(in crate::spool) fn remove_from(tx: &Transaction<'_>, seq: Seq) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM event_group WHERE first_seq >= ?1", [seq]).map(drop)
}

/// Removes the next offsets of a topic.
pub(in crate::spool) fn forget_positions(tx: &Transaction<'_>, topic: &str) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM position WHERE topic = ?1", [topic]).map(drop)
}

/// Stores an identity for the events from its `first_seq` on.
pub(in crate::spool) fn store_identity(tx: &Transaction<'_>, identity: Identity) -> rusqlite::Result<()> {
    tx.execute("INSERT OR REPLACE INTO identity VALUES (?1, ?2)", params![identity.first_seq, identity.uuid]).map(drop)
}

/// The identities, oldest first.
pub(in crate::spool) fn identities(connection: &Connection) -> rusqlite::Result<Vec<Identity>> {
    connection
        .prepare_cached("SELECT first_seq, uuid FROM identity ORDER BY first_seq")?
        .query_map([], |row| Ok(Identity { first_seq: row.get(0)?, uuid: row.get(1)? }))?
        .collect()
}

/// The running total of bytes through the last row that is entirely below the published sequence. None: no such row.
pub(in crate::spool) fn released(connection: &Connection, published_end: Seq) -> rusqlite::Result<Option<u64>> {
    // Newest first: the row with the published sequence, if any, then the requested one.
    let mut statement = connection.prepare_cached(
        "SELECT bytes_through, first_seq + events <= ?1 FROM event_group
         WHERE first_seq < ?1 ORDER BY first_seq DESC LIMIT 2",
    )?;
    let mut rows = statement.query(params![published_end])?;
    while let Some(row) = rows.next()? {
        if row.get(1)? {
            return row.get(0).map(Some);
        }
    }
    Ok(None)
}
