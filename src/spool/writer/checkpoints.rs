//! Decides when the WAL is copied into the database (checkpoint), and on which thread.
//!
//! A checkpoint of a few MiB delays an acknowledgement by some milliseconds, so the writer makes it itself. After a
//! reader has held its snapshot for long (a backup), hundreds of MiB wait. A separate thread copies them, and commits
//! continue meanwhile. A WAL at its limit takes no more commits: see [`Checkpoints::is_full`].

use std::path::Path;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use crate::spool::store::wal::{self, Checkpoint};

/// A checkpoint is due each time this much was stored, also under load. Larger steps would delay acknowledgements.
const STEP_BYTES: u64 = 2 << 20;
/// Also each time the WAL has grown by this much. Small commits write the same page again and again, and a checkpoint
/// copies it once. Less than what SQLite keeps of the file ([`wal::KEPT_BYTES`]).
const STEP_WAL_BYTES: u64 = 6 << 20;
/// Above this size, a separate thread copies the WAL. A disk with 20 MB/s writes this size in less than 1 s.
const BESIDE_FROM_BYTES: u64 = 16 << 20;
/// From this size on, a checkpoint waits for readers, so that the next commit writes from its start.
const RESTART_BYTES: u64 = 32 << 20;
/// How often a checkpoint is tried again without new commits, and while the WAL is at its limit.
const RETRY_DELAY: Duration = Duration::from_secs(5);
const FULL_RETRY_DELAY: Duration = Duration::from_secs(1);
/// The limit of the WAL is the limit of the spool's payload, clamped to these values.
const LEAST_BOUND_BYTES: u64 = 64 << 20;
const MOST_BOUND_BYTES: u64 = 1 << 30;

/// The next checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CheckpointStep {
    /// On the writer's thread, with or without waiting for readers.
    Here { waits: bool },
    /// On a separate thread.
    Beside,
}

/// The state of the WAL, in bytes.
pub(super) struct Checkpoints {
    /// Bytes that the last checkpoint did not copy.
    left: u64,
    /// Bytes of the WAL written since then, estimated.
    written: u64,
    /// Those that are not the same page once more, estimated.
    stored: u64,
    /// Size of the WAL when the last checkpoint ended.
    size: u64,
    /// From this size on, a checkpoint waits for readers.
    restart_at: u64,
    bound: u64,
    /// The disk is full, perhaps because of the WAL.
    is_urgent: bool,
    tried_at: Instant,
    /// The result of the checkpoint on the separate thread, while one runs.
    beside: Option<Receiver<rusqlite::Result<Checkpoint>>>,
}

impl Checkpoints {
    /// For a spool whose payload has this limit, with a WAL of this size. It is empty unless its copying at the start
    /// failed.
    pub(super) fn new(spool_max_bytes: u64, wal_bytes: u64) -> Self {
        Self {
            left: wal_bytes,
            written: 0,
            stored: 0,
            size: wal_bytes,
            restart_at: RESTART_BYTES,
            bound: spool_max_bytes.clamp(LEAST_BOUND_BYTES, MOST_BOUND_BYTES),
            is_urgent: false,
            tried_at: Instant::now(),
            beside: None,
        }
    }

    /// Records what a commit has stored.
    pub(super) fn wrote(&mut self, bytes: u64) {
        self.written += bytes;
        self.stored += bytes;
    }

    /// Records what a commit has written of pages that most commits write.
    pub(super) fn wrote_again(&mut self, bytes: u64) {
        self.written += bytes;
    }

    /// The disk is full, perhaps because of the WAL: the next checkpoint is due at once.
    pub(super) fn hurry(&mut self) {
        self.is_urgent = true;
    }

    /// Whether the WAL has reached its limit.
    pub(super) fn is_full(&self) -> bool {
        self.size + self.written >= self.bound
    }

    /// The error text for commits while the WAL is at its limit.
    pub(super) fn full_reason(&self) -> String {
        format!(
            "the WAL of the spool has reached its limit of {} MiB: a reader (a backup, for example) holds an old \
             snapshot of spool.db, or the disk is too slow; end that reader",
            self.bound >> 20
        )
    }

    /// When to call [`next`](Self::next) although no commit was made.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.beside.is_some() || self.is_full() {
            return Some(self.tried_at + FULL_RETRY_DELAY);
        }
        (self.left >= STEP_BYTES || self.size >= RESTART_BYTES).then(|| self.tried_at + RETRY_DELAY)
    }

    /// The checkpoint to make now, if one is due.
    pub(super) fn next(&self) -> Option<CheckpointStep> {
        if self.beside.is_some() {
            return None;
        }
        // Bytes that a reader keeps from being copied count only in part: otherwise each commit would try again.
        let left = self.left.min(STEP_BYTES / 2);
        let is_grown = self.stored + left >= STEP_BYTES || self.written + left >= STEP_WAL_BYTES;
        let is_late = self.due().is_some_and(|due| due <= Instant::now());
        if !is_grown && !is_late && !self.is_urgent {
            return None;
        }
        if self.left + self.written > BESIDE_FROM_BYTES {
            return Some(CheckpointStep::Beside);
        }
        Some(CheckpointStep::Here { waits: is_late || self.size + self.written >= self.restart_at })
    }

    /// Starts a checkpoint on a separate thread.
    pub(super) fn begin_beside(&mut self, dir: &Path) {
        let (result, receiver) = sync_channel(1);
        let dir = dir.to_owned();
        let thread = std::thread::Builder::new().name("spool-checkpoint".to_owned());
        self.tried_at = Instant::now();
        match thread.spawn(move || result.send(wal::checkpoint_alone(&dir))) {
            Ok(_) => self.beside = Some(receiver),
            Err(error) => {
                tracing::warn!(event = "checkpoint_failed", %error, "cannot start the checkpoint thread");
            }
        }
    }

    /// The result of the checkpoint on the separate thread, after its end; returned once.
    pub(super) fn ended_beside(&mut self) -> Option<rusqlite::Result<Checkpoint>> {
        match self.beside.as_ref()?.try_recv() {
            Err(TryRecvError::Empty) => {
                self.tried_at = Instant::now();
                None
            }
            ended => {
                self.beside = None;
                ended.ok()
            }
        }
    }

    /// Records a successful checkpoint.
    pub(super) fn ended(&mut self, step: CheckpointStep, found: &Checkpoint) {
        self.failed();
        if let Some(bytes) = found.bytes {
            self.left = bytes.left;
            self.size = if found.is_restarted { 0 } else { bytes.size };
        }
        if self.size < RESTART_BYTES {
            self.restart_at = RESTART_BYTES;
        } else if step == (CheckpointStep::Here { waits: true }) {
            // A reader holds a snapshot: the next 32 MiB do not wait for it.
            self.restart_at = self.size + RESTART_BYTES;
        }
    }

    /// Records a checkpoint that copied nothing. The next one is due when the WAL has grown further.
    pub(super) fn failed(&mut self) {
        self.tried_at = Instant::now();
        self.is_urgent = false;
        self.left += self.written;
        self.size += self.written;
        (self.written, self.stored) = (0, 0);
    }

    /// Whether the rest is so large that the process ends without copying it. The next start copies it.
    pub(super) fn is_left_behind(&self) -> bool {
        self.beside.is_some() || self.left + self.written > BESIDE_FROM_BYTES
    }
}

#[cfg(test)]
#[path = "checkpoints_tests.rs"]
mod tests;
