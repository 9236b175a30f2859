//! What SQLite says, in the terms of the spool.

use std::path::Path;

use crate::spool::error::SpoolError;

/// The file cannot be trusted.
pub(in crate::spool) fn corrupt(file: &Path, reason: String) -> SpoolError {
    SpoolError::Corrupt { file: file.to_owned(), reason }
}

/// A damaged file is named as such; every other fault stays what it is.
pub(in crate::spool) fn as_spool_error(file: &Path, error: rusqlite::Error) -> SpoolError {
    use rusqlite::ErrorCode::{CannotOpen, DatabaseCorrupt, DiskFull, NotADatabase, ReadOnly, Unknown};
    let directory = |text: String| SpoolError::Directory {
        dir: file.parent().unwrap_or(file).to_owned(),
        source: std::io::Error::other(text),
    };
    match error.sqlite_error_code() {
        // `Unknown` is what a missing table or column gives.
        Some(DatabaseCorrupt | NotADatabase | Unknown) => corrupt(file, error.to_string()),
        Some(CannotOpen | DiskFull | ReadOnly) => directory(error.to_string()),
        _ if matches!(error, rusqlite::Error::SqliteFailure(..)) => SpoolError::Sqlite(error),
        // A value of another type, no row where one must be: the file holds something else.
        _ => corrupt(file, error.to_string()),
    }
}
