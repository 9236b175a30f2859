//! How a delivery can end: the one enum of answers.

use actix_web::http::StatusCode;
use tracing::Level;

/// Every delivery ends in exactly one of these, and is counted under its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// What arrived is no HTTP request that can be parsed.
    BadRequest,
    /// Another path than `BRIDGE_WEBHOOK_PATH`.
    NotFound,
    /// Not POST.
    MethodNotAllowed,
    /// The process is shutting down.
    Draining,
    /// The body is over `BRIDGE_MAX_BODY_BYTES`.
    TooLarge,
    /// The query cannot be understood.
    BadQuery,
    /// SdkAppid is not configured.
    UnknownApp,
    /// Sign or RequestTime is missing or wrong.
    BadSign,
    /// Signed, but outside the time window; in quarantine.
    Stale,
    /// Signed, but more than a day away; in a small share of the quarantine.
    Expired,
    /// Another callback command.
    Ignored,
    /// Authentic, but no valid recall; in quarantine.
    Malformed,
    /// A recall of nothing.
    Empty,
    /// Every record is durable.
    Accepted,
    /// Every record was accepted within `BRIDGE_DEDUP_WINDOW_SECONDS` before; none is added.
    Duplicate,
    /// The spool could not be written; every record is in Kafka (`BRIDGE_SPOOL_FAILURE=publish`).
    AcceptedUnspooled,
    /// The spool or the quarantine is at its bound.
    SpoolFull,
    /// It could not be made durable in time.
    Unavailable,
    /// The body did not arrive in time.
    Timeout,
    /// The peer left before an answer was known.
    ClientGone,
}

impl Outcome {
    /// All of them, in the order of their checks; the index of one is its place here.
    pub const ALL: [Self; 20] = [
        Self::BadRequest,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Draining,
        Self::TooLarge,
        Self::BadQuery,
        Self::UnknownApp,
        Self::BadSign,
        Self::Stale,
        Self::Expired,
        Self::Ignored,
        Self::Malformed,
        Self::Empty,
        Self::Accepted,
        Self::Duplicate,
        Self::AcceptedUnspooled,
        Self::SpoolFull,
        Self::Unavailable,
        Self::Timeout,
        Self::ClientGone,
    ];

    /// The label value of `webhooks_total{outcome}`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Draining => "draining",
            Self::TooLarge => "too_large",
            Self::BadQuery => "bad_query",
            Self::UnknownApp => "unknown_app",
            Self::BadSign => "bad_sign",
            Self::Stale => "stale",
            Self::Expired => "expired",
            Self::Ignored => "ignored",
            Self::Malformed => "malformed",
            Self::Empty => "empty",
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::AcceptedUnspooled => "accepted_unspooled",
            Self::SpoolFull => "spool_full",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::ClientGone => "client_gone",
        }
    }

    /// The HTTP status. Nobody sees that of [`Self::ClientGone`].
    pub const fn status(self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Draining | Self::SpoolFull | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BadRequest | Self::BadQuery | Self::Malformed => StatusCode::BAD_REQUEST,
            Self::UnknownApp | Self::BadSign | Self::Stale | Self::Expired => StatusCode::FORBIDDEN,
            Self::Ignored | Self::Empty | Self::Accepted | Self::Duplicate | Self::AcceptedUnspooled => StatusCode::OK,
            Self::Timeout | Self::ClientGone => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// The `ErrorCode` of the answer: 0, or a number that stays the same for an outcome. The
    /// vendor leaves 120001 to 130000 to the receiver.
    pub const fn error_code(self) -> u32 {
        match self {
            Self::Ignored | Self::Empty | Self::Accepted | Self::Duplicate | Self::AcceptedUnspooled => 0,
            Self::NotFound => 120_001,
            Self::MethodNotAllowed => 120_002,
            Self::Draining => 120_003,
            Self::TooLarge => 120_004,
            Self::BadQuery => 120_005,
            Self::UnknownApp => 120_006,
            Self::BadSign => 120_007,
            Self::Stale => 120_008,
            Self::Malformed => 120_009,
            Self::SpoolFull => 120_010,
            Self::Unavailable => 120_011,
            Self::Timeout => 120_012,
            Self::ClientGone => 120_013,
            Self::BadRequest => 120_014,
            Self::Expired => 120_015,
        }
    }

    /// Whether a stranger can cause it: then the connection ends with the answer, and no body is read.
    pub const fn ends_connection(self) -> bool {
        match self {
            Self::BadRequest
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::Draining
            | Self::TooLarge
            | Self::BadQuery
            | Self::UnknownApp
            | Self::BadSign
            | Self::Timeout
            | Self::ClientGone => true,
            Self::Stale
            | Self::Expired
            | Self::Ignored
            | Self::Malformed
            | Self::Empty
            | Self::Accepted
            | Self::Duplicate
            | Self::AcceptedUnspooled
            | Self::SpoolFull
            | Self::Unavailable => false,
        }
    }

    /// How loud one delivery of this kind is in the log.
    pub const fn log_level(self) -> Level {
        match self {
            Self::Accepted | Self::Duplicate | Self::AcceptedUnspooled | Self::Empty | Self::Ignored => Level::DEBUG,
            Self::BadRequest
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::TooLarge
            | Self::BadQuery
            | Self::UnknownApp
            | Self::BadSign
            | Self::Expired
            | Self::ClientGone => Level::INFO,
            // A recall that the sender will not repeat was refused.
            Self::Draining | Self::Stale | Self::Malformed | Self::SpoolFull | Self::Unavailable | Self::Timeout => {
                Level::WARN
            }
        }
    }

    /// The labels in the order of [`Self::ALL`].
    pub const fn labels() -> [&'static str; Self::ALL.len()] {
        let mut labels = [""; Self::ALL.len()];
        let mut at = 0;
        while at < labels.len() {
            labels[at] = Self::ALL[at].label();
            at += 1;
        }
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_place_label_and_code() {
        for (at, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, at);
            let ok = outcome.status() == StatusCode::OK;
            assert_eq!(ok, outcome.error_code() == 0, "{outcome:?}");
            assert!(ok || (120_001..=130_000).contains(&outcome.error_code()));
        }
        let mut codes: Vec<u32> = Outcome::ALL.iter().map(|o| o.error_code()).filter(|c| *c > 0).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), 15);
    }

    #[test]
    fn the_openapi_document_has_every_outcome_with_its_status_and_code() {
        let document = include_str!("../../docs/openapi.yaml");
        for outcome in Outcome::ALL {
            let status = match outcome {
                Outcome::ClientGone => "none".to_owned(),
                _ => outcome.status().as_str().to_owned(),
            };
            let row = format!("| `{}` | {status} | {} |", outcome.label(), outcome.error_code());
            assert!(document.contains(&row), "docs/openapi.yaml has no row {row}");
        }
    }
}
