//! The queries of `spool verify`. They must also work on a corrupted file.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, params};

use super::files::BUSY_TIMEOUT;
use super::schema;
use crate::spool::terms::Seq;

/// Opens the database for reading. Without a WAL no process has the file open, and it is read as immutable: otherwise
/// SQLite would create a WAL and leave it there.
pub(in crate::spool) fn open(file: &Path, stopped: bool) -> rusqlite::Result<Connection> {
    let path = percent_encode(file.as_os_str().as_bytes(), NON_ALPHANUMERIC);
    let uri = format!("file:{path}{}", if stopped { "?immutable=1" } else { "" });
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

/// Problems that SQLite finds in its own structure, one line each.
pub(in crate::spool) fn structure(connection: &Connection, most: usize) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare(&format!("PRAGMA integrity_check({most})"))?
        .query_map([], |row| row.get::<_, String>(0))?
        .filter(|line| !matches!(line, Ok(line) if line == "ok"))
        .collect()
}

/// A table: its expected and its actual definition.
pub(in crate::spool) struct Table {
    pub(in crate::spool) name: String,
    /// The expected `CREATE TABLE` statement.
    pub(in crate::spool) made: String,
    /// The statement in the file. None: the table is missing.
    pub(in crate::spool) found: Option<String>,
}

/// All tables of the file's format version.
pub(in crate::spool) fn tables(connection: &Connection) -> rusqlite::Result<Vec<Table>> {
    let mut text =
        connection.prepare("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1 AND tbl_name = ?1")?;
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let compare = |(name, made): (String, String)| {
        let found = text.query_row([&name], |row| row.get(0)).optional()?;
        Ok(Table { name, made, found })
    };
    schema::tables(version)?.into_iter().map(compare).collect()
}

pub(in crate::spool) struct CheckedRow {
    pub(in crate::spool) events: u64,
    pub(in crate::spool) bytes_through: u64,
    pub(in crate::spool) checksum: u32,
    pub(in crate::spool) payload: Vec<u8>,
}

/// The next sequence number to publish.
pub(in crate::spool) fn published_end(tx: &Transaction<'_>) -> rusqlite::Result<Seq> {
    tx.query_row("SELECT watermark FROM progress WHERE id = 1", [], |row| row.get(0))
}

/// One row, by its first sequence number.
pub(in crate::spool) fn row(tx: &Transaction<'_>, key: i64) -> rusqlite::Result<CheckedRow> {
    tx.prepare_cached("SELECT events, bytes_through, checksum, payload FROM event_group WHERE first_seq = ?1")?
        .query_row([key], |row| {
            Ok(CheckedRow {
                events: row.get(0)?,
                bytes_through: row.get(1)?,
                checksum: row.get(2)?,
                payload: row.get(3)?,
            })
        })
}

/// The sequence number after the newest event. None: no rows.
pub(in crate::spool) fn newest(tx: &Transaction<'_>) -> rusqlite::Result<Option<Seq>> {
    let query = "SELECT first_seq + events FROM event_group ORDER BY first_seq DESC LIMIT 1";
    tx.query_row(query, [], |row| row.get(0)).optional()
}

/// The first sequence numbers of the next rows.
pub(in crate::spool) fn keys_after(tx: &Transaction<'_>, after: i64, most: u32) -> rusqlite::Result<Vec<i64>> {
    tx.prepare_cached("SELECT first_seq FROM event_group WHERE first_seq > ?1 ORDER BY first_seq LIMIT ?2")?
        .query_map(params![after, most], |row| row.get(0))?
        .collect()
}
