//! Why the process could not start, or exited.

use std::net::SocketAddr;

use crate::edge::descriptors;
use crate::publisher::PublisherError;
use crate::spool::SpoolError;

/// Why the process could not start, or exited.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A port cannot be bound.
    #[error("{name}: cannot listen on {address}: {source}")]
    Bind {
        /// The variable.
        name: &'static str,
        /// Its value.
        address: SocketAddr,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The limit of open files is too low.
    #[error(transparent)]
    Descriptors(#[from] descriptors::DescriptorLimitError),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// The spool cannot be opened. The text has the variable to change.
    #[error("{_0}{}", spool_fix(_0))]
    Spool(#[from] SpoolError),
    /// The publisher cannot be started, or failed.
    #[error(transparent)]
    Publisher(#[from] PublisherError),
    /// A listener failed.
    #[error("listener failed: {0}")]
    Server(std::io::Error),
    /// The declaration of the metrics is invalid.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A component exited while it was needed.
    #[error("component exited unexpectedly: {0}")]
    ComponentExited(&'static str),
}

/// The fix of an error of the spool as the end of its text; empty if the error has none in the configuration.
fn spool_fix(error: &SpoolError) -> &'static str {
    match error {
        SpoolError::Locked { .. } => "; stop that process, or set BRIDGE_SPOOL_DIR to another directory",
        SpoolError::Directory { .. } => "; set BRIDGE_SPOOL_DIR to a directory that this user can write",
        _ => "",
    }
}

impl AppError {
    /// Whether the process could not start for an external reason (exit code 75).
    pub fn is_outside(&self) -> bool {
        matches!(
            self,
            Self::Bind { .. }
                | Self::Descriptors(_)
                | Self::Thread(_)
                | Self::Spool(SpoolError::Locked { .. } | SpoolError::Directory { .. } | SpoolError::Sqlite(_))
        )
    }
}
