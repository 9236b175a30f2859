//! Makes the recalls of a webhook durable, and answers when they may be acknowledged.

use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::answer::{WebhookResult, not_durable};
use super::direct::DirectPublish;
use super::outcome::Outcome;
use super::shared::Shared;
use crate::events::{Messages, Origin};
use crate::spool::{AppendError, Appender, Durable, Published};

/// Reserved for sending the response, at most.
const ANSWER_RESERVE: Duration = Duration::from_millis(100);

/// How one worker stores webhooks.
#[derive(Debug)]
pub(super) struct Storage {
    pub(super) appender: Appender,
    /// Where acknowledgements wait for Kafka, with `BRIDGE_ACK_AFTER=published`.
    pub(super) published: Option<Published>,
}

impl Storage {
    /// Appends the events of a webhook to the spool. If the spool cannot be written and direct publishing is
    /// configured, publishes them directly. `started` is when the webhook began to arrive; the caller limits the time.
    pub(super) async fn store(
        &self,
        shared: &Shared,
        started: Instant,
        messages: &dyn Messages,
        origin: &Origin<'_>,
    ) -> WebhookResult {
        let append = self.appender.append(|writer| {
            for index in 0..messages.count() {
                writer.event(|out| {
                    messages.store(index, origin, out);
                    Some(messages.content_hash(index, origin))
                });
            }
        });
        let Some(direct) = &shared.direct else {
            return match append.await {
                Ok(durable) => self.acknowledge(shared, durable, started).await,
                Err(error) => not_durable(&error),
            };
        };
        if shared.spool.fault().is_none() {
            // A stuck disk reports no error: half of the time is reserved for Kafka.
            let until = started + shared.ack_timeout / 2;
            match timeout_at(until.into(), append).await {
                Ok(Ok(durable)) => return self.acknowledge(shared, durable, started).await,
                Ok(Err(error @ (AppendError::Full { .. } | AppendError::Closed))) => return not_durable(&error),
                Ok(Err(AppendError::Failed(_) | AppendError::Overloaded { .. })) | Err(_) => {}
            }
        }
        publish(shared, direct.as_ref(), messages, origin).await
    }

    /// The webhook is durable: answers at once, or when its records are in Kafka.
    async fn acknowledge(&self, shared: &Shared, durable: Durable, started: Instant) -> WebhookResult {
        if let Some(published) = &self.published {
            let reserve = ANSWER_RESERVE.min(shared.ack_timeout / 10);
            let until = started + shared.ack_timeout.saturating_sub(reserve);
            if timeout_at(until.into(), published.wait_for(durable.until())).await.is_err() {
                shared.metrics.ack_fallbacks.inc();
            }
        }
        WebhookResult::ok(if durable.is_duplicate() { Outcome::Duplicate } else { Outcome::Accepted })
    }
}

async fn publish(
    shared: &Shared,
    direct: &dyn DirectPublish,
    messages: &dyn Messages,
    origin: &Origin<'_>,
) -> WebhookResult {
    let encode = |index| {
        let mut record = Vec::new();
        messages.encode(index, origin, &mut record);
        record
    };
    let records: Vec<Vec<u8>> = (0..messages.count()).map(encode).collect();
    let count = records.len() as u64;
    match direct.publish(records).await {
        Ok(()) => {
            shared.metrics.unspooled_events.inc_by(count);
            WebhookResult::ok(Outcome::AcceptedUnspooled)
        }
        Err(error) => {
            tracing::debug!(event = "direct_publish_failed", %error, "direct publishing of a webhook failed");
            let info = "the webhook could neither be stored nor published; see the log of the bridge";
            WebhookResult::fail(Outcome::Unavailable, info)
        }
    }
}
