//! The sequence numbers of one spool UUID.

use crate::seq_set::SeqSet;

/// The numbers that were found.
#[derive(Debug, Default)]
pub(super) struct SpoolRecords {
    /// The index of the spool in the order of its first record.
    pub(super) ordinal: usize,
    pub(super) seqs: SeqSet,
    /// The lowest and the highest number of the verified records. Numbers outside are not missing.
    pub(super) range: Option<(u64, u64)>,
    pub(super) duplicates: u64,
}
