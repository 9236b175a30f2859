//! Limits the lines that an unauthenticated peer can cause.
//!
//! Only this module decides which lines these are. They share one budget, so that no kind of request, and no
//! dependency at any log level, can fill the disk or displace the lines about the bridge's own state.

use std::time::Instant;

use parking_lot::Mutex;

/// Sustained bytes of such lines per second.
const BYTES_PER_SECOND: u64 = 16 << 10;
/// Bytes of a burst after a quiet time.
const BURST_BYTES: u64 = 64 << 10;

/// The dependencies whose lines only the configured broker can cause.
const OWN_DEPENDENCIES: [&str; 2] = ["librdkafka", "rdkafka"];
/// The modules of this crate whose lines are about requests and connections.
const EDGES: [&str; 4] = ["recall_bridge::ingest", "recall_bridge::edge", "recall_bridge::tls", "recall_bridge::ops"];

/// Whether a line of this target is one of the bridge itself.
pub(super) fn is_own(target: &str) -> bool {
    is_in(target, "recall_bridge")
}

/// Whether an unauthenticated peer can cause a line of this target. A line of these modules about the bridge's own
/// state uses the target of another module.
pub(super) fn is_caused_by_peers(target: &str) -> bool {
    if is_own(target) {
        return EDGES.iter().any(|edge| is_in(target, edge));
    }
    !OWN_DEPENDENCIES.iter().any(|own| is_in(target, own))
}

/// Whether a target is a module, or below it.
fn is_in(target: &str, module: &str) -> bool {
    target.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// A token bucket of bytes.
#[derive(Debug)]
pub(super) struct Budget(Mutex<Bucket>);

#[derive(Debug)]
struct Bucket {
    left: u64,
    at: Instant,
}

impl Default for Budget {
    fn default() -> Self {
        Self(Mutex::new(Bucket { left: BURST_BYTES, at: Instant::now() }))
    }
}

impl Budget {
    /// Takes the bytes of a line from the budget. Returns whether they were available.
    pub(super) fn admit(&self, bytes: usize) -> bool {
        self.admit_at(bytes, Instant::now())
    }

    fn admit_at(&self, bytes: usize, now: Instant) -> bool {
        let mut bucket = self.0.lock();
        let passed = u64::try_from(now.saturating_duration_since(bucket.at).as_millis()).unwrap_or(u64::MAX);
        let earned = passed.saturating_mul(BYTES_PER_SECOND) / 1000;
        if earned > 0 {
            bucket.left = bucket.left.saturating_add(earned).min(BURST_BYTES);
            bucket.at = now;
        }
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let admitted = bytes <= bucket.left;
        if admitted {
            bucket.left -= bytes;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn lines_about_requests_and_of_libraries_use_the_budget() {
        for target in ["recall_bridge::ingest::handler", "recall_bridge::tls::listener", "actix_http::h1", "mio", "h2"]
        {
            assert!(is_caused_by_peers(target), "{target}");
        }
        for target in ["recall_bridge::app", "recall_bridge::publisher::driver", "librdkafka", "recall_bridge"] {
            assert!(!is_caused_by_peers(target), "{target}");
        }
        assert!(is_caused_by_peers("recall_bridge_other") && is_caused_by_peers("librdkafkax"));
    }

    #[test]
    fn the_budget_is_a_burst_and_then_a_rate() {
        let (budget, start) = (Budget::default(), Instant::now());
        let lines = |from: u64, seconds: u64| {
            let steps = (from * 100..(from + seconds) * 100).map(|step| start + Duration::from_millis(step * 10));
            steps.filter(|now| budget.admit_at(4 << 10, *now)).count() as u64 * (4 << 10)
        };
        let first = lines(0, 1);
        assert!((BURST_BYTES..=BURST_BYTES + BYTES_PER_SECOND).contains(&first), "{first}");
        let later = lines(1, 10);
        assert!((9 * BYTES_PER_SECOND..=10 * BYTES_PER_SECOND).contains(&later), "{later}");
    }
}
