//! Conversion of SQLite's errors to the spool's.

use std::path::Path;

use crate::spool::error::SpoolError;

/// SQLite reports a read that failed with `EIO` as corruption, too: `SQLITE_IOERR_CORRUPTFS` becomes `SQLITE_CORRUPT`.
const OR_UNREADABLE: &str = ", or the disk cannot read it (see the kernel's log)";

/// The file is corrupted.
pub(in crate::spool) fn corrupt(file: &Path, reason: String) -> SpoolError {
    SpoolError::Corrupt { file: file.to_owned(), reason }
}

/// Recognizes a corrupted file and a directory that cannot be used; other errors stay errors of SQLite.
pub(in crate::spool) fn as_spool_error(file: &Path, error: rusqlite::Error) -> SpoolError {
    use rusqlite::ErrorCode::{CannotOpen, DatabaseCorrupt, DiskFull, NotADatabase, ReadOnly, Unknown};
    let directory = |text: String| SpoolError::Directory {
        dir: file.parent().unwrap_or(file).to_owned(),
        source: std::io::Error::other(text),
    };
    match error.sqlite_error_code() {
        Some(DatabaseCorrupt) => corrupt(file, format!("{error}{OR_UNREADABLE}")),
        // SQLite reports `Unknown` for a missing table or column.
        Some(NotADatabase | Unknown) => corrupt(file, error.to_string()),
        Some(CannotOpen | DiskFull | ReadOnly) => directory(error.to_string()),
        _ if matches!(error, rusqlite::Error::SqliteFailure(..)) => SpoolError::Sqlite(error),
        // A value of another type, or a missing row: the file has other content.
        _ => corrupt(file, error.to_string()),
    }
}
