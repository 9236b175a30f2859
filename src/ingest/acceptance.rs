//! Notices that webhooks of a published command arrive and none is accepted: a token that was changed on one side only,
//! a wrong path, a full spool. Each refusal has its own line; this one says that all recalls are lost, and what to do.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use http::StatusCode;
use parking_lot::Mutex;

use super::outcome::Outcome;

/// Not a target of `ingest`: its lines share a budget that peers can use up. These lines are at most one a minute.
const TARGET: &str = "recall_bridge::acceptance";
/// No line while a webhook was accepted within this time.
const QUIET: Duration = Duration::from_secs(60);
/// The time from the first line to the second. Each further line waits twice as long as the one before.
const INTERVAL_MIN: Duration = Duration::from_secs(60);
const INTERVAL_MAX: Duration = Duration::from_secs(60 * 60);

/// The webhooks of published commands that were refused since the last accepted one.
#[derive(Debug)]
pub(super) struct Acceptance {
    start: Instant,
    /// When the last webhook was accepted, in milliseconds since `start`; 0 before the first one.
    accepted_ms: AtomicU64,
    /// Whether `streak` has any: otherwise an accepted webhook needs no lock.
    refusing: AtomicBool,
    streak: Mutex<Streak>,
}

#[derive(Debug, Default)]
struct Streak {
    refused: [u64; Outcome::ALL.len()],
    first_at: Option<Instant>,
    /// The time of the last line, and the time from it to the next one. Both stay when the streak ends, so that
    /// accepted webhooks between the refused ones cause no further lines.
    reported: Option<(Instant, Duration)>,
    /// Whether this streak has a line.
    is_reported: bool,
}

/// The content of a line.
#[derive(Debug, PartialEq, Eq)]
struct Report {
    refused: u64,
    /// The most frequent outcome.
    outcome: Outcome,
    since: Duration,
}

impl Default for Acceptance {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            accepted_ms: AtomicU64::new(0),
            refusing: AtomicBool::new(false),
            streak: Mutex::default(),
        }
    }
}

impl Acceptance {
    /// Counts a webhook whose query names a published command. Writes a line if none is accepted for long, at growing
    /// intervals, and one line when a webhook is accepted again.
    pub(super) fn note(&self, outcome: Outcome) {
        let now = Instant::now();
        if outcome.status() == StatusCode::OK {
            if let Some(Report { refused, outcome, since }) = self.accept(now) {
                let (outcome, seconds) = (outcome.label(), since.as_secs());
                tracing::info!(target: TARGET, event = "accepted_again", refused, outcome, seconds, "a webhook is accepted again");
            }
        } else if let Some(Report { refused, outcome, since }) = self.refuse(outcome, now) {
            let (next_step, outcome, seconds) = (next_step(outcome), outcome.label(), since.as_secs());
            tracing::warn!(
                target: TARGET,
                event = "none_accepted",
                refused,
                outcome,
                seconds,
                next_step,
                "webhooks of a published command arrive, and none is accepted"
            );
        }
    }

    /// Ends the streak. Returns its end, if it had a line.
    fn accept(&self, now: Instant) -> Option<Report> {
        self.accepted_ms.store(self.millis(now), Relaxed);
        // Workers share this line of the cache: only a streak writes to it.
        if !self.refusing.load(Relaxed) || !self.refusing.swap(false, Relaxed) {
            return None;
        }
        let mut streak = self.streak.lock();
        let ended = std::mem::take(&mut *streak);
        streak.reported = ended.reported.map(|(at, _)| (at, INTERVAL_MIN));
        if ended.is_reported { ended.report(now) } else { None }
    }

    /// Continues the streak. Returns its content, if a line is due.
    fn refuse(&self, outcome: Outcome, now: Instant) -> Option<Report> {
        // Someone replays a Sign that was captured more than a day ago: not a current recall.
        if outcome == Outcome::Expired {
            return None;
        }
        let accepted_ms = self.accepted_ms.load(Relaxed);
        let quiet_ms = u64::try_from(QUIET.as_millis()).unwrap_or(u64::MAX);
        let was_accepted = accepted_ms > 0 && self.millis(now).saturating_sub(accepted_ms) < quiet_ms;
        let mut streak = self.streak.lock();
        self.refusing.store(true, Relaxed);
        streak.refused[outcome as usize] += 1;
        streak.first_at.get_or_insert(now);
        let interval = match streak.reported {
            Some((at, interval)) if now.saturating_duration_since(at) < interval => return None,
            Some((_, interval)) => (interval * 2).min(INTERVAL_MAX),
            None => INTERVAL_MIN,
        };
        if was_accepted {
            return None;
        }
        streak.reported = Some((now, if streak.is_reported { interval } else { INTERVAL_MIN }));
        streak.is_reported = true;
        streak.report(now)
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_millis()).map_or(u64::MAX, |ms| ms.max(1))
    }
}

impl Streak {
    fn report(&self, now: Instant) -> Option<Report> {
        let outcome = Outcome::ALL.into_iter().max_by_key(|outcome| self.refused[*outcome as usize])?;
        let since = now.saturating_duration_since(self.first_at?);
        Some(Report { refused: self.refused.iter().sum(), outcome, since })
    }
}

/// What an operator does first when webhooks end in this outcome.
fn next_step(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::BadSign => "compare BRIDGE_APPS with the token in the vendor's console",
        Outcome::UnknownApp => "add the SdkAppid of the webhook to BRIDGE_APPS",
        Outcome::BadQuery => "run `recall-bridge explain --url` with the URL of a webhook",
        Outcome::NotFound => "compare BRIDGE_WEBHOOK_PATH with the URL in the vendor's console",
        Outcome::MethodNotAllowed | Outcome::BadRequest => "find the proxy that changes the requests of the vendor",
        Outcome::Stale => "compare this node's clock with a time server, then run `recall-bridge quarantine requeue`",
        Outcome::Malformed => "run `recall-bridge quarantine show` to see what the vendor sent",
        Outcome::TooLarge => "raise BRIDGE_MAX_BODY_BYTES",
        Outcome::SpoolFull => "read `kafka` and `reasons` in /status: repair Kafka, or raise BRIDGE_SPOOL_MAX_BYTES",
        Outcome::Unavailable => "read `reasons` in /readyz: check the disk of BRIDGE_SPOOL_DIR",
        Outcome::Timeout | Outcome::ClientGone => "check the network and the proxies between the vendor and this node",
        Outcome::Draining => "remove the node from the load balancer before it stops",
        Outcome::Expired
        | Outcome::Ignored
        | Outcome::Empty
        | Outcome::Accepted
        | Outcome::Duplicate
        | Outcome::AcceptedUnspooled => "read docs/operations.md",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(start: Instant, minutes: u64) -> Instant {
        start + Duration::from_secs(minutes * 60)
    }

    /// The minutes at which refused webhooks, one a minute, cause a line.
    fn lines(acceptance: &Acceptance, from: u64, to: u64) -> Vec<u64> {
        let refuse = |minute: &u64| acceptance.refuse(Outcome::BadSign, minutes(acceptance.start, *minute)).is_some();
        (from..to).filter(refuse).collect()
    }

    #[test]
    fn lines_come_at_once_and_then_at_growing_intervals_up_to_an_hour() {
        let acceptance = Acceptance::default();
        assert_eq!(lines(&acceptance, 0, 260), [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]);
    }

    #[test]
    fn an_accepted_webhook_ends_the_warnings_and_reports_the_refused_count() {
        let acceptance = Acceptance::default();
        let at = |minute| minutes(acceptance.start, minute);
        assert_eq!(acceptance.accept(at(1)), None);
        assert_eq!(acceptance.refuse(Outcome::BadSign, at(1)), None, "a webhook was accepted a moment ago");
        let refused = |refused, minute| Some(Report { refused, outcome: Outcome::BadSign, since: at(minute) - at(1) });
        assert_eq!(acceptance.refuse(Outcome::BadSign, at(3)), refused(2, 3));
        assert_eq!(acceptance.refuse(Outcome::Timeout, at(3)), None);
        assert_eq!(acceptance.accept(at(5)), refused(3, 5));
        assert_eq!(acceptance.accept(at(6)), None);
        assert_eq!(lines(&acceptance, 6, 11), [7, 8, 10], "the intervals start again");
    }

    #[test]
    fn accepted_webhooks_between_refused_ones_cause_no_further_lines() {
        let acceptance = Acceptance::default();
        assert_eq!(lines(&acceptance, 0, 1), [0]);
        for second in 1..50 {
            let now = acceptance.start + Duration::from_secs(second);
            acceptance.accept(now);
            assert_eq!(acceptance.refuse(Outcome::BadSign, now), None, "{second}");
        }
    }

    #[test]
    fn a_replayed_sign_causes_no_line() {
        let acceptance = Acceptance::default();
        assert_eq!(acceptance.refuse(Outcome::Expired, acceptance.start), None);
        assert_eq!(acceptance.accept(acceptance.start), None);
    }
}
