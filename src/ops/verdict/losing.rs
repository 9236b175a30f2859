//! The verdicts of a node that refuses webhooks.

use super::facts::{QUARANTINED, VerdictFacts};
use super::node::{NodeVerdict, VerdictState};
use super::words::{list, minutes, number, recalls, webhooks, webhooks_refused};

pub(super) fn stopping(facts: &VerdictFacts<'_>) -> NodeVerdict {
    let left = if facts.depth == 0 {
        "Everything is published.".to_owned()
    } else {
        format!("{} unpublished; the spool keeps them for the next start.", recalls(facts.depth))
    };
    let headline = format!("Stopping. New webhooks are refused with 503. {left}");
    NodeVerdict::new(VerdictState::Stopping, headline).step(
        "Check that the load balancer sends webhooks to another node.",
        "docs/operations.md#stopping-starting-upgrading",
    )
}

pub(super) fn cannot_accept(facts: &VerdictFacts<'_>) -> NodeVerdict {
    let refused = facts.arrivals.refused_total();
    let why = facts.reasons.join("; ");
    let headline = if refused == 0 {
        format!("NOT ACCEPTING: {why}. Each webhook that arrives now is refused.")
    } else {
        format!("LOSING RECALLS: {why}. {} in the last {}.", webhooks_refused(refused), minutes(facts.arrivals.window))
    };
    let full = facts.reasons.iter().any(|reason| reason.starts_with("spool full"));
    let verdict = NodeVerdict::new(VerdictState::Losing, headline).since(facts.arrivals.refusing_since_ms);
    if full {
        let step = facts.kafka.last_error.as_ref().and_then(|error| error.needs_you).map_or_else(
            || "Repair Kafka, or raise BRIDGE_SPOOL_MAX_BYTES and restart, if the disk has room.".to_owned(),
            |what| format!("Repair the publishing: {what}. Or raise BRIDGE_SPOOL_MAX_BYTES and restart."),
        );
        verdict.step(step, "docs/operations.md#the-spool-is-full")
    } else {
        verdict.step(
            "Check the disk of the spool directory: free space and errors in the kernel's log.",
            "docs/operations.md#a-broken-disk",
        )
    }
}

pub(super) fn losing(facts: &VerdictFacts<'_>) -> NodeVerdict {
    let arrivals = facts.arrivals;
    let refused = arrivals.refused_total();
    let all = refused + arrivals.accepted;
    let outcomes = arrivals.refused.iter().map(|(outcome, count)| format!("{} {outcome}", number(*count)));
    let kept = arrivals.refused.iter().all(|(outcome, _)| QUARANTINED.contains(outcome));
    let kept = if kept { " They are in quarantine and can be published." } else { "" };
    let share = format!("{} of {} in the last {}", number(refused), webhooks(all), minutes(facts.arrivals.window));
    let were = if refused == 1 { "was" } else { "were" };
    let headline = format!("LOSING RECALLS: {share} {were} refused ({}).{kept}", list(outcomes));
    let verdict = NodeVerdict::new(VerdictState::Losing, headline).since(arrivals.refusing_since_ms);
    let (step, runbook) = remedy(arrivals.cause().unwrap_or_default());
    verdict.step(step, runbook)
}

/// The next step and its section for an outcome.
pub(super) fn remedy(outcome: &str) -> (&'static str, &'static str) {
    const REFUSED: &str = "docs/operations.md#recallbridgerecallsrefused";
    const JUMP: &str = "docs/operations.md#recallbridgerefusalsjump";
    match outcome {
        "bad_sign" => (
            "Compare the token in the vendor's console with BRIDGE_APPS, set both for now (`id:old|new`), and send SIGHUP. \
             `recall-bridge explain --refused ID` shows the failed check.",
            JUMP,
        ),
        "unknown_app" => ("Add the app to BRIDGE_APPS, or remove this URL from the app's console.", JUMP),
        "bad_query" | "method_not_allowed" => (
            "Switch on authentication for the callback URL in the vendor's console; `recall-bridge refused list` shows the \
             queries.",
            JUMP,
        ),
        "stale" => (
            "Check the clock of this machine (`timedatectl`), then publish them: `recall-bridge quarantine requeue \
             --reason stale`.",
            "docs/operations.md#recallbridgeclockskew",
        ),
        "malformed" => {
            ("See what arrived: `recall-bridge quarantine list --reason malformed`.", "docs/operations.md#quarantine")
        }
        "spool_full" => (
            "Requeue or drop entries of the quarantine, or repair Kafka, or raise the limit that is reached.",
            "docs/operations.md#the-spool-is-full",
        ),
        "too_large" => ("Raise BRIDGE_MAX_BODY_BYTES and restart.", REFUSED),
        "timeout" | "client_gone" => ("Check the network and the proxies between the vendor and this node.", REFUSED),
        "draining" => ("Remove a node from the load balancer before you stop it.", REFUSED),
        _ => ("Check the disk of the spool directory: free space, and `spool_commit_seconds`.", REFUSED),
    }
}
