//! The spool's database, opened as an operator or another program opens it.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::wait::PATIENCE;

/// The name of the database in the directory of a spool.
pub const DATABASE: &str = "spool.db";
/// The name of its write-ahead log.
pub const WAL: &str = "spool.db-wal";

/// Returns the path of the database of the spool in this directory.
pub fn file(dir: &Path) -> PathBuf {
    dir.join(DATABASE)
}

/// Returns the path of the WAL of the spool in this directory.
pub fn wal(dir: &Path) -> PathBuf {
    dir.join(WAL)
}

/// Opens the database, also of a running bridge. Waits for locks as long as a test waits.
#[track_caller]
pub fn open(dir: &Path) -> Connection {
    let connection = Connection::open(file(dir)).unwrap();
    connection.busy_timeout(PATIENCE).unwrap();
    connection
}
