//! Bytes in use, and their limit.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::error::AppendError;

#[derive(Debug)]
pub(super) struct Bound {
    what: &'static str,
    max: u64,
    used: AtomicU64,
    /// Bytes of the last refused webhook.
    refused: AtomicU64,
}

impl Bound {
    pub(super) fn new(what: &'static str, max: u64, used: u64) -> Self {
        Self { what, max, used: AtomicU64::new(used), refused: AtomicU64::new(0) }
    }

    /// Reserves `bytes` if they fit. `beside` also counts against the limit and is stored elsewhere.
    pub(super) fn reserve(&self, bytes: u64, beside: u64) -> Result<(), AppendError> {
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| sum.saturating_add(beside) <= self.max);
        if self.used.fetch_update(Relaxed, Relaxed, fits).is_ok() {
            return Ok(());
        }
        self.refused.store(bytes, Relaxed);
        Err(self.refusal(beside))
    }

    /// Adds `bytes` without checking the limit.
    pub(super) fn add(&self, bytes: u64) {
        let _ = self.used.fetch_update(Relaxed, Relaxed, |used| Some(used.saturating_add(bytes)));
    }

    /// The error for a webhook that does not fit.
    pub(super) fn refusal(&self, beside: u64) -> AppendError {
        AppendError::Full { what: self.what, bytes: self.used().saturating_add(beside), max_bytes: self.max }
    }

    /// Releases `bytes`.
    pub(super) fn release(&self, bytes: u64) {
        let _ = self.used.fetch_update(Relaxed, Relaxed, |used| Some(used.saturating_sub(bytes)));
    }

    /// Whether a webhook of the size of the last refused one would be refused again; without a refused one, whether
    /// no byte is free.
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
