//! The checks of one webhook, in order. They are pure, so that `explain` gives the same result as the listener.
//!
//! There are two steps, because only a webhook with a valid Sign may send a body: [`check_head`] checks the query,
//! [`check_body`] checks the rest.

use super::outcome::Outcome;
use crate::events::{self, EventKind, Messages};
use crate::spool::QuarantineReason;
use crate::webhook::{self, Apps, EXPIRED_SECONDS, Refusal, Verified};

/// The result of checking the query.
#[derive(Debug)]
pub enum HeadVerdict<'q> {
    /// Decided without the body.
    Answer {
        /// The outcome.
        outcome: Outcome,
        /// The reason; empty for an acknowledgement.
        info: String,
        /// The proof, if the webhook is authentic: its command is then not published.
        verified: Option<Verified<'q>>,
    },
    /// Authentic, and the body is needed, to publish it or to keep it.
    Body(CheckedHead<'q>),
}

impl<'q> HeadVerdict<'q> {
    /// The proof, if the webhook is authentic.
    pub fn verified(&self) -> Option<&Verified<'q>> {
        match self {
            Self::Answer { verified, .. } => verified.as_ref(),
            Self::Body(head) => Some(&head.verified),
        }
    }
}

/// An authentic webhook whose body was not read yet. Only [`check_head`] creates it.
#[derive(Debug)]
pub struct CheckedHead<'q> {
    verified: Verified<'q>,
    next: Next,
}

/// What happens to a webhook when its body is known.
#[derive(Debug)]
enum Next {
    Publish(&'static dyn EventKind),
    Keep(Kept),
}

/// Why a webhook is kept and not published.
#[derive(Debug)]
struct Kept {
    outcome: Outcome,
    reason: QuarantineReason,
    info: String,
}

/// The result of all checks.
#[derive(Debug)]
pub enum Verdict<'q, 'b> {
    /// Publish: make it durable, then answer [`Outcome::Accepted`].
    Publish(Verified<'q>, Box<dyn Messages + 'b>),
    /// Answer at once and keep nothing.
    Answer {
        /// The outcome.
        outcome: Outcome,
        /// The reason; empty for an acknowledgement.
        info: String,
        /// The proof, if the webhook is authentic.
        verified: Option<Verified<'q>>,
    },
    /// Authentic, but not published: store it in quarantine, then answer.
    Quarantine {
        /// [`Outcome::Stale`], [`Outcome::Expired`], [`Outcome::Malformed`], or [`Outcome::Ignored`] for a
        /// near miss.
        outcome: Outcome,
        /// The reason of the quarantine entry.
        reason: QuarantineReason,
        /// The reason as a sentence.
        info: String,
        /// The proof.
        verified: Verified<'q>,
    },
}

impl<'q> Verdict<'q, '_> {
    /// The proof, if the webhook is authentic.
    pub fn verified(&self) -> Option<&Verified<'q>> {
        match self {
            Self::Publish(verified, _) | Self::Quarantine { verified, .. } => Some(verified),
            Self::Answer { verified, .. } => verified.as_ref(),
        }
    }
}

/// Checks the query, its Sign and its time. `query` is the part of the request's target after the `?`.
pub fn check_head<'q>(query: &'q [u8], apps: &Apps, now_unix_seconds: i64, window_seconds: u64) -> HeadVerdict<'q> {
    let refused =
        |outcome, refusal: &Refusal<'_>| HeadVerdict::Answer { outcome, info: refusal.to_string(), verified: None };
    let kept = |verified, outcome: Outcome, reason, info| {
        HeadVerdict::Body(CheckedHead { verified, next: Next::Keep(Kept { outcome, reason, info }) })
    };
    let verified = match webhook::verify(query, apps, now_unix_seconds, window_seconds, events::is_published) {
        Ok(verified) => verified,
        Err(refusal @ Refusal::BadQuery(_)) => return refused(Outcome::BadQuery, &refusal),
        Err(refusal @ Refusal::UnknownApp { .. }) => return refused(Outcome::UnknownApp, &refusal),
        Err(refusal @ Refusal::BadSign(_)) => return refused(Outcome::BadSign, &refusal),
        Err(refusal @ (Refusal::Stale { .. } | Refusal::Expired { .. })) => {
            let info = refusal.to_string();
            let (outcome, reason) = match refusal {
                Refusal::Stale { .. } => (Outcome::Stale, QuarantineReason::Stale),
                _ => (Outcome::Expired, QuarantineReason::Expired),
            };
            let Some(verified) = refusal.into_verified() else {
                return HeadVerdict::Answer { outcome, info, verified: None };
            };
            return kept(verified, outcome, reason, info);
        }
    };
    if let Some(kind) = events::find(verified.command()) {
        HeadVerdict::Body(CheckedHead { verified, next: Next::Publish(kind) })
    } else if let Some(published) = events::near_miss(verified.command()) {
        let info = format!("CallbackCommand: not a published command, but similar to {published}");
        kept(verified, Outcome::Ignored, QuarantineReason::NearMiss, info)
    } else {
        HeadVerdict::Answer { outcome: Outcome::Ignored, info: String::new(), verified: Some(verified) }
    }
}

/// Checks the body of a webhook whose query passed.
pub fn check_body<'q, 'b>(head: CheckedHead<'q>, body: &'b [u8]) -> Verdict<'q, 'b> {
    let CheckedHead { verified, next } = head;
    let kind = match next {
        Next::Publish(kind) => kind,
        Next::Keep(Kept { outcome, reason, info }) => return Verdict::Quarantine { outcome, reason, info, verified },
    };
    match kind.parse(&verified, body) {
        Ok(Some(messages)) => Verdict::Publish(verified, messages),
        Ok(None) => Verdict::Answer { outcome: Outcome::Empty, info: String::new(), verified: Some(verified) },
        Err(error) => {
            let (outcome, reason) = (Outcome::Malformed, QuarantineReason::Malformed);
            Verdict::Quarantine { outcome, reason, info: error.to_string(), verified }
        }
    }
}

/// Both steps, for a complete webhook.
pub fn check<'q, 'b>(
    query: &'q [u8],
    body: &'b [u8],
    apps: &Apps,
    now_unix_seconds: i64,
    window_seconds: u64,
) -> Verdict<'q, 'b> {
    match check_head(query, apps, now_unix_seconds, window_seconds) {
        HeadVerdict::Answer { outcome, info, verified } => Verdict::Answer { outcome, info, verified },
        HeadVerdict::Body(head) => check_body(head, body),
    }
}

/// The difference between the sender's clock and this one, in seconds. None if `RequestTime` is more than a day away:
/// then it says nothing about the clock.
pub fn clock_skew_seconds(verified: &Verified<'_>) -> Option<u64> {
    verified.skew_seconds().map(i64::unsigned_abs).filter(|&away| away <= EXPIRED_SECONDS)
}

#[cfg(test)]
#[path = "checks_tests.rs"]
mod tests;
