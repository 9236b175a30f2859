//! A number of bytes in use, and the bound it must not pass.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::AppendError;

#[derive(Debug)]
pub(super) struct Bound {
    what: &'static str,
    max: u64,
    used: AtomicU64,
}

impl Bound {
    pub(super) fn new(what: &'static str, max: u64, used: u64) -> Self {
        Self { what, max, used: AtomicU64::new(used) }
    }

    /// Takes `bytes` where they fit.
    pub(super) fn reserve(&self, bytes: u64) -> Result<(), AppendError> {
        let fits = |used: u64| used.checked_add(bytes).filter(|&sum| sum <= self.max);
        match self.used.fetch_update(Relaxed, Relaxed, fits) {
            Ok(_) => Ok(()),
            Err(bytes) => Err(AppendError::Full { what: self.what, bytes, max_bytes: self.max }),
        }
    }

    /// Gives `bytes` back.
    pub(super) fn release(&self, bytes: u64) {
        let _ = self.used.fetch_update(Relaxed, Relaxed, |used| Some(used.saturating_sub(bytes)));
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    pub(super) fn max(&self) -> u64 {
        self.max
    }
}
