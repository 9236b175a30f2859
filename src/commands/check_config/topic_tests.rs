use super::*;

const GOOD: &[(&str, &str)] = &[
    ("cleanup.policy", "delete"),
    ("max.message.bytes", "1048588"),
    ("message.timestamp.before.max.ms", "9223372036854775807"),
    ("message.timestamp.type", "CreateTime"),
    ("min.insync.replicas", "2"),
    ("retention.ms", "604800000"),
    ("unclean.leader.election.enable", "false"),
];

fn config(changes: &[(&str, &str)]) -> Config {
    let vars = [("BRIDGE_APPS", "1:token"), ("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092"), ("BRIDGE_TOPIC", "recalls")];
    let vars = vars.iter().chain(changes).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(vars).unwrap()
}

/// Returns the settings with a warning, and the problem.
fn judge(config: &Config, changes: &[(&str, &str)], replicas: usize) -> (Vec<&'static str>, Option<String>) {
    let settings = GOOD.iter().chain(changes).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let topic = TopicCheck { config, settings: &settings, replicas };
    let warnings = topic.warnings();
    for warning in &warnings {
        let line = warning.to_string();
        assert!(!line.contains('\n') && line.contains(warning.setting) && !warning.fix.is_empty(), "{line}");
    }
    (warnings.into_iter().map(|warning| warning.setting).collect(), topic.problem())
}

#[test]
fn a_good_topic_gives_no_warning() {
    assert_eq!(judge(&config(&[]), &[], 3), (vec![], None));
    let kept_for_ever = [("retention.ms", "-1"), ("message.timestamp.type", "LogAppendTime")];
    assert_eq!(judge(&config(&[]), &kept_for_ever, 2), (vec![], None));
}

#[test]
fn each_risky_setting_gives_exactly_its_own_warning() {
    for (name, value, setting) in [
        ("cleanup.policy", "compact", "cleanup.policy"),
        ("cleanup.policy", "compact,delete", "cleanup.policy"),
        ("min.insync.replicas", "1", "min.insync.replicas"),
        ("unclean.leader.election.enable", "true", "unclean.leader.election.enable"),
        ("retention.ms", "3600000", "retention.ms"),
        ("message.timestamp.before.max.ms", "3600000", "message.timestamp.before.max.ms"),
    ] {
        assert_eq!(judge(&config(&[]), &[(name, value)], 3), (vec![setting], None), "{name}={value}");
    }
    assert_eq!(judge(&config(&[]), &[], 1).0, ["replication factor"]);
    let at_append = [("message.timestamp.before.max.ms", "1"), ("message.timestamp.type", "LogAppendTime")];
    assert_eq!(judge(&config(&[]), &at_append, 3).0, Vec::<&str>::new());
}

#[test]
fn message_size_limits_below_the_largest_record_give_a_warning() {
    let needed = 2 * 65_536 + 2048;
    let small_batches = config(&[("KAFKA_BATCH_SIZE", "100000")]);
    let limit = |bytes: u64| judge(&small_batches, &[("max.message.bytes", &bytes.to_string())], 3).0;
    assert_eq!(limit(needed), Vec::<&str>::new());
    assert_eq!(limit(needed - 1), ["max.message.bytes"]);
    let here = config(&[("KAFKA_MESSAGE_MAX_BYTES", "100000")]);
    assert_eq!(judge(&here, &[], 3).0, ["KAFKA_MESSAGE_MAX_BYTES"]);
    let large = config(&[("BRIDGE_MAX_BODY_BYTES", "1000000")]);
    assert_eq!(judge(&large, &[], 3).0, ["max.message.bytes", "KAFKA_MESSAGE_MAX_BYTES"]);
    assert_eq!(judge(&config(&[]), &[("max.message.bytes", "500000")], 3).0, ["KAFKA_BATCH_SIZE"]);
}

#[test]
fn min_insync_replicas_above_the_replica_count_is_a_problem() {
    let (warnings, problem) = judge(&config(&[]), &[("min.insync.replicas", "3")], 2);
    assert_eq!(warnings, Vec::<&str>::new());
    assert!(problem.unwrap().contains("--add-config min.insync.replicas=2"));
}

#[test]
fn unknown_settings_give_no_warning() {
    let config = config(&[]);
    let topic = TopicCheck { config: &config, settings: &Settings::new(), replicas: 3 };
    assert_eq!((topic.warnings(), topic.problem()), (vec![], None));
}

#[test]
fn a_new_topic_needs_enough_brokers_and_more_than_one_replica() {
    let of = |replication: &str, brokers| look_ahead(&config(&[("BRIDGE_TOPIC_REPLICATION", replication)]), brokers);
    let impossible = of("3", 1);
    assert!(impossible.problems[0].contains("cannot be created") && impossible.warnings.is_empty());
    let single = of("1", 3);
    assert_eq!((single.warnings[0].severity, single.problems.len()), (Severity::Risky, 0));
    let good = of("3", 3);
    assert_eq!((good.warnings.len(), good.problems.len()), (0, 0));
}
