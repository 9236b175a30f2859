//! The error of an action.

use crate::publisher::PublisherError;
use crate::publisher::kafka::errors::StepError;
use crate::pulse::Abandoned;
use crate::spool::SpoolError;

/// The spool's error text for an entry without room.
const QUARANTINE_FULL: &str = "the quarantine is full";

/// Why an action failed.
#[derive(Debug)]
pub(super) enum ActionError {
    /// The machine tries again after a backoff.
    Retry(StepError),
    /// The publisher ends: the spool's writer has exited, the file is corrupted, or another thread has taken over.
    Fatal(PublisherError),
}

impl From<StepError> for ActionError {
    fn from(error: StepError) -> Self {
        Self::Retry(error)
    }
}

impl From<PublisherError> for ActionError {
    fn from(error: PublisherError) -> Self {
        Self::Fatal(error)
    }
}

impl From<Abandoned> for ActionError {
    fn from(Abandoned: Abandoned) -> Self {
        Self::Fatal(PublisherError::Abandoned)
    }
}

impl From<SpoolError> for ActionError {
    fn from(error: SpoolError) -> Self {
        let retry = |kind, doing, text| Self::Retry(StepError { kind, doing, text });
        match error {
            SpoolError::NotWritten(reason) if reason.contains(QUARANTINE_FULL) => {
                retry("quarantine_full", "quarantining a record", reason.to_string())
            }
            SpoolError::NotWritten(reason) => retry("other", "writing to the spool", reason.to_string()),
            SpoolError::Sqlite(error) => retry("other", "reading the spool", error.to_string()),
            SpoolError::Unreadable(reason) => retry("other", "reading the spool", reason),
            error => Self::Fatal(error.into()),
        }
    }
}
