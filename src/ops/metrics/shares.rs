//! The metrics of the quarantine's shares.

use prometheus::{IntGauge, IntGaugeVec, Registry};

use super::register::{options, register, signed};
use crate::spool::{Share, Usage};

/// Bytes and limit of each share, in the order of [`Share::ALL`].
#[derive(Debug)]
pub(super) struct Gauges {
    bytes: [IntGauge; Share::ALL.len()],
    capacity: [IntGauge; Share::ALL.len()],
}

impl Gauges {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let gauges = |name, help| -> prometheus::Result<_> {
            let gauges = register(registry, IntGaugeVec::new(options(name, help), &["share"])?)?;
            Ok(Share::ALL.map(|share| gauges.with_label_values(&[share.label()])))
        };
        Ok(Self {
            bytes: gauges("quarantine_share_bytes", "Bytes in quarantine by share.")?,
            capacity: gauges("quarantine_share_capacity_bytes", "Limit of quarantine_share_bytes.")?,
        })
    }

    pub(super) fn set(&self, usage: &Usage) {
        for (place, share) in usage.quarantine_shares.iter().enumerate() {
            self.bytes[place].set(signed(share.bytes));
            self.capacity[place].set(signed(share.max_bytes));
        }
    }
}
