//! Tests of the reported errors, and of empty values.

use super::{error_of, load, load_only};
use crate::config::ConfigError;

#[test]
fn an_error_names_the_variable_the_problem_and_the_fix() {
    assert_eq!(
        error_of("BRIDGE_MAX_BODY_BYTES", "64k"),
        "BRIDGE_MAX_BODY_BYTES: \"64k\" is not a whole number of bytes; \
         write digits only, for example 65536"
    );
}

#[test]
fn all_errors_are_reported_at_once_one_per_line() {
    let errors = load_only(&[
        ("BRIDGE_ACK_TIMEOUT_MS", "soon"),
        ("BRIDGE_LISTEN", "everywhere"),
        ("BRIDGE_TOPICS", "x"),
        ("KAFKA_ACKS", "1"),
        ("KAFKA_LINGER_MS", "soon"),
        ("KAFKA_SASL_PASSWORD_FILE", "/nowhere/at/all"),
    ])
    .unwrap_err();
    let names: Vec<&str> = errors.iter().map(ConfigError::name).collect();
    assert_eq!(
        names,
        [
            "BRIDGE_TOPICS",
            "BRIDGE_APPS",
            "BRIDGE_LISTEN",
            "BRIDGE_ACK_TIMEOUT_MS",
            "KAFKA_SASL_PASSWORD_FILE",
            "KAFKA_ACKS",
            "KAFKA_LINGER_MS",
            "KAFKA_BOOTSTRAP_SERVERS",
        ]
    );
    let shown = errors.to_string();
    assert_eq!(shown.lines().count(), errors.len(), "{shown}");
}

#[test]
fn missing_required_variables_are_errors() {
    let shown = load_only(&[]).unwrap_err().to_string();
    assert!(shown.contains("BRIDGE_APPS: is not set; list your apps"), "{shown}");
    assert!(shown.contains("KAFKA_BOOTSTRAP_SERVERS: is not set; name the brokers"), "{shown}");
    assert_eq!(shown.lines().count(), 2, "{shown}");
}

#[test]
fn an_empty_value_counts_as_not_set() {
    let config = load(&[
        ("BRIDGE_APPS_FILE", ""),
        ("BRIDGE_LISTEN", ""),
        ("BRIDGE_TLS_CERT", ""),
        ("BRIDGE_NO_SUCH", ""),
        ("KAFKA_ACKS", ""),
        ("KAFKA_NO_SUCH", ""),
        ("KAFKA_SASL_PASSWORD", ""),
    ])
    .unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:8080");
    assert!(config.effective().all(|s| s.is_default || s.name == "BRIDGE_APPS"));
    assert_eq!(load(&[("BRIDGE_APPS", "")]).unwrap_err().len(), 1);
}
