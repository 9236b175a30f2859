//! Reads events of the spool for the driver.

use std::time::{Duration, Instant};

use crate::spool::{Batch, ReadLimit, Reader, Seq, Spool, SpoolError};

/// How long the file must be found corrupted until that is believed: SQLite reports a failed read like corruption, and a
/// read may work again.
const CORRUPT_FOR: Duration = Duration::from_secs(3);

/// A reader that gets a new connection while its file seems corrupted.
#[derive(Debug)]
pub(super) struct EventReader {
    spool: Spool,
    reader: Reader,
    corrupt_since: Option<Instant>,
}

impl EventReader {
    pub(super) fn new(spool: &Spool, reader: Reader) -> Self {
        Self { spool: spool.clone(), reader, corrupt_since: None }
    }

    /// Reads events; see [`Reader::read`].
    ///
    /// # Errors
    /// [`SpoolError::Unreadable`]: the file may be corrupted; it is too early to tell.
    pub(super) fn read(&mut self, from: Seq, below: Seq, limit: ReadLimit) -> Result<Batch, SpoolError> {
        match self.reader.read(from, below, limit) {
            Err(SpoolError::Corrupt { reason, .. })
                if self.corrupt_since.get_or_insert_with(Instant::now).elapsed() < CORRUPT_FOR =>
            {
                // The old connection may hold pages that it read in part.
                self.reader = self.spool.reader()?;
                Err(SpoolError::Unreadable(reason))
            }
            result => {
                self.corrupt_since = None;
                result
            }
        }
    }
}
