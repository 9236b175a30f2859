//! One delivery, from its head to its answer.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use actix_http::header::{self, HeaderValue};
use actix_http::{ConnectionType, Method, Payload, Request, Response};
use actix_web::web::Bytes;

use super::body::{self, BodyError};
use super::checks::{self, Verdict, check};
use super::settle::settle;
use super::{Outcome, Shared};
use crate::ops::status::unix_ms;
use crate::record::Event;
use crate::spool::{AppendError, Appender, Published, QuarantineEntry};
use crate::webhook;

/// One worker's part.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) appender: Appender,
    /// Where acknowledgements wait for Kafka.
    pub(super) published: Option<Published>,
}

/// An outcome, and what to say about it.
pub(super) struct Answer {
    outcome: Outcome,
    info: String,
}

impl Answer {
    pub(super) fn ok(outcome: Outcome) -> Self {
        Self { outcome, info: String::new() }
    }

    pub(super) fn fail(outcome: Outcome, info: impl Into<String>) -> Self {
        Self { outcome, info: info.into() }
    }
}

/// Counts a delivery once: with its answer, or as gone when its future is dropped before.
struct Delivery<'a> {
    shared: &'a Shared,
    started: Instant,
    decided: bool,
}

impl Delivery<'_> {
    fn decide(&mut self, outcome: Outcome) {
        self.decided = true;
        self.shared.metrics.count_webhook(outcome as usize);
        self.shared.metrics.ack_seconds.observe(self.started.elapsed().as_secs_f64());
    }
}

impl Drop for Delivery<'_> {
    fn drop(&mut self) {
        if !self.decided {
            self.shared.metrics.count_webhook(Outcome::ClientGone as usize);
        }
    }
}

/// Answers one request.
pub(super) async fn handle(mut request: Request, worker: Rc<Worker>) -> Result<Response<Bytes>, Infallible> {
    let mut payload = request.take_payload();
    let shared = &*worker.shared;
    let mut delivery = Delivery { shared, started: Instant::now(), decided: false };
    let answer = if let Some(refused) = route(shared, &request) {
        refused
    } else {
        let checks = deliver(&worker, &request, &mut payload, delivery.started);
        let Some(answer) = checks.await else {
            // The peer is gone: the guard counts it.
            return Ok(Response::with_body(Outcome::ClientGone.status(), Bytes::new()));
        };
        answer
    };
    delivery.decide(answer.outcome);
    log(shared, &answer, &request);
    Ok(respond(&answer))
}

/// The checks that need no body.
fn route(shared: &Shared, request: &Request) -> Option<Answer> {
    if request.path() != shared.webhook_path {
        return Some(Answer::fail(Outcome::NotFound, "path: webhooks are not expected here"));
    }
    if request.method() != Method::POST {
        return Some(Answer::fail(Outcome::MethodNotAllowed, "method: send webhooks by POST"));
    }
    shared.is_draining().then(|| Answer::fail(Outcome::Draining, "the bridge is shutting down"))
}

/// Body, checks, spool. `None`: the peer left.
async fn deliver(worker: &Worker, request: &Request, payload: &mut Payload, started: Instant) -> Option<Answer> {
    let shared = &*worker.shared;
    let deadline = tokio::time::Instant::from_std(started + shared.ack_timeout);
    let read = body::read(request.head().headers(), payload, shared.max_body_bytes);
    let body = match tokio::time::timeout_at(deadline, read).await {
        Ok(Ok(body)) => body,
        Ok(Err(BodyError::TooLarge)) => {
            // The outcome is known, whether or not the rest comes in time.
            let _ = tokio::time::timeout_at(deadline, body::discard(payload, shared.max_body_bytes)).await;
            let info = format!("body: over {} bytes", shared.max_body_bytes);
            return Some(Answer::fail(Outcome::TooLarge, info));
        }
        Ok(Err(BodyError::Broken(error))) => {
            tracing::debug!(%error, "a body ended early");
            return None;
        }
        Err(_) => {
            let info = format!("body: not complete after {} ms", shared.ack_timeout.as_millis());
            return Some(Answer::fail(Outcome::Timeout, info));
        }
    };
    let decide = decide(worker, request, &body, started);
    let answer = tokio::time::timeout_at(deadline, decide).await;
    Some(answer.unwrap_or_else(|_| {
        let who = if shared.bypass.is_some() { "neither disk nor Kafka confirmed" } else { "the disk did not confirm" };
        let info = format!("{who} it within {} ms", shared.ack_timeout.as_millis());
        Answer::fail(Outcome::Unavailable, info)
    }))
}

/// The checks in their order, then the spool.
async fn decide(worker: &Worker, request: &Request, body: &[u8], started: Instant) -> Answer {
    let shared = &*worker.shared;
    let received_at_ms = unix_ms(SystemTime::now());
    let query = query_of(request);
    let apps = shared.apps();
    let now = received_at_ms.div_euclid(1000);
    let verdict = check(query, body, &apps, now, shared.request_time_window_seconds);
    observe_skew(shared, &verdict);
    let (verified, recall) = match verdict {
        Verdict::Recall(verified, recall) => (verified, recall),
        Verdict::Answer { outcome, info, verified } => {
            if let (Outcome::Ignored, Some(verified)) = (outcome, verified) {
                shared.metrics.count_ignored_command(verified.command());
            }
            return Answer { outcome, info };
        }
        Verdict::Quarantine { outcome, reason, info, .. } => {
            let entry = QuarantineEntry {
                at_ms: received_at_ms,
                reason,
                detail: info,
                query: webhook::without_sign(query),
                body: body.to_vec(),
            };
            return quarantine(worker, outcome, entry).await;
        }
    };
    let traceparent =
        request.head().headers().get("traceparent").and_then(|value| webhook::traceparent(value.to_str().ok()?));
    let events = recall.msg_keys().map(|msg_key| Event {
        sdk_app_id: verified.sdk_app_id(),
        official_account: recall.official_account(),
        msg_key,
        recalled_at_ms: recall.event_time_ms(),
        received_at_ms,
        opt_platform: verified.opt_platform(),
        client_ip: verified.client_ip(),
        traceparent,
    });
    settle(worker, started, events).await
}

async fn quarantine(worker: &Worker, outcome: Outcome, entry: QuarantineEntry) -> Answer {
    let detail = entry.detail.clone();
    if outcome == Outcome::Ignored {
        warn_of_near_miss(&worker.shared, &entry);
    }
    match worker.appender.quarantine(entry).await {
        // Of these two nobody is told that they are kept, and who replays an old Sign must page nobody.
        Err(error) if !matches!(outcome, Outcome::Ignored | Outcome::Expired) => not_durable(&error),
        _ => Answer::fail(outcome, detail),
    }
}

/// Recalls may be lost under a name that the vendor, or a proxy, has changed.
fn warn_of_near_miss(shared: &Shared, entry: &QuarantineEntry) {
    shared.metrics.count_near_miss();
    if let Some(suppressed) = shared.refusals.admit(Outcome::Ignored) {
        let (info, query) = (entry.detail.as_str(), entry.query.as_str());
        tracing::warn!(event = "near_miss", info, query, suppressed, "a webhook was not published, and is kept");
    }
}

pub(super) fn not_durable(error: &AppendError) -> Answer {
    match error {
        AppendError::Full { .. } => Answer::fail(Outcome::SpoolFull, error.to_string()),
        AppendError::Failed(_) | AppendError::Overloaded { .. } | AppendError::Closed => {
            Answer::fail(Outcome::Unavailable, "the webhook could not be stored; see the log of the bridge")
        }
    }
}

fn observe_skew(shared: &Shared, verdict: &Verdict<'_, '_>) {
    if let Some(skew) = verdict.verified().and_then(checks::clock_skew_seconds) {
        #[expect(clippy::cast_precision_loss, reason = "seconds, far below 2^52")]
        shared.metrics.request_time_skew_seconds.observe(skew as f64);
    }
}

fn query_of(request: &Request) -> &[u8] {
    request.uri().query().unwrap_or_default().as_bytes()
}

fn respond(answer: &Answer) -> Response<Bytes> {
    let body = match answer.outcome.error_code() {
        0 => Bytes::from_static(webhook::ok().as_bytes()),
        code => webhook::fail(code, &answer.info).into(),
    };
    let mut response = Response::with_body(answer.outcome.status(), body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    match answer.outcome {
        // The process is ending, or part of the body may still be on its way.
        Outcome::Draining | Outcome::TooLarge | Outcome::Timeout => {
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
        Outcome::MethodNotAllowed => {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        _ => {}
    }
    response
}

/// One line per delivery, loud according to its outcome, bounded per second. The query is named
/// without its Sign.
fn log(shared: &Shared, answer: &Answer, request: &Request) {
    let level = answer.outcome.log_level();
    if level == tracing::Level::DEBUG {
        tracing::debug!(outcome = answer.outcome.label(), "delivery");
        return;
    }
    let Some(suppressed) = shared.refusals.admit(answer.outcome) else { return };
    let (outcome, info) = (answer.outcome.label(), answer.info.as_str());
    let query = webhook::without_sign(query_of(request));
    let peer = request.peer_addr().map(|peer| peer.ip().to_string());
    if level == tracing::Level::WARN {
        tracing::warn!(outcome, info, query, peer, suppressed, "delivery refused");
    } else {
        tracing::info!(outcome, info, query, peer, suppressed, "delivery refused");
    }
}
