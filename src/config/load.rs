//! Reads the environment into a [`Config`], or returns all its errors.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::errors::{ConfigError, ConfigErrors};
use super::names::{self, Kind};
use super::read::read;
use super::settings::Config;
use super::values::VariableReader;
use super::variables::{BRIDGE, Raw};

/// Whether the environment of this process names brokers, for commands that can work without.
pub fn brokers_are_set() -> bool {
    let is_set = |name: String| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let names = ["KAFKA_BOOTSTRAP_SERVERS", "KAFKA_METADATA_BROKER_LIST"];
    names.iter().any(|name| is_set((*name).to_owned()) || is_set(format!("{name}_FILE")))
}

impl Config {
    /// Reads the environment of this process; see [`Config::load`].
    ///
    /// # Errors
    /// All errors. A variable of the bridge that is not UTF-8 is an error too.
    pub fn from_env() -> Result<Self, ConfigErrors> {
        Self::from_os(std::env::vars_os())
    }

    /// Like [`Config::from_env`], for a command that does not need all required variables. `spare` has substitutes. A
    /// substitute is used if neither the variable nor its `_FILE` variable is set.
    ///
    /// # Errors
    /// All errors of the set variables.
    pub fn from_env_with(spare: &[(&str, &str)]) -> Result<Self, ConfigErrors> {
        let is_set = |name: String| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let missing = spare.iter().filter(|(name, _)| !is_set((*name).to_owned()) && !is_set(format!("{name}_FILE")));
        let missing = missing.map(|&(name, value)| (OsString::from(name), OsString::from(value)));
        Self::from_os(std::env::vars_os().chain(missing))
    }

    pub(super) fn from_os(vars: impl Iterator<Item = (OsString, OsString)>) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let mut readable = Vec::new();
        for (name, value) in vars {
            let kind = names::kind(&name.to_string_lossy());
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => readable.push((name, value)),
                _ if matches!(kind, Kind::Foreign | Kind::Kubernetes | Kind::Scripts) => {}
                (name, _) => {
                    let name = name.unwrap_or_else(|name| name.to_string_lossy().into_owned());
                    errors.push(ConfigError::not_utf8(&name));
                }
            }
        }
        Self::load_after(readable.into_iter(), errors)
    }

    /// Reads the given variables. It ignores names without the prefixes `BRIDGE_` and `KAFKA_`, names that Kubernetes
    /// injects for a Service, those of Kafka's scripts, and `BRIDGE_TEST_…`. An empty value counts as not set.
    ///
    /// # Errors
    /// All errors at once.
    pub fn load(vars: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigErrors> {
        Self::load_after(vars, ConfigErrors::default())
    }

    fn load_after(
        vars: impl Iterator<Item = (String, String)>,
        mut errors: ConfigErrors,
    ) -> Result<Self, ConfigErrors> {
        let mut bridge = BTreeMap::new();
        let mut kafka = BTreeMap::new();
        let mut ignored = Vec::new();
        for (name, value) in vars.filter(|(_, value)| !value.is_empty()) {
            match names::kind(&name) {
                Kind::Foreign => {}
                Kind::Kubernetes | Kind::Scripts => ignored.push(name),
                Kind::Kafka if name == "KAFKA_DEBUG" && names::is_debug_of_scripts(&value) => ignored.push(name),
                Kind::Bridge => drop(bridge.insert(name, value)),
                Kind::Kafka => drop(kafka.insert(name, value)),
                Kind::UnknownBridge => errors.push(names::unknown(&name)),
            }
        }
        ignored.sort();

        let raw: Raw = envy::prefixed(BRIDGE).from_iter(bridge).unwrap_or_else(|error| {
            // Impossible while every field is an optional string.
            errors.push(ConfigError::new(format!("{BRIDGE}*"), error.to_string(), "report this as a defect"));
            Raw::default()
        });
        let config = read(kafka, VariableReader::new(&raw, errors))?;
        Ok(Config { ignored, ..config })
    }
}
