//! The checks of one delivery, in their order: pure, so that `explain` gives the same answer as
//! the listener.

use super::Outcome;
use crate::webhook::{self, Apps, Body, Recall, Refusal, Verified};

/// What the checks say of a delivery.
#[derive(Debug)]
pub enum Verdict<'q, 'b> {
    /// To be made durable, then [`Outcome::Accepted`].
    Recall(Verified<'q>, Recall<'b>),
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
        /// [`Outcome::Stale`] or [`Outcome::Malformed`].
        outcome: Outcome,
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
            Self::Recall(verified, _) | Self::Quarantine { verified, .. } => Some(verified),
            Self::Answer { verified, .. } => verified.as_ref(),
        }
    }
}

/// Checks the query, its proof, its time, and the body.
pub fn check<'q, 'b>(
    query: &'q str,
    body: &'b [u8],
    apps: &Apps,
    now_unix_seconds: i64,
    window_seconds: u64,
) -> Verdict<'q, 'b> {
    let refused =
        |outcome, refusal: &Refusal<'_>| Verdict::Answer { outcome, info: refusal.to_string(), verified: None };
    let verified = match webhook::verify(query, apps, now_unix_seconds, window_seconds) {
        Ok(verified) => verified,
        Err(refusal @ Refusal::BadQuery(_)) => return refused(Outcome::BadQuery, &refusal),
        Err(refusal @ Refusal::UnknownApp { .. }) => return refused(Outcome::UnknownApp, &refusal),
        Err(refusal @ Refusal::BadSign(_)) => return refused(Outcome::BadSign, &refusal),
        Err(refusal @ Refusal::Stale { .. }) => {
            let info = refusal.to_string();
            let Refusal::Stale { verified, .. } = refusal else { return refused(Outcome::Stale, &refusal) };
            return Verdict::Quarantine { outcome: Outcome::Stale, info, verified };
        }
    };
    let ok = |outcome, verified| Verdict::Answer { outcome, info: String::new(), verified: Some(verified) };
    if !verified.is_recall() {
        return ok(Outcome::Ignored, verified);
    }
    match webhook::parse(&verified, body) {
        Ok(Body::Recall(recall)) => Verdict::Recall(verified, recall),
        Ok(Body::Empty) => ok(Outcome::Empty, verified),
        Err(fault) => Verdict::Quarantine { outcome: Outcome::Malformed, info: fault.to_string(), verified },
    }
}
