//! One worker's part: each delivery from its head to its answer.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use actix_web::http::StatusCode;
use actix_web::web::Bytes;

use super::answer::{Answer, log};
use super::checks::{HeadVerdict, Verdict, check_body, check_head};
use super::settle::settle;
use super::{Outcome, Shared, path};
use crate::edge::{Body, BodyError, Head, HeadError, Method, Reply, Service};
use crate::ops::status::unix_ms;
use crate::record::Event;
use crate::spool::{AppendError, Appender, Published, QuarantineEntry};
use crate::webhook::{self, Verified};

/// What answers the deliveries of one worker thread.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) appender: Appender,
    /// Where acknowledgements wait for Kafka.
    pub(super) published: Option<Published>,
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

impl Service for Worker {
    async fn call(&self, head: &Head, body: &mut Body<'_>) -> Reply {
        let shared = &*self.shared;
        let mut delivery = Delivery { shared, started: head.received(), decided: false };
        let query = String::from_utf8_lossy(head.query());
        let answer = match route(shared, head, body) {
            Some(refused) => refused,
            None => self.deliver(head, body, &query, delivery.started).await,
        };
        delivery.decide(answer.outcome);
        log(shared, &answer, &query, head.peer());
        answer.reply()
    }

    fn bad_request(&self, error: &HeadError, peer: IpAddr) -> Reply {
        let answer = Answer::fail(Outcome::BadRequest, error.to_string());
        self.shared.metrics.count_webhook(answer.outcome as usize);
        log(&self.shared, &answer, b"", Some(peer));
        match error {
            HeadError::Slow => answer.reply().with_status(StatusCode::REQUEST_TIMEOUT),
            _ => answer.reply(),
        }
    }
}

/// The checks that need neither query nor body.
fn route(shared: &Shared, head: &Head, body: &Body<'_>) -> Option<Answer> {
    if path::normal(head.path()) != Cow::Borrowed(shared.webhook_path.as_bytes()) {
        return Some(Answer::fail(Outcome::NotFound, "path: webhooks are not expected here"));
    }
    if head.method() != Method::Post {
        return Some(Answer::fail(Outcome::MethodNotAllowed, "method: send webhooks by POST"));
    }
    if shared.is_draining() {
        return Some(Answer::fail(Outcome::Draining, "the bridge is shutting down"));
    }
    let large = body.announced().is_some_and(|length| length > shared.max_body_bytes as u64);
    large.then(|| too_large(shared))
}

fn too_large(shared: &Shared) -> Answer {
    Answer::fail(Outcome::TooLarge, format!("body: over {} bytes", shared.max_body_bytes))
}

impl Worker {
    /// The checks in their order, then the spool. The body is read once app and Sign are right.
    async fn deliver(&self, head: &Head, body: &mut Body<'_>, query: &str, started: Instant) -> Answer {
        let shared = &*self.shared;
        let received_at_ms = unix_ms(SystemTime::now());
        let apps = shared.apps();
        let now = received_at_ms.div_euclid(1000);
        let verdict = check_head(query, &apps, now, shared.request_time_window_seconds);
        observe_skew(shared, verdict.verified());
        match verdict {
            HeadVerdict::Refused { outcome, info } => Answer { outcome, info },
            HeadVerdict::Ignored(verified) => {
                shared.metrics.count_ignored_command(verified.command());
                match self.in_time(started, body.discard(shared.max_body_bytes)).await {
                    // The answer is the same; a body that is framed wrongly ends the connection.
                    Ok(Ok(())) | Ok(Err(BodyError::TooLarge(_) | BodyError::Framing(_))) | Err(_) => {
                        Answer::ok(Outcome::Ignored)
                    }
                    Ok(Err(BodyError::Gone)) => Answer::ok(Outcome::ClientGone),
                }
            }
            HeadVerdict::Late { outcome, info, .. } => match self.body(body, started).await {
                Ok(body) => self.durable(started, self.quarantine(outcome, info, query, &body, received_at_ms)).await,
                Err(answer) => answer,
            },
            HeadVerdict::Authentic(verified) => match self.body(body, started).await {
                Ok(body) => {
                    let decided = self.decide(head, verified, query, &body, started, received_at_ms);
                    self.durable(started, decided).await
                }
                Err(answer) => answer,
            },
        }
    }

    /// The body, or what is answered without it.
    async fn body(&self, body: &mut Body<'_>, started: Instant) -> Result<Bytes, Answer> {
        let shared = &*self.shared;
        match self.in_time(started, body.read(shared.max_body_bytes)).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(BodyError::TooLarge(_))) => Err(too_large(shared)),
            Ok(Err(BodyError::Framing(wrong))) => Err(Answer::fail(Outcome::BadRequest, format!("body: {wrong}"))),
            Ok(Err(BodyError::Gone)) => Err(Answer::ok(Outcome::ClientGone)),
            Err(_) => {
                let info = format!("body: not complete after {} ms", shared.ack_timeout.as_millis());
                Err(Answer::fail(Outcome::Timeout, info))
            }
        }
    }

    /// Bounds a step by the time to answer.
    async fn in_time<T>(&self, started: Instant, step: impl Future<Output = T>) -> Result<T, tokio::time::error::Elapsed> {
        tokio::time::timeout_at((started + self.shared.ack_timeout).into(), step).await
    }

    /// Bounds the wait for disk or Kafka by the time to answer.
    async fn durable(&self, started: Instant, step: impl Future<Output = Answer>) -> Answer {
        let shared = &*self.shared;
        self.in_time(started, step).await.unwrap_or_else(|_| {
            let who =
                if shared.bypass.is_some() { "neither disk nor Kafka confirmed" } else { "the disk did not confirm" };
            let info = format!("{who} it within {} ms", shared.ack_timeout.as_millis());
            Answer::fail(Outcome::Unavailable, info)
        })
    }

    async fn decide(
        &self,
        head: &Head,
        verified: Verified<'_>,
        query: &str,
        body: &[u8],
        started: Instant,
        received_at_ms: i64,
    ) -> Answer {
        let (verified, recall) = match check_body(verified, body) {
            Verdict::Recall(verified, recall) => (verified, recall),
            Verdict::Answer { outcome, info, .. } => return Answer { outcome, info },
            Verdict::Quarantine { outcome, info, .. } => {
                return self.quarantine(outcome, info, query, body, received_at_ms).await;
            }
        };
        let traceparent = head.traceparent().filter(|text| webhook::is_valid_traceparent(text));
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
        settle(self, started, events).await
    }

    async fn quarantine(&self, outcome: Outcome, detail: String, query: &str, body: &[u8], at_ms: i64) -> Answer {
        let entry = QuarantineEntry {
            at_ms,
            reason: outcome.label(),
            detail: detail.clone(),
            query: webhook::without_sign(query),
            body: body.to_vec(),
        };
        match self.appender.quarantine(entry).await {
            Ok(_durable) => Answer::fail(outcome, detail),
            Err(error) => not_durable(&error),
        }
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

fn observe_skew(shared: &Shared, verified: Option<&Verified<'_>>) {
    if let Some(skew) = verified.and_then(Verified::skew_seconds) {
        #[expect(clippy::cast_precision_loss, reason = "seconds, far below 2^52")]
        shared.metrics.request_time_skew_seconds.observe(skew.unsigned_abs() as f64);
    }
}
