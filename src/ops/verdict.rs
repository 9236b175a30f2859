//! The state of the node in words: does it accept webhooks, is everything published, are recalls being lost, and what
//! must an operator do next. Pure.

mod facts;
mod losing;
mod node;
mod publishing;
mod words;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use facts::{Arrivals, VerdictFacts, is_acknowledged, is_refused};
pub use node::{NodeVerdict, VerdictState};

use super::status::KafkaState;
use words::{bytes, list, minutes, number, time_of_day, wait, webhooks_refused};

/// With a working Kafka, events that wait no longer than this are being published, not waiting.
const UNDER_WAY: Duration = Duration::from_secs(10);

/// The verdict of these facts.
pub fn verdict(facts: &VerdictFacts<'_>) -> NodeVerdict {
    let mut verdict = if facts.draining {
        losing::stopping(facts)
    } else if !facts.reasons.is_empty() {
        losing::cannot_accept(facts)
    } else if facts.arrivals.is_losing() {
        losing::losing(facts)
    } else if !facts.kafka.connected {
        publishing::not_connected(facts)
    } else if facts.depth > 0 && (facts.kafka.state != KafkaState::Ready || facts.oldest_age > UNDER_WAY) {
        publishing::waiting(facts)
    } else {
        publishing::accepting(facts)
    };
    verdict.details.extend(details(facts, verdict.state));
    verdict
}

fn details(facts: &VerdictFacts<'_>, state: VerdictState) -> Vec<String> {
    let mut details: Vec<String> = facts.degraded.iter().map(|what| words::sentence(what)).collect();
    let arrivals = facts.arrivals;
    details.push(match arrivals.last_accepted_ms {
        Some(at) => format!("The last webhook was accepted at {}.", time_of_day(at, facts.now_ms)),
        None => "No webhook of a recall has been accepted since the start.".to_owned(),
    });
    let refused = arrivals.refused_total();
    if state != VerdictState::Losing && refused > 0 {
        let outcomes = arrivals.refused.iter().map(|(outcome, count)| format!("{} {outcome}", number(*count)));
        details.push(format!(
            "{} in the last {} ({}).",
            webhooks_refused(refused),
            minutes(facts.arrivals.window),
            list(outcomes)
        ));
    }
    if facts.depth > 0 && state == VerdictState::Losing {
        details.push(format!(
            "{} for Kafka; the spool has {} of {}.",
            wait(facts.depth),
            bytes(facts.bytes),
            bytes(facts.capacity_bytes)
        ));
    }
    if facts.quarantine_events > 0 && state != VerdictState::Accepting {
        let entries = words::count(facts.quarantine_events, "entry", "entries");
        details.push(format!("The quarantine has {entries}."));
    }
    if facts.replayable > 0 {
        let entries = words::count(facts.replayable, "refused webhook", "refused webhooks");
        details.push(format!("{entries} can be published with `recall-bridge refused replay`."));
    }
    details
}
