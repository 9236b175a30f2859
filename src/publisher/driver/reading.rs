//! Reads events of the spool for the driver.

use crate::spool::{Batch, ReadLimit, Reader, Seq, Spool, SpoolError, Suspicion};

/// A reader that gets a new connection while its file seems corrupted.
#[derive(Debug)]
pub(super) struct EventReader {
    spool: Spool,
    reader: Reader,
    suspicion: Suspicion,
}

impl EventReader {
    pub(super) fn new(spool: &Spool, reader: Reader) -> Self {
        Self { spool: spool.clone(), reader, suspicion: Suspicion::default() }
    }

    /// Reads events; see [`Reader::read`].
    ///
    /// # Errors
    /// [`SpoolError::Unreadable`]: the file may be corrupted; it is too early to tell.
    pub(super) fn read(&mut self, from: Seq, below: Seq, limit: ReadLimit) -> Result<Batch, SpoolError> {
        match self.reader.read(from, below, limit) {
            Err(SpoolError::Corrupt { reason, .. }) if !self.suspicion.confirm() => {
                // The old connection may hold pages that it read in part.
                self.reader = self.spool.reader()?;
                Err(SpoolError::Unreadable(reason))
            }
            result => {
                self.suspicion.clear();
                result
            }
        }
    }
}
