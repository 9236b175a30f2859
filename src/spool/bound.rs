//! A number of bytes in use, and the bound it must not pass.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::error::AppendError;

#[derive(Debug)]
pub(super) struct Bound {
    what: &'static str,
    max: u64,
    used: AtomicU64,
    /// Bytes of the delivery refused last.
    refused: AtomicU64,
}

impl Bound {
    pub(super) fn new(what: &'static str, max: u64, used: u64) -> Self {
        Self { what, max, used: AtomicU64::new(used), refused: AtomicU64::new(0) }
    }

    /// Takes `bytes` where they fit; `beside` counts against the bound, too, and is accounted for elsewhere.
    pub(super) fn reserve(&self, bytes: u64, beside: u64) -> Result<(), AppendError> {
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| sum.saturating_add(beside) <= self.max);
        if self.used.fetch_update(Relaxed, Relaxed, fits).is_ok() {
            return Ok(());
        }
        self.refused.store(bytes, Relaxed);
        Err(self.refusal(beside))
    }

    /// Takes `bytes` whether they fit or not.
    pub(super) fn add(&self, bytes: u64) {
        let _ = self.used.fetch_update(Relaxed, Relaxed, |used| Some(used.saturating_add(bytes)));
    }

    /// What is said to a delivery that does not fit.
    pub(super) fn refusal(&self, beside: u64) -> AppendError {
        AppendError::Full { what: self.what, bytes: self.used().saturating_add(beside), max_bytes: self.max }
    }

    /// Gives `bytes` back.
    pub(super) fn release(&self, bytes: u64) {
        let _ = self.used.fetch_update(Relaxed, Relaxed, |used| Some(used.saturating_sub(bytes)));
    }

    /// Whether a delivery like the one refused last would be refused again; without one, whether
    /// not a byte is left.
    pub(super) fn is_full(&self, beside: u64) -> bool {
        self.used().saturating_add(beside).saturating_add(self.refused.load(Relaxed).max(1)) > self.max
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    pub(super) fn max(&self) -> u64 {
        self.max
    }
}
