//! The changes that one transaction of the writer is made of.

use std::collections::BTreeSet;
use std::ops::Range;

use rusqlite::{OptionalExtension as _, Transaction, params};
use uuid::Uuid;

use super::quarantine::BYTES;
use super::queue::Group;
use super::{Advance, QuarantineEntry, QuarantineId, Seq, group};

/// Rows looked at for one removal.
const REMOVE_MAX_ROWS: u32 = 2048;

/// Adds a group as one row; `bytes_through` is the running total with it.
pub(super) fn insert_group(
    tx: &Transaction<'_>,
    first_seq: Seq,
    group: &Group,
    accepted_at_ms: i64,
    bytes_through: u64,
) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO event_group VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
        first_seq,
        group.events,
        accepted_at_ms,
        bytes_through,
        group::checksum(first_seq, &group.payload),
        group.payload
    ])?;
    Ok(())
}

/// Stores a watermark and its positions, and forgets the identities that lie behind it.
pub(super) fn store_watermark(tx: &Transaction<'_>, watermark: Seq, advance: &Advance) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE progress SET watermark = ?1 WHERE id = 1")?.execute([watermark])?;
    for (partition, offset) in &advance.positions {
        tx.prepare_cached("INSERT OR REPLACE INTO position VALUES (?1, ?2, ?3)")?.execute(params![
            advance.topic.as_ref(),
            partition,
            offset
        ])?;
    }
    tx.prepare_cached(
        "DELETE FROM identity WHERE first_seq < (SELECT max(first_seq) FROM identity WHERE first_seq <= ?1)",
    )?
    .execute([watermark])?;
    Ok(())
}

/// Keeps an entry, with the name of the record where it is one. A record that is there already, by a
/// commit that was reported as failed, is there once: two entries would be requeued twice.
pub(super) fn insert_quarantine(
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

/// Removes entries from quarantine; returns reason and bytes of each. `None`: one of them is not
/// there, and nothing was changed.
pub(super) fn take_out(
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

/// Writes a page and changes nothing: SQLite leaves out an update that changes no byte.
pub(super) fn touch(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    for _ in 0..2 {
        tx.execute("UPDATE progress SET watermark = -watermark WHERE id = 1", [])?;
    }
    Ok(())
}

/// Whether a row begins behind the first of these events.
pub(super) fn begins_within(tx: &Transaction<'_>, events: &Range<Seq>) -> rusqlite::Result<bool> {
    tx.query_row(
        "SELECT EXISTS (SELECT 1 FROM event_group WHERE first_seq > ?1 AND first_seq < ?2)",
        [events.start, events.end],
        |row| row.get(0),
    )
}

/// Removes rows below the watermark, oldest first, up to `budget` bytes; tells whether some are left.
pub(super) fn remove_published(tx: &Transaction<'_>, watermark: Seq, budget: u64) -> rusqlite::Result<bool> {
    let mut statement = tx.prepare_cached(
        "SELECT first_seq, first_seq + events <= ?1, length(payload) FROM event_group
         WHERE first_seq < ?1 ORDER BY first_seq LIMIT ?2",
    )?;
    let mut rows = statement.query(params![watermark, REMOVE_MAX_ROWS])?;
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
