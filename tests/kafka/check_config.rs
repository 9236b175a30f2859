//! `check-config` warns of each wrong setting of a topic, and does not warn of correct settings.

use std::process::Output;

use serde_json::Value;

use crate::bridge::Setup;
use crate::broker::Broker;
use crate::scene;

fn setup(broker: &Broker, topic: &str) -> Setup {
    scene::quick(Setup::new(&broker.bootstrap())).env("BRIDGE_TOPIC", topic)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns the result, and the settings in its warnings.
#[track_caller]
fn check(setup: &Setup, code: i32) -> (Value, Vec<String>) {
    let output = setup.run(&["check-config", "--json"]);
    assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let warnings = all["warnings"].as_array().unwrap().clone();
    let named = warnings.iter().map(|warning| warning["setting"].as_str().unwrap().to_owned()).collect();
    for warning in &warnings {
        for part in ["value", "why", "fix"] {
            assert!(!warning[part].as_str().unwrap().is_empty(), "{warning}");
        }
        let line = stderr(&output);
        let line =
            line.lines().find(|line| line.starts_with("warning") && line.contains(warning["fix"].as_str().unwrap()));
        assert!(line.is_some_and(|line| line.contains(warning["setting"].as_str().unwrap())), "{warning}");
    }
    (all, named)
}

#[test]
fn a_topic_with_every_problem_gets_every_warning_and_its_fix_works() {
    let broker = Broker::shared();
    broker.create_topic(
        "every-fault",
        3,
        &[
            ("cleanup.policy", "compact,delete"),
            ("min.insync.replicas", "1"),
            ("unclean.leader.election.enable", "true"),
            ("retention.ms", "3600000"),
            ("message.timestamp.type", "CreateTime"),
            ("message.timestamp.before.max.ms", "3600000"),
            ("max.message.bytes", "100000"),
        ],
    );
    let setup = setup(broker, "every-fault");
    let (all, named) = check(&setup.clone().env("KAFKA_MESSAGE_MAX_BYTES", 120_000), 1);
    assert_eq!(
        named,
        [
            "cleanup.policy",
            "replication factor",
            "min.insync.replicas",
            "unclean.leader.election.enable",
            "retention.ms",
            "message.timestamp.before.max.ms",
            "max.message.bytes",
            "KAFKA_MESSAGE_MAX_BYTES",
            "KAFKA_BATCH_SIZE",
        ]
    );
    // The test applies each fix, except those for replicas: one broker cannot have more than one replica.
    let changes: Vec<(String, String)> = all["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|warning| warning["fix"].as_str()?.split_once(" --add-config ")?.1.split_once('='))
        .filter(|(name, _)| *name != "min.insync.replicas")
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(changes.len(), 5, "{changes:?}");
    let changes: Vec<(&str, &str)> = changes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    broker.alter_topic("every-fault", &changes);
    assert_eq!(check(&setup, 0).1, ["replication factor", "min.insync.replicas"]);
}

#[test]
fn more_replicas_in_sync_than_there_are_is_no_warning_but_a_fault() {
    let broker = Broker::shared();
    broker.create_topic("too-many-in-sync", 1, &[("min.insync.replicas", "2")]);
    let (all, _) = check(&setup(broker, "too-many-in-sync"), 75);
    assert!(all["problems"][0].as_str().unwrap().contains("min.insync.replicas=1"), "{all}");
}

#[test]
fn a_topic_created_by_the_bridge_warns_only_about_the_single_broker() {
    let broker = Broker::shared();
    broker.create_topic(
        "as-it-should-be",
        3,
        &[("message.timestamp.type", "LogAppendTime"), ("retention.ms", "604800000")],
    );
    let (all, named) = check(&setup(broker, "as-it-should-be"), 0);
    assert_eq!(named, ["replication factor", "min.insync.replicas"]);
    assert_eq!(all["problems"], Value::Array(Vec::new()));

    let absent = setup(broker, "not-there-yet").env("BRIDGE_TOPIC_CREATE", true);
    let (all, _) = check(&absent, 75);
    assert!(all["problems"][0].as_str().unwrap().contains("cannot be created"), "{all}");
}

#[test]
fn check_config_without_describe_rights_reports_this_and_succeeds() {
    let broker = Broker::start_with_acls(&[("bridge", "pa55-2f")]);
    broker.create_topic("guarded", 3, &[("cleanup.policy", "compact")]);
    broker.allow("bridge", &["Write", "Read", "Describe"], &["--topic", "guarded"]);
    let prefix = ["--transactional-id", "recall-bridge.", "--resource-pattern-type", "prefixed"];
    broker.allow("bridge", &["Write", "Describe"], &prefix);
    let setup = scene::quick(Setup::new(&broker.guarded()))
        .env("BRIDGE_TOPIC", "guarded")
        .env("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
        .env("KAFKA_SASL_MECHANISM", "PLAIN")
        .env("KAFKA_SASL_USERNAME", "bridge")
        .env("KAFKA_SASL_PASSWORD", "pa55-2f");
    let (_, named) = check(&setup, 0);
    // The metadata contains the replicas. The right to describe the topic is enough to read it.
    assert_eq!(named, ["replication factor"]);
    let said = stderr(&setup.run(&["check-config"]));
    assert!(said.contains("its settings cannot be read") && said.contains("DescribeConfigs"), "{said}");

    broker.allow("bridge", &["DescribeConfigs"], &["--topic", "guarded"]);
    let (all, named) = check(&setup, 1);
    assert!(named.contains(&"cleanup.policy".to_owned()));
    assert!(all["verdict"].as_str().unwrap().starts_with("NOT SAFE: "), "{all}");
}
