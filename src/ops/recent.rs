//! The last minutes: how many webhooks were accepted and refused, and how fast the backlog grows.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::verdict::{Arrivals, is_acknowledged, is_refused};

/// The window of the verdict.
const WINDOW: Duration = Duration::from_secs(300);
/// The time between two points of the window.
const STEP: Duration = Duration::from_secs(10);
/// A trend over less time says nothing.
const TREND_MIN: Duration = Duration::from_secs(20);

/// Counters of the process at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Webhooks of published commands, by outcome; always in the same order.
    pub webhooks: Vec<(&'static str, u64)>,
    /// Unpublished events.
    pub depth: u64,
    /// Bytes of unpublished payload.
    pub bytes: u64,
}

impl Counts {
    /// Acknowledged webhooks.
    pub fn accepted(&self) -> u64 {
        self.webhooks.iter().filter(|(outcome, _)| is_acknowledged(outcome)).map(|(_, count)| count).sum()
    }

    fn refused(&self) -> u64 {
        self.webhooks.iter().filter(|(outcome, _)| is_refused(outcome)).map(|(_, count)| count).sum()
    }
}

/// A ring of counters, one for each 10 s of the last 5 minutes.
#[derive(Debug)]
pub struct Recent {
    points: VecDeque<(Instant, Counts)>,
    last: Counts,
    last_accepted_ms: Option<i64>,
    refused_at: Option<Instant>,
    refusing_since_ms: Option<i64>,
}

impl Recent {
    /// Starts with these counters.
    pub fn new(now: Instant, counts: Counts) -> Self {
        Self {
            points: VecDeque::from([(now, counts.clone())]),
            last: counts,
            last_accepted_ms: None,
            refused_at: None,
            refusing_since_ms: None,
        }
    }

    /// Adds the current counters. Called several times per second.
    pub fn observe(&mut self, now: Instant, now_ms: i64, counts: Counts) {
        if counts.accepted() > self.last.accepted() {
            self.last_accepted_ms = Some(now_ms);
        }
        if counts.refused() > self.last.refused() {
            let quiet = self.refused_at.is_none_or(|at| now.duration_since(at) > WINDOW);
            if quiet {
                self.refusing_since_ms = Some(now_ms);
            }
            self.refused_at = Some(now);
        }
        if self.points.back().is_none_or(|(at, _)| now.duration_since(*at) >= STEP) {
            self.points.push_back((now, counts.clone()));
        }
        // One point older than the window stays: it is the start of the window.
        while self.points.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            self.points.pop_front();
        }
        self.last = counts;
    }

    /// The window up to these counters.
    pub fn arrivals(&self, now: Instant, now_ms: i64, counts: &Counts) -> Arrivals {
        let Some((started, start)) = self.points.front() else { return Arrivals::default() };
        let refused: Vec<(&'static str, u64)> = counts
            .webhooks
            .iter()
            .zip(&start.webhooks)
            .map(|((outcome, count), (_, before))| (*outcome, count.saturating_sub(*before)))
            .filter(|(outcome, count)| is_refused(outcome) && *count > 0)
            .collect();
        let accepted = counts.accepted().saturating_sub(start.accepted());
        let newly = counts.accepted() > self.last.accepted();
        let elapsed = now.duration_since(*started);
        let trend = |from: u64, to: u64| {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let difference = to as f64 - from as f64;
            Some(difference / elapsed.as_secs_f64()).filter(|rate| elapsed >= TREND_MIN && *rate > 0.0)
        };
        let refusing_since_ms = (!refused.is_empty()).then(|| self.refusing_since_ms.unwrap_or(now_ms));
        Arrivals {
            window: WINDOW,
            accepted,
            refused,
            refusing_since_ms,
            last_accepted_ms: if newly { Some(now_ms) } else { self.last_accepted_ms },
            growth_bytes_per_second: trend(start.bytes, counts.bytes),
            drain_events_per_second: trend(counts.depth, start.depth),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(accepted: u64, bad_sign: u64, expired: u64) -> Counts {
        let webhooks = vec![("accepted", accepted), ("bad_sign", bad_sign), ("expired", expired)];
        Counts { webhooks, depth: accepted, bytes: 100 * accepted }
    }

    #[test]
    fn the_window_counts_its_webhooks_and_forgets_older_ones() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut recent = Recent::new(start, counts(0, 0, 0));
        recent.observe(at(5), 5_000, counts(2, 3, 7));
        let seen = recent.arrivals(at(6), 6_000, &counts(2, 3, 7));
        assert_eq!((seen.accepted, &seen.refused[..]), (2, &[("bad_sign", 3)][..]));
        assert_eq!((seen.refusing_since_ms, seen.last_accepted_ms), (Some(5_000), Some(5_000)));
        // A refusal that no observation has seen yet counts, too.
        assert_eq!(recent.arrivals(at(6), 6_000, &counts(2, 4, 7)).refused, [("bad_sign", 4)]);
        for seconds in (10..=320).step_by(5) {
            recent.observe(at(seconds), 1_000, counts(2, 3, 7));
        }
        let later = recent.arrivals(at(320), 320_000, &counts(2, 3, 7));
        assert_eq!((later.accepted, later.refused.len(), later.refusing_since_ms), (0, 0, None));
        recent.observe(at(700), 700_000, counts(2, 4, 7));
        assert_eq!(recent.arrivals(at(700), 700_000, &counts(2, 4, 7)).refusing_since_ms, Some(700_000));
        assert!(recent.points.len() <= 32);
    }

    #[test]
    fn a_growing_backlog_has_a_rate_after_some_time() {
        let start = Instant::now();
        let recent = Recent::new(start, counts(10, 0, 0));
        let early = recent.arrivals(start + Duration::from_secs(1), 0, &counts(20, 0, 0));
        assert_eq!(early.growth_bytes_per_second, None);
        let later = recent.arrivals(start + Duration::from_secs(100), 0, &counts(20, 0, 0));
        assert_eq!((later.growth_bytes_per_second, later.drain_events_per_second), (Some(10.0), None));
        let drained = recent.arrivals(start + Duration::from_secs(100), 0, &counts(0, 0, 0));
        assert_eq!((drained.growth_bytes_per_second, drained.drain_events_per_second), (None, Some(0.1)));
    }
}
