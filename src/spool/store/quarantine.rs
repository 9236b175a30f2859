//! SQL of the quarantine.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use uuid::Uuid;

use crate::spool::quarantine::{QuarantineEntry, QuarantineId, Tallies};
use crate::spool::reason::QuarantineReason;

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
) -> rusqlite::Result<Option<Vec<(QuarantineReason, u64)>>> {
    let mut left = Vec::with_capacity(ids.len());
    let mut look = tx.prepare_cached(&format!("SELECT reason, {BYTES} FROM quarantine WHERE id = ?1"))?;
    for id in ids {
        let Some(entry) = look.query_row([id], |row| Ok((reason(row, 0)?, row.get(1)?))).optional()? else {
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
    let mut tallies = Tallies::new();
    while let Some(row) = rows.next()? {
        let tally = tallies.entry(reason(row, 0)?).or_default();
        tally.events += 1;
        tally.bytes += row.get::<_, u64>(1)?;
    }
    Ok(tallies)
}

/// The reason in a column.
pub(in crate::spool) fn reason(row: &Row<'_>, column: usize) -> rusqlite::Result<QuarantineReason> {
    Ok(row.get_ref(column)?.as_str()?.into())
}

/// [`QuarantineEntry::bytes`] of a row.
pub(in crate::spool) const BYTES: &str = "octet_length(detail) + octet_length(query) + octet_length(body)";
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
