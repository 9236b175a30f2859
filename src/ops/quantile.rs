//! Quantiles of the observations that a histogram has got since the last look.

use prometheus::Histogram;
use prometheus::core::Metric as _;

/// The cumulative bucket counts of a histogram at one time.
#[derive(Debug, Default, Clone)]
pub(super) struct Buckets {
    /// Upper bound and cumulative count.
    bounds: Vec<(f64, u64)>,
    total: u64,
}

impl Buckets {
    pub(super) fn of(histogram: &Histogram) -> Self {
        let metric = histogram.metric();
        let proto = metric.get_histogram();
        let bounds = proto.get_bucket().iter().map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
        Self { bounds: bounds.collect(), total: proto.get_sample_count() }
    }

    /// The quantile `q` of the observations after `before`, interpolated within its bucket as Prometheus does;
    /// `None` without observations. Above the last bound, that bound.
    pub(super) fn quantile(&self, before: &Self, q: f64) -> Option<f64> {
        let count = |place: usize| {
            let old = before.bounds.get(place).map_or(0, |(_, count)| *count);
            self.bounds.get(place).map_or(0, |(_, count)| count.saturating_sub(old))
        };
        let total = self.total.saturating_sub(before.total);
        if total == 0 {
            return None;
        }
        let rank = q * as_f64(total);
        let (mut lower, mut below) = (0.0, 0);
        for (place, (bound, _)) in self.bounds.iter().enumerate() {
            let here = count(place);
            if as_f64(here) >= rank && here > below {
                return Some(lower + (bound - lower) * (rank - as_f64(below)) / as_f64(here - below));
            }
            (lower, below) = (*bound, here);
        }
        Some(lower)
    }
}

fn as_f64(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a quantile of an estimate")]
    let count = count as f64;
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_that_of_the_new_observations() {
        let options = prometheus::HistogramOpts::new("h", "h").buckets(vec![1.0, 2.0, 4.0]);
        let histogram = Histogram::with_opts(options).unwrap();
        histogram.observe(3.5);
        let before = Buckets::of(&histogram);
        assert_eq!(before.quantile(&before, 0.5), None);
        for _ in 0..10 {
            histogram.observe(1.5);
        }
        let after = Buckets::of(&histogram);
        assert_eq!(after.quantile(&before, 0.5), Some(1.5));
        histogram.observe(100.0);
        assert_eq!(Buckets::of(&histogram).quantile(&after, 0.99), Some(4.0));
    }
}
