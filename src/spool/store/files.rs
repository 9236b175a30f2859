//! Paths of the files of a spool, and settings that all connections share.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

/// How long a connection waits for a lock of another connection of this process.
pub(in crate::spool) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Page size of a file created by this release. A single webhook changes one page, and a group of some tens of events up to
/// four: larger pages write more bytes for them. A file with another page size keeps it.
pub(in crate::spool) const PAGE_BYTES: u32 = 4 << 10;

/// The page size of an open file, which an earlier release may have created.
pub(in crate::spool) fn page_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    connection.pragma_query_value(None, "page_size", |row| row.get(0))
}

/// The path of the database in the spool directory.
pub(in crate::spool) fn database_file(dir: &Path) -> PathBuf {
    dir.join("spool.db")
}

/// Device and inode: they differ if another file has the same name.
pub(in crate::spool) type FileId = (u64, u64);

/// The file that has the name of the database now, if one exists.
pub(in crate::spool) fn file_id(dir: &Path) -> Option<FileId> {
    std::fs::metadata(database_file(dir)).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// The path of the WAL.
pub(in crate::spool) fn wal_file(dir: &Path) -> PathBuf {
    dir.join("spool.db-wal")
}

/// The size of the WAL, in bytes; 0 if it does not exist.
pub(in crate::spool) fn wal_bytes(dir: &Path) -> u64 {
    std::fs::metadata(wal_file(dir)).map_or(0, |metadata| metadata.len())
}
