//! Tests of the configuration.

mod errors;
mod kafka;
mod names;
mod secrets;
mod servers;
mod table;

use super::{Config, ConfigErrors};

/// The smallest valid configuration.
const LEAST: &[(&str, &str)] = &[("BRIDGE_APPS", "1400000001:xxxxyyyy"), ("KAFKA_BOOTSTRAP_SERVERS", "kafka-1:9092")];

/// Loads the smallest configuration with changed or added variables.
fn load(vars: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let least = LEAST.iter().filter(|(name, _)| vars.iter().all(|(other, _)| other != name));
    load_only(&least.chain(vars).copied().collect::<Vec<_>>())
}

/// Loads exactly these variables.
fn load_only(vars: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Config::load(vars.iter().map(owned))
}

/// Returns the text of the only error after one variable was added to the smallest configuration.
fn error_of(name: &str, value: &str) -> String {
    let errors = load(&[(name, value)]).expect_err(name);
    assert_eq!(errors.len(), 1, "{errors}");
    assert_eq!(errors.iter().next().unwrap().name(), name, "{errors}");
    errors.to_string()
}
