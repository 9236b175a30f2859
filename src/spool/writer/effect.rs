//! What a transaction changes in memory.

use crate::spool::terms::Seq;

/// The changes of one transaction, applied to memory when it is durable.
#[derive(Default)]
pub(super) struct Effect {
    pub(super) bytes_released: Option<u64>,
    pub(super) published_end: Option<Seq>,
    pub(super) removable: bool,
    /// The ids of the deduplication window were saved.
    pub(super) ids_saved: bool,
    /// Rows of the deduplication window were removed up to this one.
    pub(super) forgotten: Option<Seq>,
}
