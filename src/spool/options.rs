//! Options of a spool.

use std::path::PathBuf;
use std::time::Duration;

/// Options of a spool.
pub struct SpoolOptions {
    /// The directory; created if it is missing.
    pub dir: PathBuf,
    /// Limit of unpublished payload, in bytes.
    pub max_bytes: u64,
    /// Limit of the quarantine, in bytes.
    pub quarantine_max_bytes: u64,
    /// Length of the deduplication window; zero: deduplication is off.
    pub dedup_window: Duration,
    /// Called by the writer after each commit of events, with the duration and the number of events.
    pub on_commit: Box<dyn Fn(Duration, u64) + Send>,
}
