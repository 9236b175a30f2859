//! Tests of variables of other programs in the environment, and of truncated values.

use crate::bridge::Setup;
use crate::cli::{expect, stderr, stdout};
use crate::mock::Kafka;

#[test]
fn variables_of_kafkas_scripts_and_kubernetes_stop_no_command() {
    let kafka = Kafka::start();
    let foreign = [
        ("KAFKA_HOME", "/opt/kafka"),
        ("KAFKA_OPTS", "-Dx=y"),
        ("KAFKA_HEAP_OPTS", "-Xmx1G"),
        ("KAFKA_LOG4J_OPTS", "-Dlog4j=x"),
        ("KAFKA_JVM_PERFORMANCE_OPTS", "-server"),
        ("KAFKA_GC_LOG_OPTS", "-Xlog"),
        ("KAFKA_JMX_OPTS", "-Dcom"),
        ("KAFKA_JMX_PORT", "9999"),
        ("KAFKA_CLUSTER_ID", "x"),
        ("KAFKA_DEBUG", "y"),
        ("KAFKA_PORT", "tcp://10.0.0.1:9092"),
        ("KAFKA_PORT_9092_TCP_ADDR", "10.0.0.1"),
        ("KAFKA_SERVICE_HOST", "10.0.0.1"),
        ("BRIDGE_PORT", "tcp://10.0.0.2:8080"),
    ];
    let setup = foreign.iter().fold(kafka.setup(), |setup, (name, value)| setup.env(name, value));
    let bridge = setup.start();
    bridge.process.wait_for_line("variables_ignored");
    let ask = setup.clone().env("BRIDGE_OPS_LISTEN", bridge.ops_address());
    for args in [["health"].as_slice(), &["tail", "--from", "beginning", "--until-end"], &["check-config"]] {
        expect(&ask.run(args), 0);
    }
    // A misspelled property is still an error.
    expect(&setup.env("KAFKA_BOOTSTRAP_SERVER", "x:1").run(&["check-config"]), 78);
}

#[test]
fn check_config_shows_the_length_of_a_token_only() {
    let setup = Setup::new("127.0.0.1:1").env("BRIDGE_APPS", "1400000001:ab$cd|a-longer-token,1400000002:x");
    let output = setup.run(&["check-config", "--offline"]);
    expect(&output, 0);
    let said = stderr(&output);
    assert!(said.contains("1400000001: token with 5 characters, token with 14 characters"), "{said}");
    assert!(said.contains("1400000002: token with 1 characters"), "{said}");
    assert!(!said.contains("ab$cd") && !stdout(&output).contains("ab$cd"));
    let json = setup.run(&["check-config", "--offline", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&stdout(&json)).unwrap();
    assert_eq!(json["apps"][0], serde_json::json!({ "sdk_app_id": 1_400_000_001, "token_characters": [5, 14] }));
}

#[test]
fn the_placeholder_of_the_examples_is_refused_as_a_token() {
    for token in ["change-me", "CHANGE_ME", "changeme", "real|change-me"] {
        let setup = Setup::new("127.0.0.1:1").env("BRIDGE_APPS", format!("1400000001:{token}"));
        for args in [["serve"].as_slice(), &["check-config", "--offline"]] {
            let output = setup.run(args);
            expect(&output, 78);
            assert!(stderr(&output).contains("placeholder"), "{token}: {output:?}");
        }
    }
    let setup = Setup::new("127.0.0.1:1").env("BRIDGE_APPS", "1400000001:change-me-1");
    expect(&setup.run(&["check-config", "--offline"]), 0);
}
