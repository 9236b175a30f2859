//! SQL of the deduplication window.
//!
//! A group is stored with the ids of its events. Later one row of `recent` gets the ids of many groups, with the first
//! sequence number of the last of these groups as its key. It stays after the groups were published and removed. The
//! ids of events below `progress.ids_end` are in `recent`.

use rusqlite::{Connection, Transaction, params};

use crate::spool::terms::{EventId, NO_ID, Seq};

/// Maximum number of rows removed in one transaction.
const REMOVE_MAX_ROWS: usize = 2048;

/// Ids that are stored with their groups only.
#[derive(Debug, Default)]
pub(in crate::spool) struct UnsavedIds {
    ids: Vec<EventId>,
    /// The first sequence number of the last group, and when it was accepted. `None`: no group.
    last: Option<(Seq, i64)>,
}

impl UnsavedIds {
    /// Adds the ids of a durable group.
    pub(in crate::spool) fn add(&mut self, first_seq: Seq, accepted_at_ms: i64, ids: &[EventId]) {
        self.ids.extend_from_slice(ids);
        self.last = Some((first_seq, accepted_at_ms));
    }

    /// The number of ids.
    pub(in crate::spool) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Forgets them: they are saved.
    pub(in crate::spool) fn clear(&mut self) {
        self.ids.clear();
        self.last = None;
    }
}

/// Saves these ids, unless their row is forgotten already, and that the events below `ids_end` need no other.
pub(in crate::spool) fn save(
    tx: &Transaction<'_>,
    unsaved: &UnsavedIds,
    forgotten_row: Seq,
    ids_end: Seq,
) -> rusqlite::Result<()> {
    let Some((first_seq, accepted_at_ms)) = unsaved.last else { return Ok(()) };
    if !unsaved.ids.is_empty() && first_seq > forgotten_row {
        // The row may be there: from a commit that was reported as failed and is on the disk.
        let mut statement = tx.prepare_cached("INSERT OR REPLACE INTO recent VALUES (?1, ?2, ?3)")?;
        statement.execute(params![first_seq, accepted_at_ms, unsaved.ids.as_flattened()])?;
    }
    tx.prepare_cached("UPDATE progress SET ids_end = ?1 WHERE id = 1")?.execute([ids_end]).map(drop)
}

/// Removes rows up to this one, oldest first and up to a limit. Returns whether rows remain.
pub(in crate::spool) fn remove(tx: &Transaction<'_>, through: Seq) -> rusqlite::Result<bool> {
    let removed = tx
        .prepare_cached(
            "DELETE FROM recent WHERE first_seq <=
             min(?1, coalesce((SELECT first_seq FROM recent ORDER BY first_seq LIMIT 1 OFFSET ?2), ?1))",
        )?
        .execute(params![through, REMOVE_MAX_ROWS])?;
    Ok(removed > REMOVE_MAX_ROWS)
}

/// Removes rows from this sequence number on: no events belong to them.
pub(in crate::spool) fn remove_from(connection: &Connection, seq: Seq) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM recent WHERE first_seq >= ?1", [seq]).map(drop)
}

/// A part of the stored window.
#[derive(Debug)]
pub(in crate::spool) enum Loaded<'r> {
    /// Rows up to this one are not loaded: they are older than the window or, with an age, exceed its limit.
    Skipped { through: Seq, age_ms: Option<i64> },
    /// A row of this age.
    Row { first_seq: Seq, age_ms: i64, ids: &'r [EventId] },
}

/// Limits of what is loaded.
#[derive(Debug, Clone, Copy)]
pub(in crate::spool) struct LoadBounds {
    pub(in crate::spool) max_age_ms: i64,
    pub(in crate::spool) max_ids: usize,
}

/// Loads the window, oldest row first. `unix_now_ms` is the wall clock.
pub(in crate::spool) fn load(
    connection: &Connection,
    bounds: LoadBounds,
    unix_now_ms: i64,
    mut take: impl FnMut(Loaded<'_>),
) -> rusqlite::Result<()> {
    let Some(from) = find_start(connection, bounds, unix_now_ms, &mut take)? else { return Ok(()) };
    let mut statement = connection
        .prepare("SELECT first_seq, accepted_at_ms, ids FROM recent WHERE first_seq >= ?1 ORDER BY first_seq")?;
    let mut rows = statement.query([from])?;
    let mut youngest = i64::MAX;
    while let Some(row) = rows.next()? {
        // A row is never older than the row before it, even if the clock was set.
        youngest = age(unix_now_ms, row.get(1)?).min(youngest);
        let ids = row.get_ref(2)?.as_blob()?.as_chunks().0;
        take(Loaded::Row { first_seq: row.get(0)?, age_ms: youngest, ids });
    }
    Ok(())
}

/// Loads the ids that the last process has stored with their groups only: group by group, with the time of its
/// acceptance and its age.
pub(in crate::spool) fn load_unsaved(
    connection: &Connection,
    unix_now_ms: i64,
    mut take: impl FnMut(Seq, i64, i64, &[EventId]),
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(
        "SELECT first_seq, accepted_at_ms, ids FROM event_group
         WHERE first_seq >= (SELECT ids_end FROM progress) ORDER BY first_seq",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let at_ms = row.get(1)?;
        take(row.get(0)?, at_ms, age(unix_now_ms, at_ms), row.get_ref(2)?.as_blob()?.as_chunks().0);
    }
    Ok(())
}

/// The first row to load, from the newest one back.
fn find_start(
    connection: &Connection,
    bounds: LoadBounds,
    unix_now_ms: i64,
    take: &mut impl FnMut(Loaded<'_>),
) -> rusqlite::Result<Option<Seq>> {
    let mut statement =
        connection.prepare("SELECT first_seq, accepted_at_ms, length(ids) FROM recent ORDER BY first_seq DESC")?;
    let mut rows = statement.query([])?;
    let (mut from, mut ids) = (None, 0);
    while let Some(row) = rows.next()? {
        let (first_seq, age) = (row.get(0)?, age(unix_now_ms, row.get(1)?));
        ids += row.get::<_, usize>(2)? / NO_ID.len();
        if age >= bounds.max_age_ms {
            take(Loaded::Skipped { through: first_seq, age_ms: None });
            break;
        }
        if ids > bounds.max_ids {
            take(Loaded::Skipped { through: first_seq, age_ms: Some(age) });
            break;
        }
        from = Some(first_seq);
    }
    Ok(from)
}

/// The age by the wall clock. Times in the future count as now.
fn age(unix_now_ms: i64, at_ms: i64) -> i64 {
    unix_now_ms.saturating_sub(at_ms).max(0)
}
