//! Handles the webhooks of one worker thread, from the head to the response.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;

use super::answer::{WebhookResult, log, not_durable};
use super::checks::{self, HeadVerdict, Verdict, check_body, check_head};
use super::durable::Storage;
use super::outcome::Outcome;
use super::path;
use super::refused::{self, Seen};
use super::shared::Shared;
use crate::clock;
use crate::edge::{Body, BodyError, DeadlinePassed, Head, HeadError, Method, Response, Service};
use crate::events::{self, Origin};
use crate::refused::RefusedId;
use crate::spool::QuarantineEntry;
use crate::webhook::{self, Verified};

/// Answers the webhooks of one worker thread.
#[derive(Debug)]
pub(super) struct IngestWorker {
    pub(super) shared: Arc<Shared>,
    pub(super) storage: Storage,
}

/// Counts a webhook once: with its outcome, or as `client_gone` when its future is dropped before.
struct CountedWebhook<'a> {
    shared: &'a Shared,
    head: &'a Head,
    seen: Seen,
    decided: bool,
}

impl CountedWebhook<'_> {
    fn decide(&mut self, answer: &WebhookResult) {
        self.decided = true;
        self.shared.count(answer.outcome, self.names_published());
        self.shared.metrics.ack_seconds.observe(self.head.received().elapsed().as_secs_f64());
        let refused = self.record(answer.outcome, &answer.info);
        log(self.shared, answer, self.head.query(), self.head.peer(), refused);
    }

    /// Whether the query names a published command, also a query that is not valid.
    fn names_published(&self) -> bool {
        let names = || webhook::names_command(self.head.query(), events::is_published);
        self.seen.names_published.unwrap_or_else(names)
    }

    /// Records the webhook in the refused journal if it was refused and names a published command.
    fn record(&self, outcome: Outcome, info: &str) -> Option<RefusedId> {
        let is_kept = outcome.is_refusal() && self.names_published();
        is_kept.then(|| refused::record(self.shared, self.head, &self.seen, outcome, info)).flatten()
    }
}

impl Drop for CountedWebhook<'_> {
    fn drop(&mut self) {
        if !self.decided {
            self.shared.count(Outcome::ClientGone, self.names_published());
            self.record(Outcome::ClientGone, "");
        }
    }
}

impl Service for IngestWorker {
    async fn call(&self, head: &Head, body: &mut Body<'_>) -> Response {
        let shared = &*self.shared;
        let seen = Seen::new(clock::now_ms(), body.announced());
        let mut delivery = CountedWebhook { shared, head, seen, decided: false };
        let answer = match route(shared, head, body) {
            Some(refused) => {
                self.keep_body(&refused, head, body, &mut delivery.seen).await;
                refused
            }
            None => self.deliver(head, body, &mut delivery.seen).await,
        };
        delivery.decide(&answer);
        answer.reply()
    }

    fn bad_request(&self, error: &HeadError, peer: IpAddr) -> Response {
        let answer = WebhookResult::fail(Outcome::BadRequest, error.to_string());
        self.shared.count(answer.outcome, false);
        log(&self.shared, &answer, b"", Some(peer), None);
        match error {
            HeadError::Slow => answer.reply().with_status(StatusCode::REQUEST_TIMEOUT),
            _ => answer.reply(),
        }
    }
}

/// The checks that need neither query nor body.
fn route(shared: &Shared, head: &Head, body: &Body<'_>) -> Option<WebhookResult> {
    if path::normal(head.path()) != Cow::Borrowed(shared.webhook_path.as_bytes()) {
        return Some(WebhookResult::fail(Outcome::NotFound, "path: this is not the path of the webhook"));
    }
    if head.method() != Method::Post {
        return Some(WebhookResult::fail(Outcome::MethodNotAllowed, "method: send webhooks by POST"));
    }
    if shared.is_draining() {
        return Some(WebhookResult::fail(Outcome::Draining, "the bridge is shutting down"));
    }
    let large = body.announced().is_some_and(|length| length > shared.max_body_bytes as u64);
    large.then(|| too_large(shared))
}

fn too_large(shared: &Shared) -> WebhookResult {
    WebhookResult::fail(Outcome::TooLarge, format!("body: over {} bytes", shared.max_body_bytes))
}

impl IngestWorker {
    /// The checks in order, then the spool. The body is read only after app and Sign passed.
    async fn deliver(&self, head: &Head, body: &mut Body<'_>, seen: &mut Seen) -> WebhookResult {
        let shared = &*self.shared;
        let started = head.received();
        let apps = shared.apps();
        let now = seen.at_ms.div_euclid(1000);
        let verdict = check_head(head.query(), &apps, now, shared.request_time_window_seconds);
        observe_skew(shared, verdict.verified());
        seen.names_published = verdict.verified().map(|verified| events::is_published(verified.command()));
        match verdict {
            HeadVerdict::Answer { outcome, info, verified } => {
                if let Some(verified) = verified {
                    shared.metrics.count_ignored_command(verified.command());
                    // The body is discarded, so that the connection can be used again.
                    let _ = self.in_time(started, body.discard(shared.max_body_bytes)).await;
                }
                WebhookResult { outcome, info }
            }
            HeadVerdict::Body(right) => match self.body(body, started).await {
                Ok(bytes) => {
                    seen.body = Some(bytes.clone());
                    let deadline = started + shared.ack_timeout;
                    let decided = body.limit(deadline, self.decide(head, right, &bytes, seen)).await;
                    decided.unwrap_or_else(|DeadlinePassed| not_confirmed(shared))
                }
                Err(answer) => answer,
            },
        }
    }

    /// Reads the body of an authentic webhook that is refused because the process is stopping, so that it can be
    /// replayed. The time limit of every webhook applies.
    async fn keep_body(&self, refused: &WebhookResult, head: &Head, body: &mut Body<'_>, seen: &mut Seen) {
        let standing = || refused::standing(&self.shared, head.query(), seen.at_ms);
        if refused.outcome == Outcome::Draining && standing().is_some_and(|(standing, _)| standing.is_authentic()) {
            seen.body = self.body(body, head.received()).await.ok();
        }
    }

    /// Returns the body, or the result without it.
    async fn body(&self, body: &mut Body<'_>, started: Instant) -> Result<Bytes, WebhookResult> {
        let shared = &*self.shared;
        if let Some(body) = body.take_arrived(shared.max_body_bytes) {
            return Ok(body);
        }
        match self.in_time(started, body.read(shared.max_body_bytes)).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(BodyError::TooLarge(_))) => Err(too_large(shared)),
            Ok(Err(BodyError::Framing(wrong))) => {
                Err(WebhookResult::fail(Outcome::BadRequest, format!("body: {wrong}")))
            }
            Ok(Err(BodyError::Gone)) => Err(WebhookResult::ok(Outcome::ClientGone)),
            Err(_) => {
                let info = format!("body: not complete after {} ms", shared.ack_timeout.as_millis());
                Err(WebhookResult::fail(Outcome::Timeout, info))
            }
        }
    }

    /// Limits a step to `BRIDGE_ACK_TIMEOUT_MS`.
    async fn in_time<T>(
        &self,
        started: Instant,
        step: impl Future<Output = T>,
    ) -> Result<T, tokio::time::error::Elapsed> {
        tokio::time::timeout_at((started + self.shared.ack_timeout).into(), step).await
    }

    async fn decide(&self, head: &Head, right: checks::CheckedHead<'_>, body: &[u8], seen: &mut Seen) -> WebhookResult {
        let (verified, messages) = match check_body(right, body) {
            Verdict::Publish(verified, messages) => (verified, messages),
            Verdict::Answer { outcome, info, .. } => return WebhookResult { outcome, info },
            Verdict::Quarantine { outcome, reason, info, .. } => {
                let entry = QuarantineEntry {
                    at_ms: seen.at_ms,
                    reason,
                    detail: info,
                    query: webhook::without_sign(head.query()),
                    body: body.to_vec(),
                };
                return self.quarantine(outcome, entry, seen).await;
            }
        };
        let traceparent = head.traceparent().and_then(webhook::traceparent);
        let origin = Origin::new(&verified, seen.at_ms, traceparent);
        self.storage.store(&self.shared, head.received(), messages.as_ref(), &origin).await
    }

    async fn quarantine(&self, outcome: Outcome, entry: QuarantineEntry, seen: &mut Seen) -> WebhookResult {
        let detail = entry.detail.clone();
        if outcome == Outcome::Ignored {
            warn_of_near_miss(&self.shared, &entry);
        }
        match self.storage.appender.quarantine(entry).await {
            // For these two the response does not promise that they are kept, and a replay of an old Sign must not
            // cause an alert.
            Err(error) if !matches!(outcome, Outcome::Ignored | Outcome::Expired) => not_durable(&error),
            stored => {
                seen.quarantine = stored.ok();
                WebhookResult::fail(outcome, detail)
            }
        }
    }
}

/// Neither disk nor Kafka confirmed a webhook within `BRIDGE_ACK_TIMEOUT_MS`.
fn not_confirmed(shared: &Shared) -> WebhookResult {
    let who = if shared.direct.is_some() { "neither disk nor Kafka confirmed" } else { "the disk did not confirm" };
    let info = format!("{who} it within {} ms", shared.ack_timeout.as_millis());
    WebhookResult::fail(Outcome::Unavailable, info)
}

/// The vendor or a proxy may have changed the name of the command, and recalls may be lost under it.
fn warn_of_near_miss(shared: &Shared, entry: &QuarantineEntry) {
    shared.metrics.count_near_miss();
    if let Some(suppressed) = shared.refusals.admit(Outcome::Ignored) {
        let (info, query) = (entry.detail.as_str(), entry.query.as_str());
        tracing::warn!(event = "near_miss", info, query, suppressed, "webhook not published; kept in quarantine");
    }
}

fn observe_skew(shared: &Shared, verified: Option<&Verified<'_>>) {
    if let Some(skew) = verified.and_then(checks::clock_skew_seconds) {
        #[expect(clippy::cast_precision_loss, reason = "seconds, far below 2^52")]
        shared.metrics.request_time_skew_seconds.observe(skew as f64);
    }
}
