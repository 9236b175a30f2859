//! A recall that passed every check: made durable, and acknowledged when it may be.

use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::answer::Answer;
use super::worker::{Worker, not_durable};
use super::{Outcome, Shared};
use crate::publisher::bypass::Bypass;
use crate::record::Event;
use crate::spool::{AppendError, Durable};

/// Kept back from the time to answer, at most, for the answer itself.
const ANSWER_RESERVE: Duration = Duration::from_millis(100);

/// Appends the events of a delivery to the spool, or, where that is wanted and the spool cannot be
/// written, publishes them past it. `started` is when the delivery began to arrive; the whole time is
/// bounded by the caller.
pub(super) async fn settle<'a>(
    worker: &Worker,
    started: Instant,
    events: impl Iterator<Item = Event<'a>> + Clone,
) -> Answer {
    let shared = &*worker.shared;
    let own = events.clone();
    let append = worker.appender.append(move |writer| {
        for event in own {
            writer.event(|out| {
                event.encode(out);
                Some(event.identity())
            });
        }
    });
    let Some(bypass) = &shared.bypass else {
        return match append.await {
            Ok(durable) => acknowledge(worker, durable, started).await,
            Err(error) => not_durable(&error),
        };
    };
    if shared.spool.fault().is_none() {
        // A disk that hangs tells of no fault: half of the time is Kafka's.
        let until = started + shared.ack_timeout / 2;
        match timeout_at(until.into(), append).await {
            Ok(Ok(durable)) => return acknowledge(worker, durable, started).await,
            Ok(Err(error @ (AppendError::Full { .. } | AppendError::Closed))) => return not_durable(&error),
            Ok(Err(AppendError::Failed(_) | AppendError::Overloaded { .. })) | Err(_) => {}
        }
    }
    publish(shared, bypass, events).await
}

/// The delivery is durable; answers at once, or when it is in Kafka too.
async fn acknowledge(worker: &Worker, durable: Durable, started: Instant) -> Answer {
    let shared = &*worker.shared;
    if let Some(published) = &worker.published {
        let reserve = ANSWER_RESERVE.min(shared.ack_timeout / 10);
        let until = started + shared.ack_timeout.saturating_sub(reserve);
        if timeout_at(until.into(), published.wait_for(durable.until())).await.is_err() {
            shared.metrics.ack_fallbacks.inc();
        }
    }
    Answer::ok(if durable.is_duplicate() { Outcome::Duplicate } else { Outcome::Accepted })
}

async fn publish<'a>(shared: &Shared, bypass: &Bypass, events: impl Iterator<Item = Event<'a>>) -> Answer {
    let encode = |event: Event<'_>| {
        let mut record = Vec::new();
        event.encode(&mut record);
        record
    };
    let records: Vec<Vec<u8>> = events.map(encode).collect();
    let count = records.len() as u64;
    match bypass.publish(records).await {
        Ok(()) => {
            shared.metrics.unspooled_events.inc_by(count);
            Answer::ok(Outcome::AcceptedUnspooled)
        }
        Err(trouble) => {
            shared.metrics.count_kafka_error(trouble.kind);
            tracing::debug!(error = %trouble, "a delivery could not be published past the spool");
            let info = "the webhook could neither be stored nor published; see the log of the bridge";
            Answer::fail(Outcome::Unavailable, info)
        }
    }
}
