//! Files with the page size of an earlier release.

use rusqlite::Connection;

use super::*;
use crate::spool::store::files::{database_file, page_bytes, wal_bytes};
use crate::spool::store::open::open_writer;
use crate::spool::store::wal;

#[test]
fn the_wal_of_a_file_with_larger_pages_is_measured_in_its_pages() {
    let dir = tempfile::tempdir().unwrap();
    let (_, writer) = open(dir.path());
    writer.stop().unwrap();
    let file = Connection::open(database_file(dir.path())).unwrap();
    file.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA page_size = 16384; VACUUM; PRAGMA journal_mode = WAL")
        .unwrap();
    file.close().unwrap();

    let (connection, _) = open_writer(dir.path()).unwrap();
    assert_eq!(page_bytes(&connection), Ok(16_384));
    connection.execute("UPDATE progress SET quarantine_events = 1", []).unwrap();
    let found = wal::checkpoint(&connection, false).unwrap().bytes.unwrap();
    // A header of 32 bytes, and 24 bytes before each page.
    let pages = found.size / 16_384;
    assert_eq!(wal_bytes(dir.path()), 32 + pages * (24 + 16_384), "{found:?}");
}
