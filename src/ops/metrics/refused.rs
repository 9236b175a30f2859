//! The metrics of the refused journal.

use prometheus::{IntCounter, IntGauge, Registry};

use super::register::{counters, options, raise, register, signed};
use crate::refused::{JournalSize, LeftOut};

/// Entries, bytes, and what is missing, in the order of [`LeftOut::ALL`].
#[derive(Debug)]
pub(super) struct RefusedMetrics {
    entries: IntGauge,
    bytes: IntGauge,
    left_out: [IntCounter; LeftOut::ALL.len()],
}

impl RefusedMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name, help| register(registry, IntGauge::with_opts(options(name, help))?);
        let left_out = counters(
            registry,
            "refused_left_out_total",
            "Entries that the refused journal or its file does not have, by reason.",
            "reason",
        )?;
        Ok(Self {
            entries: gauge("refused_entries", "Refused webhooks in the refused journal.")?,
            bytes: gauge("refused_bytes", "Bytes of the refused journal in memory.")?,
            left_out: LeftOut::ALL.map(|reason| left_out.with_label_values(&[reason.label()])),
        })
    }

    pub(super) fn set(&self, size: &JournalSize) {
        self.entries.set(signed(size.entries));
        self.bytes.set(signed(size.bytes));
        for (counter, count) in self.left_out.iter().zip(size.left_out) {
            raise(counter, count);
        }
    }
}
