//! Counts the entries that the journal does not have.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why the journal, or its file, does not have an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// More refusals of one kind in a second than the limit.
    RateLimit,
    /// It is only in memory: too many entries wait for the disk.
    QueueFull,
    /// It is only in memory: the disk is full or failed.
    WriteFailed,
    /// Newer entries took its place in memory.
    PushedOut,
    /// Its line in the file was corrupted or not complete when the process started.
    Unreadable,
}

impl LeftOut {
    /// All reasons, by index.
    pub const ALL: [Self; 5] = [Self::RateLimit, Self::QueueFull, Self::WriteFailed, Self::PushedOut, Self::Unreadable];

    /// The label value of `refused_left_out_total{reason}`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::RateLimit => "rate_limit",
            Self::QueueFull => "queue_full",
            Self::WriteFailed => "write_failed",
            Self::PushedOut => "pushed_out",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A count for each reason, since the start of the process.
#[derive(Debug, Default)]
pub(super) struct LeftOutCounts([AtomicU64; LeftOut::ALL.len()]);

impl LeftOutCounts {
    pub(super) fn add(&self, reason: LeftOut, count: u64) {
        self.0[reason as usize].fetch_add(count, Relaxed);
    }

    pub(super) fn get(&self) -> [u64; LeftOut::ALL.len()] {
        std::array::from_fn(|place| self.0[place].load(Relaxed))
    }
}

/// The size of the journal in memory, and what it lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalSize {
    /// Number of entries.
    pub entries: u64,
    /// Their bytes, approximately.
    pub bytes: u64,
    /// Missing entries since the start of the process, in the order of [`LeftOut::ALL`].
    pub left_out: [u64; LeftOut::ALL.len()],
}
