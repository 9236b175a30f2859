//! The window of events accepted lately, as it lies in the file.
//!
//! One row per group, written in the transaction of the group, under the number of its first event;
//! it stays when the group was published and removed.

use rusqlite::{Connection, Transaction, params};

use super::window::{EventId, NO_ID, Window};
use crate::spool::Seq;

/// Rows removed with one transaction.
const REMOVE_MAX_ROWS: usize = 2048;

/// What of the file belongs to this room.
pub(in crate::spool) const TABLE: &str = "
CREATE TABLE recent (
    first_seq INTEGER PRIMARY KEY,
    accepted_at_ms INTEGER NOT NULL,
    ids BLOB NOT NULL
) STRICT;
";

/// Adds the ids of a group.
pub(super) fn insert(
    tx: &Transaction<'_>,
    first_seq: Seq,
    accepted_at_ms: i64,
    ids: &[EventId],
) -> rusqlite::Result<()> {
    if !ids.is_empty() {
        let mut statement = tx.prepare_cached("INSERT INTO recent VALUES (?1, ?2, ?3)")?;
        statement.execute(params![first_seq, accepted_at_ms, ids.as_flattened()])?;
    }
    Ok(())
}

/// Removes rows up to this one, oldest first and within a bound; tells whether some are left.
pub(super) fn remove(tx: &Transaction<'_>, through: Seq) -> rusqlite::Result<bool> {
    let removed = tx
        .prepare_cached(
            "DELETE FROM recent WHERE first_seq <=
             min(?1, coalesce((SELECT first_seq FROM recent ORDER BY first_seq LIMIT 1 OFFSET ?2), ?1))",
        )?
        .execute(params![through, REMOVE_MAX_ROWS])?;
    Ok(removed > REMOVE_MAX_ROWS)
}

/// Fills an empty window from the file. `unix_now_ms` is the wall clock, `now_ms` the window's own.
/// Costs at most what the bound of the window costs.
pub(super) fn load(
    connection: &Connection,
    window: &mut Window,
    unix_now_ms: i64,
    now_ms: i64,
) -> rusqlite::Result<()> {
    let Some(from) = find_start(connection, window, unix_now_ms, now_ms)? else { return Ok(()) };
    let mut statement = connection
        .prepare("SELECT first_seq, accepted_at_ms, ids FROM recent WHERE first_seq >= ?1 ORDER BY first_seq")?;
    let mut rows = statement.query([from])?;
    let mut youngest = i64::MAX;
    while let Some(row) = rows.next()? {
        // Nothing is older than what came before it, whatever was done to the clock.
        youngest = age(unix_now_ms, row.get(1)?).min(youngest);
        let ids = row.get_ref(2)?.as_blob()?;
        for id in ids.as_chunks().0 {
            window.note(*id);
        }
        window.keep(row.get(0)?, now_ms - youngest);
    }
    window.expire(now_ms);
    Ok(())
}

/// The first row that the window holds, from the newest one back, and what lies before it.
fn find_start(
    connection: &Connection,
    window: &mut Window,
    unix_now_ms: i64,
    now_ms: i64,
) -> rusqlite::Result<Option<Seq>> {
    let mut statement =
        connection.prepare("SELECT first_seq, accepted_at_ms, length(ids) FROM recent ORDER BY first_seq DESC")?;
    let mut rows = statement.query([])?;
    let (mut from, mut ids) = (None, 0);
    while let Some(row) = rows.next()? {
        let (first_seq, age) = (row.get(0)?, age(unix_now_ms, row.get(1)?));
        ids += row.get::<_, usize>(2)? / NO_ID.len();
        if age >= window.length_ms() {
            window.skip_through(first_seq, None);
            break;
        }
        if ids > window.max_ids() {
            window.skip_through(first_seq, Some(now_ms - age));
            break;
        }
        from = Some(first_seq);
    }
    Ok(from)
}

/// How long ago, by the wall clock; what lies in its future has just been.
fn age(unix_now_ms: i64, at_ms: i64) -> i64 {
    unix_now_ms.saturating_sub(at_ms).max(0)
}
