//! What can go wrong in the spool, and what each fault means for the data.

use std::path::PathBuf;

use super::terms::Seq;

/// A fault of the spool.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process holds the directory.
    #[error(
        "the spool directory {dir} is in use by another process{holder}; stop it, or give this one a BRIDGE_SPOOL_DIR of its own"
    )]
    Locked {
        /// The spool directory.
        dir: PathBuf,
        /// ` (pid N)` where the holder left its number, else empty.
        holder: String,
    },
    /// The directory or its lock file cannot be made or written.
    #[error("the spool directory {dir} cannot be used: {source}; BRIDGE_SPOOL_DIR must be writable by this user")]
    Directory {
        /// The spool directory.
        dir: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A command was to look into a spool where there is none.
    #[error("there is no spool in {dir}; name its directory with --dir or BRIDGE_SPOOL_DIR")]
    NoSpool {
        /// The directory.
        dir: PathBuf,
    },
    /// The file is not a spool, is damaged, or was written by a newer release. Nothing is deleted.
    #[error(
        "the spool file {file} cannot be trusted: {reason}; nothing was changed. Keep the file: move it aside to start with an empty spool, and restore it from a copy or publish what it holds by hand"
    )]
    Corrupt {
        /// The database file.
        file: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The file has lost its name while it was in use: what is written to it is gone with the process.
    #[error(
        "the spool file {file} was removed or replaced while it was in use: nothing more is accepted. The next start goes on with what is there then"
    )]
    Gone {
        /// The database file.
        file: PathBuf,
    },
    /// A row does not hold what was written; the file as a whole is sound.
    #[error("{0}")]
    Damaged(Box<Damage>),
    /// SQLite failed: a full disk, an I/O error.
    #[error("spool: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A commit failed and left nothing; it may be tried again.
    #[error("spool: {0}")]
    NotWritten(std::sync::Arc<str>),
    /// The writer thread is gone; the process is about to end.
    #[error("the spool's writer has stopped")]
    Stopped,
}

/// A row that does not hold what was written: its checksum says so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the row of events {first_seq} to {} in {file} is damaged: {reason}", .until - 1)]
pub struct Damage {
    /// The database file.
    pub file: PathBuf,
    /// Its first sequence number.
    pub first_seq: Seq,
    /// The number after its last one.
    pub until: Seq,
    /// What was found.
    pub reason: &'static str,
    /// The row's payload as it is on the disk: events in sequence, each behind its length (u32,
    /// little-endian), where it is not damaged.
    pub bytes: Vec<u8>,
}

/// Why a delivery was not made durable. Nothing of it is in the spool, unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The spool or the quarantine is at its bound.
    #[error("the {what} is full ({bytes} of {max_bytes} bytes)")]
    Full {
        /// `spool` or `quarantine`.
        what: &'static str,
        /// Bytes in use.
        bytes: u64,
        /// The bound.
        max_bytes: u64,
    },
    /// The commit failed: nothing of its group is durable or will be published.
    #[error("the spool could not be written: {0}")]
    Failed(std::sync::Arc<str>),
    /// More is waiting for the disk than may be held in memory.
    #[error("too much is waiting for the disk ({bytes} bytes)")]
    Overloaded {
        /// Bytes waiting.
        bytes: usize,
    },
    /// The spool is shutting down.
    #[error("the spool is closed")]
    Closed,
}
