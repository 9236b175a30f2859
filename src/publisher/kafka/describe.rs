//! Reads the settings of a topic, for `check-config`.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;

use super::context::Context;
use super::errors::StepError;

const DOING: &str = "reading the topic's settings";
const TIMEOUT: Duration = Duration::from_secs(10);

/// The settings of a topic by their names, including the broker's defaults.
pub type Settings = BTreeMap<String, String>;

/// Returns the number of replicas of the partition with the fewest.
///
/// # Errors
/// The broker is unreachable, or refuses the request.
pub fn replicas(config: &ClientConfig, topic: &str) -> Result<usize, StepError> {
    let fault = |error: KafkaError| StepError::new("describing the topic", &error);
    let mut config = config.clone();
    config.set("allow.auto.create.topics", "false");
    let client: BaseConsumer<Context> = config.create_with_context(Context::default()).map_err(fault)?;
    let metadata = client.fetch_metadata(Some(topic), TIMEOUT).map_err(fault)?;
    let partitions = metadata.topics().iter().flat_map(rdkafka::metadata::MetadataTopic::partitions);
    Ok(partitions.map(|partition| partition.replicas().len()).min().unwrap_or(0))
}

/// Returns the settings of the topic.
///
/// # Errors
/// The right `DescribeConfigs` on the topic is missing, or the broker does not support the request.
pub fn settings(config: &ClientConfig, topic: &str) -> Result<Settings, StepError> {
    let fault = |error: KafkaError| StepError::new(DOING, &error);
    let other = |text: String| StepError { kind: "other", doing: DOING, text };
    let admin: AdminClient<Context> = config.create_with_context(Context::default()).map_err(fault)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| other(error.to_string()))?;
    let resource = ResourceSpecifier::Topic(topic);
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let described = runtime.block_on(admin.describe_configs([&resource], &options)).map_err(fault)?;
    let described = described.into_iter().next().ok_or_else(|| other("empty response".to_owned()))?;
    let described = described.map_err(|code| fault(KafkaError::AdminOp(code)))?;
    // The client library returns a missing right as a response without settings.
    if described.entries.is_empty() {
        let text = "the broker returned no settings".to_owned();
        return Err(StepError { kind: "authorization", doing: DOING, text });
    }
    Ok(described.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect())
}
