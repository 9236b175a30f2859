//! The state of the publisher, shared with `/status`, `/readyz` and the metrics.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use crate::clock;

/// The activity of the publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KafkaState {
    /// Connecting for the first time, or again.
    Connecting,
    /// Reconciling with the topic; only publishing waits.
    ReadingBack,
    /// Publishing, or waiting for events.
    Ready,
    /// The last attempt failed; the publisher retries.
    Failing,
    /// The process is shutting down.
    Stopped,
}

/// The last error of the publisher.
#[derive(Debug, Clone, Serialize)]
pub struct LastError {
    /// A label value of `kafka_errors_total{kind}`.
    pub kind: &'static str,
    /// The error text.
    pub text: String,
    /// The time of the error, in UNIX milliseconds.
    pub at_ms: i64,
    /// The same time in ISO 8601.
    pub at: String,
    /// The change that an operator must make, if no retry can fix the error.
    pub needs_you: Option<&'static str>,
}

/// A snapshot of the state.
#[derive(Debug, Clone, Serialize)]
pub struct KafkaStatus {
    /// The activity of the publisher.
    pub state: KafkaState,
    /// Whether the publisher has been ready since the start of the process.
    pub connected: bool,
    /// Since when the publisher has been failing, in ISO 8601; `None` if its last step succeeded.
    pub failing_since: Option<String>,
    /// The same time in UNIX milliseconds.
    #[serde(skip)]
    pub failing_since_ms: Option<i64>,
    /// The last error, kept after recovery.
    pub last_error: Option<LastError>,
}

/// The shared cell.
#[derive(Debug, Clone)]
pub struct KafkaCell(Arc<Mutex<KafkaStatus>>);

impl Default for KafkaCell {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(KafkaStatus {
            state: KafkaState::Connecting,
            connected: false,
            failing_since: None,
            failing_since_ms: None,
            last_error: None,
        })))
    }
}

impl KafkaCell {
    /// Returns the current state.
    pub fn get(&self) -> KafkaStatus {
        self.0.lock().clone()
    }

    /// Sets the state and returns the previous one.
    pub fn set(&self, state: KafkaState) -> KafkaState {
        let mut status = self.0.lock();
        if state == KafkaState::Ready {
            status.connected = true;
        }
        (status.failing_since, status.failing_since_ms) = (None, None);
        std::mem::replace(&mut status.state, state)
    }

    /// Stores an error and returns the previous state.
    pub fn fail(&self, kind: &'static str, text: String, needs_you: Option<&'static str>) -> KafkaState {
        let at_ms = clock::now_ms();
        let at = clock::iso8601(at_ms);
        let mut status = self.0.lock();
        if status.failing_since_ms.is_none() {
            (status.failing_since, status.failing_since_ms) = (Some(at.clone()), Some(at_ms));
        }
        status.last_error = Some(LastError { kind, text, at_ms, at, needs_you });
        std::mem::replace(&mut status.state, KafkaState::Failing)
    }
}
