//! Tests of the classification of names.

use super::super::names::{Kind, kind};
use super::super::variables::{Raw, VARIABLES};
use super::{error_of, load};
use crate::config::Config;

#[test]
fn every_variable_has_a_field_in_the_raw_environment() {
    let vars = VARIABLES.iter().map(|variable| (variable.name.to_owned(), "x".to_owned()));
    assert!(envy::prefixed("BRIDGE_").from_iter::<_, Raw>(vars).is_ok());
}

#[test]
fn an_unknown_name_is_an_error_with_the_nearest_known_name() {
    for (name, near) in [
        ("BRIDGE_TOPICS", "BRIDGE_TOPIC"),
        ("BRIDGE_topic", "BRIDGE_TOPIC"),
        ("BRIDGE_MAX_BODY", "BRIDGE_MAX_BODY_BYTES"),
        ("BRIDGE_SPOOL_DIRECTORY", "BRIDGE_SPOOL_DIR"),
        ("BRIDGE_LOGFORMAT", "BRIDGE_LOG_FORMAT"),
        ("BRIDGE_BOOTSTRAP_SERVERS", "KAFKA_BOOTSTRAP_SERVERS"),
        ("BRIDGE_KAFKA_SASL_USERNAME", "KAFKA_SASL_USERNAME"),
    ] {
        let shown = error_of(name, "a-value");
        assert!(shown.ends_with(&format!("did you mean {near}?")), "{shown}");
        assert!(!shown.contains("a-value"), "{shown}");
    }
}

#[test]
fn names_that_kubernetes_injects_are_ignored() {
    let injected = [
        "BRIDGE_SERVICE_HOST",
        "BRIDGE_SERVICE_PORT",
        "BRIDGE_SERVICE_PORT_WEBHOOK",
        "BRIDGE_PORT",
        "BRIDGE_PORT_8080_TCP",
        "BRIDGE_PORT_8080_TCP_PROTO",
        "BRIDGE_PORT_8080_TCP_PORT",
        "BRIDGE_PORT_8080_TCP_ADDR",
        "BRIDGE_INTERNAL_SERVICE_HOST",
        "BRIDGE_INTERNAL_PORT_9100_UDP_ADDR",
        "KAFKA_SERVICE_HOST",
        "KAFKA_SERVICE_PORT",
        "KAFKA_SERVICE_PORT_TCP_CLIENT",
        "KAFKA_PORT",
        "KAFKA_PORT_9092_TCP",
        "KAFKA_BROKER_0_PORT_9092_SCTP_ADDR",
    ];
    let vars: Vec<_> = injected.iter().map(|name| (*name, "tcp://10.0.0.1:1")).collect();
    let config = load(&vars).unwrap();
    let mut expected: Vec<_> = injected.to_vec();
    expected.sort_unstable();
    assert_eq!(config.ignored, expected);
}

#[test]
fn names_that_resemble_those_of_kubernetes_are_not_ignored() {
    for name in [
        "BRIDGE_PORTS",
        "BRIDGE_PORT_NUMBER",
        "BRIDGE_PORT_8080",
        "BRIDGE_PORT_8080_HTTP",
        "BRIDGE_PORT_8080_TCP_NAME",
        "BRIDGE_PORT_8080_TCP_ADDR_X",
        "BRIDGE_SERVICE_HOSTS",
    ] {
        assert_eq!(kind(name), Kind::UnknownBridge, "{name}");
    }
    assert_eq!(kind("KAFKA_PORT_9092_X"), Kind::Kafka);
    assert_eq!(kind("KAFKA_SASL_KERBEROS_SERVICE_NAME"), Kind::Kafka);
}

#[test]
fn names_of_kafkas_own_scripts_are_ignored() {
    let scripts = [
        "KAFKA_CLUSTER_ID",
        "KAFKA_DEBUG",
        "KAFKA_GC_LOG_OPTS",
        "KAFKA_HEAP_OPTS",
        "KAFKA_HOME",
        "KAFKA_JMX_HOSTNAME",
        "KAFKA_JMX_OPTS",
        "KAFKA_JVM_PERFORMANCE_OPTS",
        "KAFKA_LOG4J_OPTS",
        "KAFKA_OPTS",
    ];
    let vars: Vec<_> = scripts.iter().map(|name| (*name, "y")).collect();
    assert_eq!(load(&vars).unwrap().ignored, scripts);
    assert_eq!(load(&[("KAFKA_DEBUG", "broker,topic")]).unwrap().ignored, Vec::<String>::new());
}

#[test]
fn librdkafka_properties_are_not_classified_as_script_variables() {
    for property in ["bootstrap.servers", "client.id", "debug", "linger.ms", "sasl.username", "ssl.key.pem"] {
        let name = super::super::kafka_names::variable(property);
        assert_eq!(kind(&name), Kind::Kafka, "{name}");
    }
}

#[test]
fn foreign_names_and_test_suite_names_are_ignored() {
    let vars = [("PATH", "/bin"), ("BRIDGE_TEST_KAFKA", "x"), ("MY_BRIDGE_TOPIC", "x")];
    assert!(load(&vars).unwrap().ignored.is_empty());
}

#[cfg(unix)]
#[test]
fn only_bridge_variables_must_be_utf8() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let mut vars = vec![
        (bytes(b"PATH"), bytes(b"\xff")),
        (bytes(b"BRIDGE_SERVICE_HOST"), bytes(b"\xff")),
        (bytes(b"BRIDGE_APPS"), bytes(b"1:t")),
        (bytes(b"KAFKA_BOOTSTRAP_SERVERS"), bytes(b"k")),
    ];
    assert!(Config::from_os(vars.clone().into_iter()).is_ok());

    vars[2].1 = bytes(b"1:tok\xff");
    vars[3].1 = bytes(b"\xff");
    vars.push((bytes(b"BRIDGE_\xff"), bytes(b"x")));
    let shown = Config::from_os(vars.into_iter()).unwrap_err().to_string();
    assert_eq!(shown.lines().count(), 3, "{shown}");
    assert!(shown.lines().all(|line| line.contains(": is not UTF-8;")), "{shown}");
    assert!(!shown.contains("tok"), "{shown}");
}
