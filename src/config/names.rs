//! Classifies names of the environment, and suggests a name for a misspelled one.

use super::errors::ConfigError;
use super::kafka_names::{self, KAFKA};
use super::variables::{BRIDGE, VARIABLES, Variable};

/// The prefix of the test suite's variables. The bridge ignores them.
const TEST: &str = "BRIDGE_TEST_";

/// The class of a name in the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Another prefix, or a variable of the test suite.
    Foreign,
    /// A prefix of the bridge, but injected by Kubernetes for a Service.
    Kubernetes,
    /// A prefix of the bridge, but read by Kafka's scripts.
    Scripts,
    /// One of [`VARIABLES`].
    Bridge,
    /// The prefix `BRIDGE_`, but not a variable of the bridge.
    UnknownBridge,
    /// A property of librdkafka.
    Kafka,
}

/// Classifies a name.
pub(super) fn kind(name: &str) -> Kind {
    if Variable::named(name).is_some() {
        Kind::Bridge
    } else if name.starts_with(TEST) || !(name.starts_with(BRIDGE) || name.starts_with(KAFKA)) {
        Kind::Foreign
    } else if is_kubernetes(name) {
        Kind::Kubernetes
    } else if name.strip_prefix(KAFKA).is_some_and(is_for_scripts) {
        Kind::Scripts
    } else if name.starts_with(BRIDGE) {
        Kind::UnknownBridge
    } else {
        Kind::Kafka
    }
}

/// Whether Kafka's scripts and images read a variable with this rest of the name: JVM options, paths, version. No
/// property of librdkafka has such a name.
///
/// Source: `bin/kafka-run-class.sh` and `bin/*.sh` of Apache Kafka 4.1; the images of Apache, Confluent and Bitnami.
fn is_for_scripts(rest: &str) -> bool {
    const PREFIXES: [&str; 8] = ["JMX_", "LOG4J_", "GC_", "JVM_", "HEAP_", "CONNECT_", "MIRROR_MAKER_", "CFG_"];
    const NAMES: [&str; 11] = [
        "HOME",
        "CLASSPATH",
        "CLUSTER_ID",
        "VERSION",
        "LOG_DIR",
        "LOG_DIRS",
        "BASE_DIR",
        "CONF_DIR",
        "CONFIG_DIR",
        "DATA_DIR",
        "DEBUG_SUSPEND_FLAG",
    ];
    rest == "OPTS" || rest.ends_with("_OPTS") || NAMES.contains(&rest) || PREFIXES.iter().any(|p| rest.starts_with(p))
}

/// Whether a value of `KAFKA_DEBUG` is for Kafka's scripts, where it is a switch. For librdkafka it is a list of
/// debug contexts.
pub(super) fn is_debug_of_scripts(value: &str) -> bool {
    const WORDS: [&str; 10] = ["y", "yes", "true", "on", "1", "n", "no", "false", "off", "0"];
    WORDS.iter().any(|word| value.trim().eq_ignore_ascii_case(word))
}

/// Whether Kubernetes injects a name of this form for a Service with any name: `X_SERVICE_HOST`,
/// `X_SERVICE_PORT[_NAME]`, `X_PORT`, `X_PORT_<n>_<TCP|UDP|SCTP>[_PROTO|_PORT|_ADDR]`.
fn is_kubernetes(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || name.ends_with("_PORT")
        || name.match_indices("_PORT_").any(|(at, infix)| is_port_rest(&name[at + infix.len()..]))
}

/// Whether a text is `<n>_<protocol>`, optionally followed by `_PROTO`, `_PORT` or `_ADDR`.
fn is_port_rest(rest: &str) -> bool {
    let mut parts = rest.split('_');
    let number = parts.next().unwrap_or_default();
    let protocol = parts.next().unwrap_or_default();
    !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
        && ["TCP", "UDP", "SCTP"].contains(&protocol)
        && parts.next().is_none_or(|what| ["PROTO", "PORT", "ADDR"].contains(&what))
        && parts.next().is_none()
}

/// The error for an unknown `BRIDGE_` name. It suggests the most similar known name.
pub(super) fn unknown(name: &str) -> ConfigError {
    let fix = format!("did you mean {}?", nearest_bridge(name));
    ConfigError::new(name, "is not a variable of the bridge", fix)
}

/// Returns the variable of the bridge or of librdkafka that is most similar to an unknown `BRIDGE_` name.
fn nearest_bridge(name: &str) -> String {
    let rest = name.strip_prefix(BRIDGE).unwrap_or(name);
    let property = kafka_names::property(rest.strip_prefix(KAFKA).unwrap_or(rest));
    if kafka_names::is_known(&property) {
        return kafka_names::variable(&property);
    }
    let upper = name.to_ascii_uppercase();
    let likeness = |variable: &Variable| strsim::normalized_damerau_levenshtein(&upper, variable.name);
    let nearest = VARIABLES.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    nearest.map_or_else(String::new, |variable| variable.name.to_owned())
}

/// Returns the `BRIDGE_` variable for a name with the wrong prefix `KAFKA_`, if one exists.
pub(super) fn with_other_prefix(name: &str) -> Option<&'static str> {
    let rest = name.strip_prefix(KAFKA).unwrap_or(name);
    Variable::named(&format!("{BRIDGE}{rest}")).map(|variable| variable.name)
}
