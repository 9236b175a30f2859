//! The files of a spool, and the numbers that all connections share.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a connection waits for a lock of another one of this process.
pub(in crate::spool) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The pages of a file made by this release. A group of some tens of events fills one or two: fewer
/// writes for a commit than SQLite's 4 KiB. A file made with other pages keeps them.
pub(in crate::spool) const PAGE_BYTES: u32 = 16 << 10;

/// The name of the database inside the spool directory.
pub(in crate::spool) fn database_file(dir: &Path) -> PathBuf {
    dir.join("spool.db")
}

/// Tells a file from another one that has its name: device and inode.
pub(in crate::spool) type FileId = (u64, u64);

/// The database that has the name now, if there is one.
pub(in crate::spool) fn file_id(dir: &Path) -> Option<FileId> {
    std::fs::metadata(database_file(dir)).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// The file of the WAL.
pub(in crate::spool) fn wal_file(dir: &Path) -> PathBuf {
    dir.join("spool.db-wal")
}
