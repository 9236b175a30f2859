//! Why the process could not start, or exited.

use std::net::SocketAddr;

use crate::edge::descriptors;
use crate::publisher::PublisherError;
use crate::spool::SpoolError;

/// Why the process could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A port cannot be bound.
    #[error("{name}: {address} cannot be listened on: {source}")]
    Bind {
        /// The variable.
        name: &'static str,
        /// Its value.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The process may open too few files.
    #[error(transparent)]
    Descriptors(#[from] descriptors::TooFew),
    /// A thread could not be started.
    #[error("a thread could not be started: {0}")]
    Thread(std::io::Error),
    /// The spool cannot be opened.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The publisher cannot be started, or failed.
    #[error(transparent)]
    Publisher(#[from] PublisherError),
    /// A listener failed.
    #[error("a listener failed: {0}")]
    Server(std::io::Error),
    /// The metrics are declared wrongly.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A part ended while it was needed.
    #[error("the {0} has ended")]
    PartEnded(&'static str),
}

impl AppError {
    /// Whether the process never came to run, for a reason outside of it.
    pub fn is_outside(&self) -> bool {
        matches!(
            self,
            Self::Bind { .. }
                | Self::Descriptors(_)
                | Self::Thread(_)
                | Self::Spool(
                    SpoolError::Locked { .. }
                        | SpoolError::NoSpool { .. }
                        | SpoolError::Directory { .. }
                        | SpoolError::Sqlite(_)
                )
        )
    }
}
