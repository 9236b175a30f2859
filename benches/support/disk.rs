//! The time of one `fdatasync`, the floor of every durable response.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// The size of the file, which is written in turn as SQLite does with its WAL.
const FILE: u64 = 4 << 20;

/// Writes `size` bytes and calls `fdatasync`, again and again for this time. Returns the times in microseconds. The
/// file is written once before, so that no block is allocated.
pub(crate) fn fdatasync(directory: &Path, size: usize, time: Duration) -> Histogram<u64> {
    let path = directory.join("fdatasync");
    let file = File::create(&path).expect("a file");
    file.write_all_at(&vec![1; FILE as usize], 0).expect("written");
    file.sync_all().expect("synced");
    let (bytes, mut at) = (vec![2; size], 0);
    let mut times = Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds");
    let until = Instant::now() + time;
    while Instant::now() < until {
        let before = Instant::now();
        file.write_all_at(&bytes, at).expect("written");
        file.sync_data().expect("synced");
        times.saturating_record(before.elapsed().as_micros() as u64);
        at = (at + size as u64) % (FILE - size as u64);
    }
    let _ = std::fs::remove_file(path);
    times
}
