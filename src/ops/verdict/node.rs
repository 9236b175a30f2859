//! The verdict as `/status` has it.

use serde::Serialize;

use crate::clock;

/// The state of the node, from good to bad: the order of colours, not of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictState {
    /// It accepts webhooks and publishes their recalls.
    Accepting,
    /// It has not connected to Kafka since its start, or opens its spool.
    Starting,
    /// It accepts webhooks, and recalls wait for Kafka.
    Waiting,
    /// It is shutting down.
    Stopping,
    /// It refuses webhooks.
    Losing,
}

/// The verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeVerdict {
    /// The state, for colours and scripts.
    pub state: VerdictState,
    /// One or two sentences.
    pub headline: String,
    /// Further facts, one sentence each.
    pub details: Vec<String>,
    /// Since when the state has lasted, in ISO 8601, if it is known.
    pub since: Option<String>,
    /// The one next step of an operator.
    pub next_step: Option<String>,
    /// The section of the runbook, relative to the repository.
    pub runbook: Option<&'static str>,
}

impl NodeVerdict {
    /// The verdict before the spool is open.
    pub fn opening() -> Self {
        Self::new(VerdictState::Starting, "Starting: the spool is being opened. Webhooks are not accepted yet.")
    }

    pub(super) fn new(state: VerdictState, headline: impl Into<String>) -> Self {
        let headline = headline.into();
        Self { state, headline, details: Vec::new(), since: None, next_step: None, runbook: None }
    }

    pub(super) fn since(mut self, at_ms: Option<i64>) -> Self {
        self.since = at_ms.map(clock::iso8601);
        self
    }

    pub(super) fn step(mut self, step: impl Into<String>, runbook: &'static str) -> Self {
        (self.next_step, self.runbook) = (Some(step.into()), Some(runbook));
        self
    }
}
