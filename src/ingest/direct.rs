//! Direct publishing: the interface that `ingest` uses while the spool cannot be written. The publisher implements
//! it.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

/// The future of [`DirectPublish::publish`].
pub type DirectPublishing<'p> = Pin<Box<dyn Future<Output = Result<(), DirectPublishError>> + Send + 'p>>;

/// Publishes records to Kafka without the spool.
pub trait DirectPublish: Debug + Send + Sync {
    /// Publishes the encoded records of one webhook. Returns when the broker has acknowledged all of them. Dropping
    /// the future does not cancel them.
    fn publish(&self, records: Vec<Vec<u8>>) -> DirectPublishing<'_>;
}

/// Not all records were acknowledged. Some may be in Kafka, or arrive there later.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DirectPublishError(pub String);
