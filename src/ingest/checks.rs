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

/// What the query alone says of a delivery, before any of its body is read.
#[derive(Debug)]
pub enum HeadVerdict<'q> {
    /// Refused without a proof; the body is not read.
    Refused {
        /// How it ends.
        outcome: Outcome,
        /// Why.
        info: String,
    },
    /// Authentic, and another command: acknowledged, and nothing of it is kept.
    Ignored(Verified<'q>),
    /// Authentic, from outside the time window: the body is read and quarantined.
    Late {
        /// How it ends.
        outcome: Outcome,
        /// Why.
        info: String,
        /// The proof.
        verified: Verified<'q>,
    },
    /// Authentic: the body decides.
    Authentic(Verified<'q>),
}

impl<'q> HeadVerdict<'q> {
    /// The proof, where the delivery is authentic.
    pub fn verified(&self) -> Option<&Verified<'q>> {
        match self {
            Self::Refused { .. } => None,
            Self::Ignored(verified) | Self::Late { verified, .. } | Self::Authentic(verified) => Some(verified),
        }
    }
}

/// Checks the query, its proof and its time.
pub fn check_head<'q>(query: &'q str, apps: &Apps, now_unix_seconds: i64, window_seconds: u64) -> HeadVerdict<'q> {
    let refused = |outcome, refusal: &Refusal<'_>| HeadVerdict::Refused { outcome, info: refusal.to_string() };
    match webhook::verify(query, apps, now_unix_seconds, window_seconds) {
        Ok(verified) if verified.is_recall() => HeadVerdict::Authentic(verified),
        Ok(verified) => HeadVerdict::Ignored(verified),
        Err(refusal @ Refusal::BadQuery(_)) => refused(Outcome::BadQuery, &refusal),
        Err(refusal @ Refusal::UnknownApp { .. }) => refused(Outcome::UnknownApp, &refusal),
        Err(refusal @ Refusal::BadSign(_)) => refused(Outcome::BadSign, &refusal),
        Err(refusal @ Refusal::Stale { .. }) => {
            let info = refusal.to_string();
            let Refusal::Stale { verified, .. } = refusal else { return refused(Outcome::Stale, &refusal) };
            HeadVerdict::Late { outcome: Outcome::Stale, info, verified }
        }
    }
}

/// Checks the body of an authentic delivery.
pub fn check_body<'q, 'b>(verified: Verified<'q>, body: &'b [u8]) -> Verdict<'q, 'b> {
    match webhook::parse(&verified, body) {
        Ok(Body::Recall(recall)) => Verdict::Recall(verified, recall),
        Ok(Body::Empty) => {
            Verdict::Answer { outcome: Outcome::Empty, info: String::new(), verified: Some(verified) }
        }
        Err(fault) => Verdict::Quarantine { outcome: Outcome::Malformed, info: fault.to_string(), verified },
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
    match check_head(query, apps, now_unix_seconds, window_seconds) {
        HeadVerdict::Refused { outcome, info } => Verdict::Answer { outcome, info, verified: None },
        HeadVerdict::Ignored(verified) => {
            Verdict::Answer { outcome: Outcome::Ignored, info: String::new(), verified: Some(verified) }
        }
        HeadVerdict::Late { outcome, info, verified } => Verdict::Quarantine { outcome, info, verified },
        HeadVerdict::Authentic(verified) => check_body(verified, body),
    }
}
