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

/// Removes the reserved space from the content of a WAL: the zeros after its last frame.
pub fn without_reserve(mut log: Vec<u8>) -> Vec<u8> {
    const HEADER: usize = 32;
    let page = u32::from_be_bytes(log[8..12].try_into().unwrap()) as usize;
    let last = log.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
    log.truncate(HEADER + last.saturating_sub(HEADER).next_multiple_of(24 + page));
    log
}

/// Turns the database of a stopped bridge into one of an earlier format.
#[track_caller]
pub fn to_format(version: u32, dir: &Path) {
    let connection = open(dir);
    connection
        .execute_batch(
            "INSERT INTO recent SELECT first_seq, accepted_at_ms, ids FROM event_group
                 WHERE first_seq >= (SELECT ids_end FROM progress);
             ALTER TABLE event_group DROP COLUMN ids;
             ALTER TABLE progress DROP COLUMN ids_end;",
        )
        .unwrap();
    if version == 1 {
        connection.execute_batch("DROP TABLE recent").unwrap();
    }
    connection.pragma_update(None, "user_version", version).unwrap();
}
