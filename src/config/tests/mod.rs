//! What the configuration promises.

mod errors;
mod kafka;
mod names;
mod secrets;
mod servers;
mod table;

use super::{Config, ConfigErrors};

/// The least that is complete.
const LEAST: &[(&str, &str)] = &[("BRIDGE_APPS", "1400000001:xxxxyyyy"), ("KAFKA_BOOTSTRAP_SERVERS", "kafka-1:9092")];

/// Loads the least configuration with some variables changed or added.
fn load(vars: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let least = LEAST.iter().filter(|(name, _)| vars.iter().all(|(other, _)| other != name));
    load_only(&least.chain(vars).copied().collect::<Vec<_>>())
}

/// Loads exactly these variables.
fn load_only(vars: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Config::load(vars.iter().map(owned))
}

/// The only error of one variable added to the least configuration, as shown.
fn error_of(name: &str, value: &str) -> String {
    let errors = load(&[(name, value)]).expect_err(name);
    assert_eq!(errors.len(), 1, "{errors}");
    assert_eq!(errors.iter().next().unwrap().name(), name, "{errors}");
    errors.to_string()
}
