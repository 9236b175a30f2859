//! How a spool is opened.

use std::path::PathBuf;
use std::time::Duration;

/// How to open a spool.
pub struct Options {
    /// The directory, made where it is missing.
    pub dir: PathBuf,
    /// Bound of unpublished payload, in bytes.
    pub max_bytes: u64,
    /// Bound of the quarantine, in bytes.
    pub quarantine_max_bytes: u64,
    /// How long an accepted event is remembered, so that it is not added again; zero: not at all.
    pub dedup_window: Duration,
    /// Called by the writer after each commit of events, with its duration and its events.
    pub on_commit: Box<dyn Fn(Duration, u64) + Send>,
}
