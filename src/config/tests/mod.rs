//! What the configuration promises.

mod faults;
mod kafka;
mod names;
mod secrets;
mod servers;
mod table;

use super::{Config, Faults};

/// The least that is complete.
const LEAST: &[(&str, &str)] = &[("BRIDGE_APPS", "1400000001:xxxxyyyy"), ("KAFKA_BOOTSTRAP_SERVERS", "kafka-1:9092")];

/// Loads the least configuration with some variables changed or added.
fn load(vars: &[(&str, &str)]) -> Result<Config, Faults> {
    let least = LEAST.iter().filter(|(name, _)| vars.iter().all(|(other, _)| other != name));
    load_only(&least.chain(vars).copied().collect::<Vec<_>>())
}

/// Loads exactly these variables.
fn load_only(vars: &[(&str, &str)]) -> Result<Config, Faults> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Config::load(vars.iter().map(owned))
}

/// The only fault of one variable added to the least configuration, as shown.
fn fault(name: &str, value: &str) -> String {
    let faults = load(&[(name, value)]).expect_err(name);
    assert_eq!(faults.len(), 1, "{faults}");
    assert_eq!(faults.iter().next().unwrap().name(), name, "{faults}");
    faults.to_string()
}
