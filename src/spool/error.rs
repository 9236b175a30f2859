//! Errors of the spool, and what each means for the data. The fix of a configuration error is added by the caller, which
//! knows the names of variables and arguments.

use std::path::PathBuf;

use super::terms::Seq;

/// An error of the spool.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process has the lock of the directory.
    #[error("the spool directory {dir} is in use by another process{holder}")]
    Locked {
        /// The spool directory.
        dir: PathBuf,
        /// ` (pid N)` if the process id is known, else empty.
        holder: String,
    },
    /// The directory or its lock file cannot be created or written.
    #[error("the spool directory {dir} cannot be used: {source}")]
    Directory {
        /// The spool directory.
        dir: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The directory of a command has no spool.
    #[error("no spool exists in {dir}")]
    NoSpool {
        /// The directory.
        dir: PathBuf,
    },
    /// The file is not a spool, is corrupted, or was written by a newer release. Nothing is deleted.
    #[error(
        "the spool file {file} is corrupted: {reason}; nothing was changed. Keep the file: move it to another directory to start with an empty spool, then restore it from a copy or publish its events by hand"
    )]
    Corrupt {
        /// The database file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The file was removed or replaced while in use: its content is lost when the process ends.
    #[error(
        "the spool file {file} was removed or replaced while in use: no further webhook is accepted. The next start uses the file that exists then"
    )]
    Gone {
        /// The database file.
        file: PathBuf,
    },
    /// The file cannot be read now. Whether it is corrupted is not known yet.
    #[error("the spool cannot be read: {0}")]
    Unreadable(String),
    /// One row is corrupted; the rest of the file is intact.
    #[error("{0}")]
    CorruptedRow(Box<CorruptedRow>),
    /// SQLite failed: a full disk, an I/O error.
    #[error("spool: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A commit failed and changed nothing; it may be tried again.
    #[error("spool: {0}")]
    NotWritten(std::sync::Arc<str>),
    /// The writer thread has exited; the process is about to end.
    #[error("the spool's writer has exited")]
    Stopped,
}

/// A row whose checksum does not match.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the row of events {first_seq} to {} in {file} is corrupted: {reason}", .until - 1)]
pub struct CorruptedRow {
    /// The database file.
    pub file: PathBuf,
    /// Its first sequence number.
    pub first_seq: Seq,
    /// The sequence number after its last event.
    pub until: Seq,
    /// What is wrong.
    pub reason: &'static str,
    /// The row's payload as stored: events in order, each after its length (u32, little-endian), if they are intact.
    pub bytes: Vec<u8>,
}

/// Why a webhook was not made durable. None of its events is in the spool, unless stated otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The spool or a share of the quarantine is full.
    #[error("the {what} is full ({bytes} of {max_bytes} bytes)")]
    Full {
        /// What is full.
        what: &'static str,
        /// Bytes in use.
        bytes: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// The commit failed: no event of its group is durable or will be published.
    #[error("cannot write to the spool: {0}")]
    Failed(std::sync::Arc<str>),
    /// Too many bytes wait for the disk in memory.
    #[error("too many bytes wait for the disk ({bytes})")]
    Overloaded {
        /// Bytes waiting.
        bytes: usize,
    },
    /// The spool is shutting down.
    #[error("the spool is closed")]
    Closed,
}
