//! The checks of one delivery, in their order: pure, so that `explain` gives the same answer as
//! the listener.
//!
//! They come in two steps, because only who has a valid Sign is worth a body: [`check_head`] looks at the
//! query, [`check_body`] at the rest.

use super::outcome::Outcome;
use crate::events::{self, EventKind, Messages};
use crate::spool::NEAR_MISS;
use crate::webhook::{self, Apps, EXPIRED_SECONDS, Refusal, Verified};

/// What the query says of a delivery.
#[derive(Debug)]
pub enum HeadVerdict<'q> {
    /// Decided without the body, which need not be read.
    Answer {
        /// How it ends.
        outcome: Outcome,
        /// Why; empty for an acknowledgement.
        info: String,
        /// The proof, where it is authentic: then the command is one that is not published.
        verified: Option<Verified<'q>>,
    },
    /// Authentic, and the body is needed: to be published, or to be kept.
    Body(CheckedHead<'q>),
}

impl<'q> HeadVerdict<'q> {
    /// The proof, where the delivery is authentic.
    pub fn verified(&self) -> Option<&Verified<'q>> {
        match self {
            Self::Answer { verified, .. } => verified.as_ref(),
            Self::Body(head) => Some(&head.verified),
        }
    }
}

/// An authentic delivery whose body is not yet known. Only [`check_head`] makes one.
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
    reason: &'static str,
    info: String,
}

/// What the checks say of a delivery.
#[derive(Debug)]
pub enum Verdict<'q, 'b> {
    /// To be made durable, then [`Outcome::Accepted`].
    Publish(Verified<'q>, Box<dyn Messages + 'b>),
    /// Nothing to be kept: answered at once.
    Answer {
        /// How it ends.
        outcome: Outcome,
        /// Why; empty for an acknowledgement.
        info: String,
        /// The proof, where it is authentic.
        verified: Option<Verified<'q>>,
    },
    /// Authentic, yet not to be published: to be quarantined, then answered.
    Quarantine {
        /// [`Outcome::Stale`], [`Outcome::Expired`], [`Outcome::Malformed`], or [`Outcome::Ignored`] for a
        /// near miss.
        outcome: Outcome,
        /// Under which reason it is kept.
        reason: &'static str,
        /// Why.
        info: String,
        /// The proof.
        verified: Verified<'q>,
    },
}

impl<'q> Verdict<'q, '_> {
    /// The proof, where the delivery is authentic.
    pub fn verified(&self) -> Option<&Verified<'q>> {
        match self {
            Self::Publish(verified, _) | Self::Quarantine { verified, .. } => Some(verified),
            Self::Answer { verified, .. } => verified.as_ref(),
        }
    }
}

/// Checks the query, its proof and its time. `query` is what follows the `?`, as it stood in the request.
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
            let outcome = if matches!(refusal, Refusal::Stale { .. }) { Outcome::Stale } else { Outcome::Expired };
            let Some(verified) = refusal.into_verified() else {
                return HeadVerdict::Answer { outcome, info, verified: None };
            };
            return kept(verified, outcome, outcome.label(), info);
        }
    };
    if let Some(kind) = events::find(verified.command()) {
        HeadVerdict::Body(CheckedHead { verified, next: Next::Publish(kind) })
    } else if let Some(published) = events::near_miss(verified.command()) {
        let info = format!("CallbackCommand: not a published command, but similar to {published}");
        kept(verified, Outcome::Ignored, NEAR_MISS, info)
    } else {
        HeadVerdict::Answer { outcome: Outcome::Ignored, info: String::new(), verified: Some(verified) }
    }
}

/// Checks the body of a delivery whose head is right.
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
            let outcome = Outcome::Malformed;
            Verdict::Quarantine { outcome, reason: outcome.label(), info: error.to_string(), verified }
        }
    }
}

/// Both steps at once, for a delivery that is there as a whole.
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

/// How far the sender's clock is from ours, in seconds, where that says something about the clock: a Sign
/// of more than a day ago was found somewhere.
pub fn clock_skew_seconds(verified: &Verified<'_>) -> Option<u64> {
    verified.skew_seconds().map(i64::unsigned_abs).filter(|&away| away <= EXPIRED_SECONDS)
}

#[cfg(test)]
#[path = "checks_tests.rs"]
mod tests;
