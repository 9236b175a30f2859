//! The spool's file, as an operator or another program opens it.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::wait::PATIENCE;

/// The name of the database in the directory of a spool.
pub const DATABASE: &str = "spool.db";
/// The name of its write-ahead log.
pub const WAL: &str = "spool.db-wal";

/// The database of the spool in this directory.
pub fn file(dir: &Path) -> PathBuf {
    dir.join(DATABASE)
}

/// The write-ahead log of the spool in this directory.
pub fn wal(dir: &Path) -> PathBuf {
    dir.join(WAL)
}

/// Opens the database, also beside a running bridge: waits for locks for as long as a test waits.
#[track_caller]
pub fn open(dir: &Path) -> Connection {
    let connection = Connection::open(file(dir)).unwrap();
    connection.busy_timeout(PATIENCE).unwrap();
    connection
}
