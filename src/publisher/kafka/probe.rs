//! Questions to a broker outside of publishing, for `check-config`.

use rdkafka::ClientConfig;
use uuid::Uuid;

use super::errors::Trouble;
use super::producer::Producer;
use super::slowness::Slowness;
use super::topic::Topic;
use super::verify_reason;

/// The number of brokers that there are.
///
/// # Errors
/// None of them can be reached, or lets nobody in by these credentials.
pub fn brokers(config: &ClientConfig) -> Result<usize, Trouble> {
    Topic::new(config, "")?.brokers().map_err(|trouble| verify_reason::explain(config, trouble))
}

/// The number of partitions of a topic; none where it is not there.
///
/// # Errors
/// The broker cannot be reached or refuses to tell.
pub fn partitions(config: &ClientConfig, topic: &str) -> Result<Option<usize>, Trouble> {
    match Topic::new(config, topic)?.offsets(None) {
        Ok(offsets) => Ok(Some(offsets.len())),
        Err(trouble) if trouble.kind == "unknown_topic" => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

/// Whether the broker takes the producer that `serve` uses: under the bridge's prefix with transactions,
/// without them with a producer id of its own. Nothing is written.
///
/// # Errors
/// It does not; the trouble says what to change.
pub fn producer(config: &ClientConfig, topic: &str, transactional: bool) -> Result<(), Trouble> {
    let id = transactional.then(|| format!("recall-bridge.{}", Uuid::nil()));
    Producer::connect(config, topic, id.as_deref(), Slowness::default()).map(drop)
}
