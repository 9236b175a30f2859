//! When corruption is believed.
//!
//! SQLite reports a read that failed with `EIO` like a corrupted file, and a read may work again. The bridge cannot read
//! the file itself to find out: closing it would release SQLite's locks (POSIX advisory locks).

use std::time::{Duration, Instant};

/// How long the file must seem corrupted.
const CERTAIN_AFTER: Duration = Duration::from_secs(3);

/// Since when a file seems corrupted.
#[derive(Debug, Default)]
pub struct Suspicion(Option<Instant>);

impl Suspicion {
    /// Records that the file seems corrupted. Returns whether that is certain now.
    pub fn confirm(&mut self) -> bool {
        self.0.get_or_insert_with(Instant::now).elapsed() >= CERTAIN_AFTER
    }

    /// Records that the file was read.
    pub fn clear(&mut self) {
        self.0 = None;
    }
}
