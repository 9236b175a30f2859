//! Creates and registers metrics.

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry, histogram_opts, opts};

const NAMESPACE: &str = "recall_bridge";

pub(super) fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn options(name: &str, help: &str) -> Opts {
    opts!(name, help).namespace(NAMESPACE)
}

pub(super) fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

pub(super) fn counters(registry: &Registry, name: &str, help: &str, label: &str) -> prometheus::Result<IntCounterVec> {
    register(registry, IntCounterVec::new(options(name, help), &[label])?)
}

pub(super) fn histogram(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
    let options: HistogramOpts = histogram_opts!(name, help, buckets.to_vec()).namespace(NAMESPACE);
    register(registry, Histogram::with_opts(options)?)
}
