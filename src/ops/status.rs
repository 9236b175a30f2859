//! The state of the Kafka side, shared between the publisher and those who ask.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde::Serialize;

/// What the publisher is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KafkaState {
    /// Connecting for the first time, or again.
    Connecting,
    /// Reading the topic back; only publishing waits.
    ReadingBack,
    /// Publishing, or waiting for something to publish.
    Ready,
    /// The last attempt failed; it goes on trying.
    Failing,
    /// The process is ending.
    Stopped,
}

/// The last thing that went wrong with Kafka.
#[derive(Debug, Clone, Serialize)]
pub struct LastError {
    /// A label value of `kafka_errors_total{kind}`.
    pub kind: &'static str,
    /// A sentence.
    pub text: String,
    /// When, in UNIX milliseconds.
    pub at_ms: i64,
    /// What a person has to change, where no retry ends it.
    pub needs_you: Option<&'static str>,
}

/// A snapshot.
#[derive(Debug, Clone, Serialize)]
pub struct KafkaStatus {
    /// What the publisher is doing.
    pub state: KafkaState,
    /// The last error, kept after recovery.
    pub last_error: Option<LastError>,
}

/// The shared cell.
#[derive(Debug, Clone)]
pub struct KafkaCell(Arc<Mutex<KafkaStatus>>);

impl Default for KafkaCell {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(KafkaStatus { state: KafkaState::Connecting, last_error: None })))
    }
}

impl KafkaCell {
    /// The present state.
    pub fn get(&self) -> KafkaStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the state and returns the one before.
    pub fn set(&self, state: KafkaState) -> KafkaState {
        std::mem::replace(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).state, state)
    }

    /// Notes an error; returns the state before.
    pub fn fail(&self, kind: &'static str, text: String, needs_you: Option<&'static str>) -> KafkaState {
        let mut status = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        status.last_error = Some(LastError { kind, text, at_ms: unix_ms(SystemTime::now()), needs_you });
        std::mem::replace(&mut status.state, KafkaState::Failing)
    }
}

/// Milliseconds since the UNIX epoch.
pub fn unix_ms(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
