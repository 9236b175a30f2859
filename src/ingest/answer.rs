//! The result of a webhook: its outcome, a sentence about it, and the response made of both.

use std::net::IpAddr;

use super::outcome::Outcome;
use super::shared::Shared;
use crate::edge::Response;
use crate::refused::RefusedId;
use crate::spool::AppendError;
use crate::webhook;

const JSON: &str = "application/json";

/// The outcome of a webhook and a sentence about it.
pub(super) struct WebhookResult {
    pub(super) outcome: Outcome,
    pub(super) info: String,
}

impl WebhookResult {
    pub(super) fn ok(outcome: Outcome) -> Self {
        Self { outcome, info: String::new() }
    }

    pub(super) fn fail(outcome: Outcome, info: impl Into<String>) -> Self {
        Self { outcome, info: info.into() }
    }

    pub(super) fn reply(&self) -> Response {
        let status = self.outcome.status();
        let reply = match self.outcome.error_code() {
            0 => Response::new(status, JSON, webhook::ok()),
            code => Response::new(status, JSON, webhook::fail(code, &self.info)),
        };
        let ends = self.outcome.ends_connection();
        let reply = reply.closing(ends).proven(!ends);
        if self.outcome == Outcome::MethodNotAllowed { reply.allowing("POST") } else { reply }
    }
}

/// Logs one line per webhook, at the level of its outcome, with a limit per second. The query is logged without Sign.
/// `refused` is the id of its entry in the refused journal.
pub(super) fn log(
    shared: &Shared,
    answer: &WebhookResult,
    query: &[u8],
    peer: Option<IpAddr>,
    refused: Option<RefusedId>,
) {
    let level = answer.outcome.log_level();
    if level == tracing::Level::DEBUG {
        tracing::debug!(event = "delivery", outcome = answer.outcome.label(), "delivery");
        return;
    }
    let Some(suppressed) = shared.refusals.admit(answer.outcome) else { return };
    let (outcome, info) = (answer.outcome.label(), answer.info.as_str());
    let query = webhook::without_sign(query);
    let peer = peer.map(|peer| peer.to_string());
    if level == tracing::Level::WARN {
        tracing::warn!(event = "delivery_refused", outcome, info, refused, query, peer, suppressed, "delivery refused");
    } else {
        tracing::info!(event = "delivery_refused", outcome, info, refused, query, peer, suppressed, "delivery refused");
    }
}

/// The result of a webhook that the spool did not accept.
pub(super) fn not_durable(error: &AppendError) -> WebhookResult {
    match error {
        AppendError::Full { .. } => WebhookResult::fail(Outcome::SpoolFull, error.to_string()),
        AppendError::Failed(_) | AppendError::Overloaded { .. } | AppendError::Closed => {
            WebhookResult::fail(Outcome::Unavailable, "the webhook could not be stored; see the log of the bridge")
        }
    }
}
