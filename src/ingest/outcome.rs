//! The outcomes of a webhook.

use http::StatusCode;
use tracing::Level;

/// The outcome of a webhook. Every webhook has exactly one, and is counted under its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Bytes that are not an HTTP request.
    BadRequest,
    /// A path other than `BRIDGE_WEBHOOK_PATH`.
    NotFound,
    /// Not POST.
    MethodNotAllowed,
    /// The process is shutting down.
    Draining,
    /// The body exceeds `BRIDGE_MAX_BODY_BYTES`.
    TooLarge,
    /// The query is not valid.
    BadQuery,
    /// SdkAppid is not configured.
    UnknownApp,
    /// Sign or RequestTime is missing or wrong.
    BadSign,
    /// Signed, but outside the time window; stored in quarantine.
    Stale,
    /// Signed, but more than a day away; stored in a small share of the quarantine.
    Expired,
    /// Another callback command.
    Ignored,
    /// Authentic, but not a valid recall; stored in quarantine.
    Malformed,
    /// A recall without messages.
    Empty,
    /// Every record is durable.
    Accepted,
    /// All its recalls are duplicates within `BRIDGE_DEDUP_WINDOW_SECONDS`; no record is added.
    Duplicate,
    /// The spool cannot be written; every record is in Kafka (`BRIDGE_SPOOL_FAILURE=publish`).
    AcceptedUnspooled,
    /// The spool or a share of the quarantine is full.
    SpoolFull,
    /// It did not become durable in time.
    Unavailable,
    /// The body did not arrive in time.
    Timeout,
    /// The peer closed the connection before the response.
    ClientGone,
}

impl Outcome {
    /// All outcomes, in the order of their checks; by index.
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

    /// The HTTP status. That of [`Self::ClientGone`] is never sent.
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

    /// The `ErrorCode` of the response: 0, or a fixed number for each outcome. The vendor reserves 120001 to 130000
    /// for receivers.
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

    /// Whether an unauthenticated peer can cause it: then no body is read, and the connection closes after the
    /// response.
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

    /// The log level of a webhook with this outcome.
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
            // A recall was refused, and the sender will not send it again.
            Self::Draining | Self::Stale | Self::Malformed | Self::SpoolFull | Self::Unavailable | Self::Timeout => {
                Level::WARN
            }
        }
    }

    /// The check that a refused webhook failed, as the name of a parameter or a part of the request or the node.
    pub const fn failed_check(self) -> Option<&'static str> {
        match self {
            Self::BadRequest => Some("HTTP"),
            Self::NotFound => Some("path"),
            Self::MethodNotAllowed => Some("method"),
            Self::Draining => Some("shutdown"),
            Self::TooLarge => Some("body size"),
            Self::BadQuery => Some("query"),
            Self::UnknownApp => Some("SdkAppid"),
            Self::BadSign => Some("Sign"),
            Self::Stale | Self::Expired => Some("RequestTime"),
            Self::Malformed => Some("body"),
            Self::SpoolFull => Some("space in the spool"),
            Self::Unavailable => Some("disk"),
            Self::Timeout => Some("time for the body"),
            Self::ClientGone => Some("connection"),
            Self::Ignored | Self::Empty | Self::Accepted | Self::Duplicate | Self::AcceptedUnspooled => None,
        }
    }

    /// Whether the webhook was not acknowledged.
    pub const fn is_refusal(self) -> bool {
        self.error_code() != 0
    }

    /// The outcome of this label.
    pub fn named(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.label() == label)
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
    fn the_documents_have_every_outcome_with_its_status_and_code() {
        let documents = [include_str!("../../docs/openapi.yaml"), include_str!("../../docs/outcomes.md")];
        for (document, outcome) in documents.iter().flat_map(|document| Outcome::ALL.map(|outcome| (document, outcome)))
        {
            let status = match outcome {
                Outcome::ClientGone => "none".to_owned(),
                _ => outcome.status().as_str().to_owned(),
            };
            let row = format!("| `{}` | {status} | {} |", outcome.label(), outcome.error_code());
            assert!(document.contains(&row), "docs/openapi.yaml or docs/outcomes.md has no row {row}");
        }
    }

    #[test]
    fn the_reference_has_the_outcomes_in_the_order_of_their_checks() {
        let reference = include_str!("../../docs/outcomes.md");
        let rows = reference.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        assert_eq!(rows.collect::<Vec<_>>(), Outcome::ALL.map(Outcome::label));
    }
}
