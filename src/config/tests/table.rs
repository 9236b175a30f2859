//! Tests every variable of the table: its default, a valid value, invalid values.

use std::time::Duration;

use super::{error_of, load};
use crate::config::{AckAfter, Delivery, LogFormat, SpoolFailure, VARIABLES, Values};

#[test]
fn unset_variables_have_their_defaults() {
    let config = load(&[]).unwrap();
    assert_eq!(config.apps.ids().collect::<Vec<_>>(), [1_400_000_001]);
    assert_eq!(config.apps_file, None);
    assert!(!config.allow_unsigned);
    assert_eq!(config.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(config.ops_listen.to_string(), "127.0.0.1:9100");
    assert_eq!(config.webhook_path, "/");
    assert_eq!(config.max_body_bytes, 65_536);
    assert_eq!(config.request_time_window_seconds, 60);
    assert_eq!(config.ack_timeout, Duration::from_millis(1500));
    assert_eq!(config.ack_after, AckAfter::Spooled);
    assert_eq!(config.spool_failure, SpoolFailure::Refuse);
    assert_eq!(config.spool_dir.to_str(), Some("./spool"));
    assert_eq!(config.spool_max_bytes, 1_073_741_824);
    assert_eq!(config.quarantine_max_bytes, 67_108_864);
    assert_eq!(config.dedup_window, Duration::from_secs(600));
    assert_eq!(config.topic, "official-account.recalls");
    assert!(!config.topic_create);
    assert_eq!(config.topic_partitions, 6);
    assert_eq!(config.topic_replication, 3);
    assert_eq!(config.delivery, Delivery::ExactlyOnce);
    assert_eq!(config.shutdown_grace, Duration::from_secs(20));
    assert_eq!(config.log, "info");
    assert_eq!(config.log_format, None);
    let cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!(config.workers, cores.min(512));
    assert_eq!(config.kafka.bootstrap_servers(), "kafka-1:9092");
}

/// A valid value for each variable, different from the default, in the form that `effective` shows.
const GOOD: &[(&str, &str)] = &[
    ("BRIDGE_ALLOW_UNSIGNED", "true"),
    ("BRIDGE_LISTEN", "[::]:0"),
    ("BRIDGE_OPS_LISTEN", "0.0.0.0:9100"),
    ("BRIDGE_OPS_ACTIONS", "true"),
    ("BRIDGE_WEBHOOK_PATH", "/tencent/recalls%20x"),
    ("BRIDGE_MAX_BODY_BYTES", "1024"),
    ("BRIDGE_KEEP_ALIVE_SECONDS", "620"),
    ("BRIDGE_REQUEST_TIME_WINDOW_SECONDS", "86400"),
    ("BRIDGE_ACK_TIMEOUT_MS", "50"),
    ("BRIDGE_ACK_AFTER", "published"),
    ("BRIDGE_SPOOL_DIR", "/var/lib/recall-bridge"),
    ("BRIDGE_SPOOL_MAX_BYTES", "1048576"),
    ("BRIDGE_QUARANTINE_MAX_BYTES", "65536"),
    ("BRIDGE_SPOOL_FAILURE", "publish"),
    ("BRIDGE_DEDUP_WINDOW_SECONDS", "0"),
    ("BRIDGE_TOPIC", "recalls_v2.eu-1"),
    ("BRIDGE_TOPIC_CREATE", "true"),
    ("BRIDGE_TOPIC_PARTITIONS", "1"),
    ("BRIDGE_TOPIC_REPLICATION", "1"),
    ("BRIDGE_DELIVERY", "at_least_once"),
    ("BRIDGE_DRAIN_SECONDS", "0"),
    ("BRIDGE_SHUTDOWN_GRACE_SECONDS", "0"),
    ("BRIDGE_LOG", "warn,librdkafka=debug"),
    ("BRIDGE_LOG_FORMAT", "text"),
    ("BRIDGE_WORKERS", "512"),
];

#[test]
fn every_variable_accepts_a_valid_value_and_shows_it_as_given() {
    let config = load(GOOD).unwrap();
    let settings: Vec<_> = config.effective().collect();
    for (name, value) in GOOD {
        let setting = settings.iter().find(|s| s.name == *name).expect(name);
        assert_eq!(setting.value, *value, "{name}");
        assert!(!setting.is_default, "{name}");
    }
    assert_eq!(config.delivery, Delivery::AtLeastOnce);
    assert_eq!(config.log_format, Some(LogFormat::Text));
    assert_eq!(config.ack_timeout, Duration::from_millis(50));
    assert_eq!(config.shutdown_grace, Duration::ZERO);
    assert_eq!(config.dedup_window, Duration::ZERO);
    assert_eq!(config.ack_after, AckAfter::Published);
    assert_eq!(config.spool_failure, SpoolFailure::Publish);

    let defaults = load(&[]).unwrap();
    assert_eq!(defaults.effective().count(), GOOD.len() + 1, "GOOD lacks a row");
    assert!(defaults.effective().all(|s| s.is_default == (s.name != "BRIDGE_APPS")));
}

/// Invalid values for each variable, and a part of the error.
const BAD: &[(&str, &[&str], &str)] = &[
    ("BRIDGE_ALLOW_UNSIGNED", &["yes", "1", "True"], "write true or false"),
    ("BRIDGE_LISTEN", &["8080", ":8080", "localhost:8080"], "for example 0.0.0.0:8080"),
    ("BRIDGE_OPS_LISTEN", &["9100", "127.0.0.1"], "for example 127.0.0.1:9100"),
    ("BRIDGE_OPS_LISTEN", &["127.0.0.1:8080"], "its own port"),
    ("BRIDGE_WEBHOOK_PATH", &["hook", "/a?b", "/a#b", "/a b", "/ä"], "write a path"),
    ("BRIDGE_TLS_CLIENT_CA", &["/ca.crt"], "name a certificate in BRIDGE_TLS_CERT"),
    ("BRIDGE_MAX_BODY_BYTES", &["64k", "-1", "+1", " 1024"], "digits only"),
    ("BRIDGE_MAX_BODY_BYTES", &["1023", "16777217"], "1024 to 16777216 bytes"),
    ("BRIDGE_KEEP_ALIVE_SECONDS", &["0", "3601"], "1 to 3600 seconds"),
    ("BRIDGE_REQUEST_TIME_WINDOW_SECONDS", &["0", "86401"], "1 to 86400 seconds"),
    ("BRIDGE_ACK_TIMEOUT_MS", &["49", "10001"], "50 to 10000 milliseconds"),
    ("BRIDGE_SPOOL_MAX_BYTES", &["1048575", "99999999999999999999"], "outside 1048576"),
    ("BRIDGE_QUARANTINE_MAX_BYTES", &["65535"], "outside 65536"),
    ("BRIDGE_ACK_AFTER", &["kafka", "Published"], "write spooled or published"),
    ("BRIDGE_SPOOL_FAILURE", &["ignore"], "write refuse or publish"),
    ("BRIDGE_DEDUP_WINDOW_SECONDS", &["86401"], "0 to 86400 seconds"),
    ("BRIDGE_DEDUP_WINDOW_SECONDS", &["10m", "off"], "not a whole number of seconds"),
    ("BRIDGE_TOPIC", &["a b", ".", "..", "recalls/eu", "é"], "1 to 249 of"),
    ("BRIDGE_TOPIC_CREATE", &["on"], "write true or false"),
    ("BRIDGE_OPS_ACTIONS", &["1"], "write true or false"),
    ("BRIDGE_TOPIC_PARTITIONS", &["0", "100001"], "1 to 100000 partitions"),
    ("BRIDGE_TOPIC_REPLICATION", &["0", "32768"], "1 to 32767 replicas"),
    ("BRIDGE_DELIVERY", &["exactly-once"], "write exactly_once or at_least_once"),
    ("BRIDGE_DRAIN_SECONDS", &["301"], "0 to 300 seconds"),
    ("BRIDGE_SHUTDOWN_GRACE_SECONDS", &["3601"], "0 to 3600 seconds"),
    ("BRIDGE_SHUTDOWN_GRACE_SECONDS", &["20s"], "not a whole number of seconds"),
    ("BRIDGE_LOG", &["verbose", "warning", "info,a=b=c", "info,[span]=debug"], "write error, warn, info"),
    ("BRIDGE_LOG_FORMAT", &["logfmt"], "write json or text"),
    ("BRIDGE_WORKERS", &["0", "513", "1024"], "1 to 512 threads"),
];

#[test]
fn every_variable_refuses_invalid_values_and_names_the_fix() {
    for (name, values, says) in BAD {
        for value in *values {
            let shown = error_of(name, value);
            assert!(shown.contains(says), "{shown}");
        }
    }
    let longest = "t".repeat(249);
    assert!(load(&[("BRIDGE_TOPIC", &longest)]).is_ok());
    assert!(error_of("BRIDGE_TOPIC", &format!("{longest}t")).contains('…'));
}

#[test]
fn the_document_has_the_row_of_every_variable() {
    let document = include_str!("../../../docs/configuration.md");
    let rows: Vec<&str> = document.lines().filter(|line| line.starts_with("| `BRIDGE_")).collect();
    let expected: Vec<String> = VARIABLES.iter().map(|variable| variable.document_row()).collect();
    assert!(rows == expected, "docs/configuration.md has to have these rows:\n{}", expected.join("\n"));
}

#[test]
fn every_word_of_the_table_is_accepted() {
    for variable in VARIABLES {
        if let Values::Words(words) = variable.values {
            for word in words {
                let shown = load(&[(variable.name, word)]).unwrap();
                let setting = shown.effective().find(|setting| setting.name == variable.name).unwrap();
                assert_eq!((setting.value.as_str(), setting.is_default), (*word, false));
            }
        }
    }
}
