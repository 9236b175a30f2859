//! The verdicts of a node that accepts webhooks.

use super::facts::VerdictFacts;
use super::node::{NodeVerdict, VerdictState};
use super::words::{self, duration, time_of_day, wait};
use crate::ops::status::KafkaState;

pub(super) fn not_connected(facts: &VerdictFacts<'_>) -> NodeVerdict {
    let waiting =
        if facts.depth == 0 { String::new() } else { format!(" {} for it. Nothing is lost.", wait(facts.depth)) };
    match &facts.kafka.last_error {
        _ if facts.kafka.state == KafkaState::ReadingBack => NodeVerdict::new(
            VerdictState::Starting,
            format!("Starting. Webhooks are accepted; the bridge reconciles with the topic.{waiting}"),
        ),
        None => NodeVerdict::new(
            VerdictState::Starting,
            format!("Starting. Webhooks are accepted; Kafka is not connected yet.{waiting}"),
        ),
        Some(error) => {
            let headline = format!(
                "Accepting, but not connected to Kafka since the start ({}).{waiting}{}",
                error.text,
                full_in(facts)
            );
            let verdict = NodeVerdict::new(VerdictState::Waiting, headline).since(facts.kafka.failing_since_ms);
            kafka_step(verdict, facts)
        }
    }
}

pub(super) fn waiting(facts: &VerdictFacts<'_>) -> NodeVerdict {
    let since_ms = facts.now_ms.saturating_sub(i64::try_from(facts.oldest_age.as_millis()).unwrap_or(i64::MAX));
    let since = time_of_day(since_ms, facts.now_ms);
    let cause = match (&facts.kafka.state, &facts.kafka.last_error) {
        (KafkaState::Ready, _) => "Kafka is slow or does not answer".to_owned(),
        (KafkaState::ReadingBack, _) => "the bridge reconciles with the topic".to_owned(),
        (KafkaState::Failing, Some(error)) => error.text.clone(),
        _ => "the bridge connects to Kafka".to_owned(),
    };
    let headline = format!(
        "Accepting. {} for Kafka since {since} ({cause}). Nothing is lost{}.",
        wait(facts.depth),
        estimate(facts).map_or_else(String::new, |estimate| format!("; {estimate}"))
    );
    kafka_step(NodeVerdict::new(VerdictState::Waiting, headline).since(Some(since_ms)), facts)
}

fn kafka_step(verdict: NodeVerdict, facts: &VerdictFacts<'_>) -> NodeVerdict {
    match (&facts.kafka.state, &facts.kafka.last_error) {
        (KafkaState::Failing | KafkaState::Connecting, Some(error)) => match error.needs_you {
            Some(what) => verdict.step(words::sentence(what), "docs/operations.md#recallbridgekafkaneedsyou"),
            None => verdict.step(
                "Check the brokers and the network to them; the bridge retries by itself.",
                "docs/operations.md#recallbridgekafkadown",
            ),
        },
        (KafkaState::Ready, _) => verdict.step(
            "Check the brokers; if they work and the backlog grows, add partitions or brokers.",
            "docs/operations.md#recallbridgebacklogold",
        ),
        _ => verdict.step("Wait: it ends by itself.", "docs/operations.md#recallbridgebacklogold"),
    }
}

pub(super) fn accepting(facts: &VerdictFacts<'_>) -> NodeVerdict {
    let kept = facts.quarantine_events > 0;
    let headline = match (facts.depth, kept, facts.kafka.state) {
        (0, _, KafkaState::Failing | KafkaState::Connecting) => {
            let error = facts.kafka.last_error.as_ref().map_or("", |error| error.text.as_str());
            let headline = format!("Accepting. Everything is published, but Kafka does not answer now ({error}).");
            let verdict = NodeVerdict::new(VerdictState::Waiting, headline).since(facts.kafka.failing_since_ms);
            return kafka_step(verdict, facts);
        }
        (0, false, _) => "Accepting. Everything is published.".to_owned(),
        (depth, true, _) => format!(
            "Accepting. {}, except {} in quarantine.",
            if depth == 0 { "Everything is published" } else { "Recalls are published as they arrive" },
            words::count(facts.quarantine_events, "entry", "entries")
        ),
        _ => "Accepting. Recalls are published as they arrive.".to_owned(),
    };
    let verdict = NodeVerdict::new(VerdictState::Accepting, headline);
    if kept {
        verdict.step("Requeue or drop each entry: `recall-bridge quarantine list`.", "docs/operations.md#quarantine")
    } else if facts.replayable > 0 {
        verdict.step(
            "Publish the refused webhooks that are authentic: `recall-bridge refused list`, then `recall-bridge refused replay`.",
            "docs/operations.md#what-was-refused",
        )
    } else {
        verdict
    }
}

fn estimate(facts: &VerdictFacts<'_>) -> Option<String> {
    let arrivals = facts.arrivals;
    if let Some(rate) = arrivals.drain_events_per_second {
        return Some(format!("published in about {}", duration(as_f64(facts.depth) / rate)));
    }
    full_after(facts).map(|seconds| format!("full in about {}", duration(seconds)))
}

fn full_in(facts: &VerdictFacts<'_>) -> String {
    full_after(facts).map_or_else(String::new, |seconds| format!(" Full in about {}.", duration(seconds)))
}

fn full_after(facts: &VerdictFacts<'_>) -> Option<f64> {
    let room = as_f64(facts.capacity_bytes.saturating_sub(facts.bytes));
    facts.arrivals.growth_bytes_per_second.filter(|rate| *rate > 0.0).map(|rate| room / rate)
}

fn as_f64(value: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let value = value as f64;
    value
}
