//! The error of a transaction.

use std::sync::Arc;

use crate::spool::error::{AppendError, SpoolError};

/// Why a transaction failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CommitError {
    /// It changed nothing, and may be tried again.
    Retry(Arc<str>),
    /// The writer ends. Whether the transaction is on the disk is unknown.
    Fatal,
}

/// A failed transaction.
pub(super) struct Failure {
    pub(super) error: CommitError,
    /// The connection was closed because of it, and the file was not opened again.
    pub(super) distrusted: bool,
}

impl From<CommitError> for SpoolError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Retry(reason) => Self::NotWritten(reason),
            CommitError::Fatal => Self::Stopped,
        }
    }
}

impl From<CommitError> for AppendError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Retry(reason) => Self::Failed(reason),
            CommitError::Fatal => Self::Closed,
        }
    }
}
