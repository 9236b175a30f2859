//! The time of one `fdatasync`, the floor of every durable response.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

pub(crate) const BLOCK_BYTES: usize = 4096;
/// The size of the file, which is written in turn as SQLite does with its WAL.
const FILE_BYTES: u64 = 4 << 20;

/// A file that is written in turn, one slot at a time.
pub(crate) struct Slots {
    file: File,
    bytes: Vec<u8>,
    next: AtomicU64,
}

impl Slots {
    pub(crate) fn new(file: File, size: usize) -> Self {
        Self { file, bytes: vec![2; size], next: AtomicU64::new(0) }
    }

    /// Writes one slot, and calls `fdatasync`.
    pub(crate) fn write(&self) {
        let size = self.bytes.len() as u64;
        let slot = self.next.fetch_add(1, Ordering::Relaxed) % (FILE_BYTES / size);
        self.file.write_all_at(&self.bytes, slot * size).expect("written");
        self.file.sync_data().expect("synced");
    }
}

/// Creates a file. It is written once, so that no later write allocates a block.
pub(crate) fn file(path: &Path) -> File {
    let file = File::create(path).expect("a file");
    file.write_all_at(&vec![1; FILE_BYTES as usize], 0).expect("written");
    file.sync_all().expect("synced");
    file
}

/// Writes `size` bytes and calls `fdatasync`, again and again for this time. Returns the times in microseconds.
pub(crate) fn fdatasync(directory: &Path, size: usize, time: Duration) -> Histogram<u64> {
    let path = directory.join("fdatasync");
    let slots = Slots::new(file(&path), size);
    let mut times = Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds");
    let until = Instant::now() + time;
    while Instant::now() < until {
        let before = Instant::now();
        slots.write();
        times.saturating_record(before.elapsed().as_micros() as u64);
    }
    let _ = std::fs::remove_file(path);
    times
}
