//! Checks of a broker without publishing, for `check-config`.

use rdkafka::ClientConfig;
use uuid::Uuid;

use super::errors::StepError;
use super::producer::Producer;
use super::slowness::Slowness;
use super::topic::Topic;
use super::verify_reason;

/// Returns the number of brokers.
///
/// # Errors
/// No broker is reachable, or the credentials are rejected.
pub fn brokers(config: &ClientConfig) -> Result<usize, StepError> {
    Topic::new(config, "")?.brokers().map_err(|error| verify_reason::explain(config, error))
}

/// Returns the number of partitions of a topic; `None` if the topic does not exist.
///
/// # Errors
/// The broker is unreachable or refuses the request.
pub fn partitions(config: &ClientConfig, topic: &str) -> Result<Option<usize>, StepError> {
    match Topic::new(config, topic)?.offsets(None) {
        Ok(offsets) => Ok(Some(offsets.len())),
        Err(error) if error.kind == "unknown_topic" => Ok(None),
        Err(error) => Err(error),
    }
}

/// Checks that the broker accepts the producer that `serve` uses: with transactions under the bridge's prefix,
/// otherwise with a producer id. Writes nothing.
///
/// # Errors
/// The broker does not accept it; the error names the setting to change.
pub fn producer(config: &ClientConfig, topic: &str, transactional: bool) -> Result<(), StepError> {
    let id = transactional.then(|| format!("recall-bridge.{}", Uuid::nil()));
    Producer::connect(config, topic, id.as_deref(), Slowness::default()).map(drop)
}
