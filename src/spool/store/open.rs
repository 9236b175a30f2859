//! Creates, opens and checks the database.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::errors::{as_spool_error, corrupt};
use super::files::{BUSY_TIMEOUT, PAGE_BYTES, database_file, wal_file};
use super::lock::sync_directory;
use super::schema::{check_format, create};
use super::state::{StoredState, check};
use super::wal;
use crate::spool::error::SpoolError;

/// The writer's page cache. It holds the events that are being published, so that their removal reads nothing from
/// disk.
const CACHE_KIB: i64 = 8 << 10;

/// Opens the database for writing, creates it if it is missing, and checks it. The cost does not depend on the
/// backlog.
pub(in crate::spool) fn open_writer(dir: &Path) -> Result<(Connection, StoredState), SpoolError> {
    let file = database_file(dir);
    if !is_there(dir, &file)? {
        make(dir, &file)?;
    }
    let connection = Connection::open(&file).map_err(|error| as_spool_error(&file, error))?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // A file that fails a check stays unchanged: otherwise SQLite would copy the WAL into it on close.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Before any change: the file may belong to another program.
    check_format(&connection, &file)?;
    prepare(&connection).map_err(|error| as_spool_error(&file, error))?;
    let found = check(&connection, &file)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok((connection, found))
}

/// Opens the first connection of a process: recovers the WAL, then opens the database for writing.
pub(in crate::spool) fn open_first(dir: &Path) -> Result<(Connection, StoredState), SpoolError> {
    wal::rewrite(dir).map_err(|source| SpoolError::Directory { dir: dir.to_owned(), source })?;
    let (connection, found) = open_writer(dir)?;
    if let Err(error) = wal::empty(&connection) {
        // The commits are in the WAL. The connection's view of the disk cannot be trusted after the error.
        tracing::warn!(event = "checkpoint_failed", %error, "cannot copy the WAL into the database");
        drop(connection);
        return open_writer(dir);
    }
    Ok((connection, found))
}

/// Whether the database exists. A zero-length file is corruption, not a missing spool: SQLite would delete its WAL.
pub(in crate::spool) fn is_there(dir: &Path, file: &Path) -> Result<bool, SpoolError> {
    match std::fs::metadata(file) {
        Ok(metadata) if metadata.len() > 0 => Ok(true),
        Ok(_) => Err(corrupt(file, "it is empty: the file was truncated".to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(SpoolError::Directory { dir: dir.to_owned(), source }),
    }
}

/// Creates a new spool under a temporary name and renames it when it is complete and synced. So a file with the final
/// name is never a half-created spool.
fn make(dir: &Path, file: &Path) -> Result<(), SpoolError> {
    let fault = |source| SpoolError::Directory { dir: dir.to_owned(), source };
    let log = wal_file(dir);
    if std::fs::metadata(&log).is_ok_and(|metadata| metadata.len() > 0) {
        return Err(corrupt(file, format!("it is missing, but its WAL {} exists", log.display())));
    }
    let new = dir.join("spool.db.new");
    for leftover in [&new, &dir.join("spool.db.new-journal")] {
        match std::fs::remove_file(leftover) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fault(error)),
            _ => {}
        }
    }
    // The file holds accounts and IP addresses: only its owner may read it. SQLite gives its other files the same
    // mode.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(fault)?;
    let as_spool_error = |error| as_spool_error(file, error);
    let connection = Connection::open(&new).map_err(as_spool_error)?;
    connection.pragma_update(None, "page_size", PAGE_BYTES).map_err(as_spool_error)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(as_spool_error)?;
    create(&connection).map_err(as_spool_error)?;
    connection.close().map_err(|(_, error)| as_spool_error(error))?;
    std::fs::rename(&new, file).map_err(fault)?;
    sync_directory(dir).map_err(fault)
}

/// Opens a connection for reading.
pub(in crate::spool) fn open_reader(dir: &Path) -> Result<Connection, SpoolError> {
    let file = database_file(dir);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&file, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL: COMMIT returns only after the WAL was synced to the disk.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // The writer decides when to checkpoint; the WAL shrinks back to this after a burst.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", wal::KEPT_BYTES)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    Ok(())
}
