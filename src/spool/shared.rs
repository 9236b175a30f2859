//! State shared by the writer, the workers and the publisher.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::watch;

use super::bound::Bound;
use super::quarantine::Tallies;
use super::queue::CommitQueue;
use super::shares::Shares;
use super::terms::{DedupUsage, Identity, Progress, Seq};
use crate::pulse::Pulse;

/// The state of an open spool.
#[derive(Debug)]
pub(super) struct SpoolShared {
    pub(super) dir: PathBuf,
    pub(super) queue: CommitQueue,
    pub(super) capacity: Bound,
    pub(super) quarantine: Shares,
    pub(super) recognizes_duplicates: bool,
    pub(super) state: Mutex<SpoolState>,
    /// Notified when events were committed or the spool was nudged.
    pub(super) grown: Condvar,
    /// The published sequence, for waiting requests.
    pub(super) published: watch::Sender<Seq>,
    /// The pulse of the writer, for the watchdog.
    pub(super) pulse: Pulse,
}

#[derive(Debug)]
pub(super) struct SpoolState {
    pub(super) progress: Progress,
    pub(super) identities: Vec<Identity>,
    pub(super) quarantine: Tallies,
    /// Why the last commit failed. None after a successful commit.
    pub(super) fault: Option<Arc<str>>,
    pub(super) nudged: bool,
    pub(super) dedup: DedupUsage,
    /// When the newest event was accepted that was forgotten early because the window was full.
    pub(super) forgotten_at: Option<Instant>,
}

impl SpoolShared {
    pub(super) fn state(&self) -> MutexGuard<'_, SpoolState> {
        self.state.lock()
    }
}
