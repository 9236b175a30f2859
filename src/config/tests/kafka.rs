//! Tests of `KAFKA_…` variables as librdkafka's properties.

use std::collections::BTreeMap;

use super::super::kafka_names::{FROM_FILE, is_known, property, variable};
use super::{error_of, load};

/// Returns the properties in effect after variables were added.
fn effective(vars: &[(&str, &str)]) -> BTreeMap<String, String> {
    let config = load(vars).unwrap();
    let owned = |(name, value): (&str, String)| (name.to_owned(), value);
    config.kafka.effective().map(owned).collect()
}

#[test]
fn user_properties_have_priority_over_the_bridges_defaults() {
    let kafka = effective(&[]);
    for (name, value) in [
        ("bootstrap.servers", "kafka-1:9092"),
        ("client.id", "recall-bridge"),
        ("compression.type", "gzip"),
        ("compression.level", "1"),
        ("linger.ms", "0"),
        ("reconnect.backoff.max.ms", "1000"),
        ("reconnect.backoff.ms", "50"),
        ("socket.keepalive.enable", "true"),
    ] {
        assert_eq!(kafka.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(kafka.len(), 8);

    let kafka = effective(&[("KAFKA_CLIENT_ID", "mine"), ("KAFKA_COMPRESSION_TYPE", "zstd")]);
    assert_eq!((kafka["client.id"].as_str(), kafka["compression.type"].as_str()), ("mine", "zstd"));
}

#[test]
fn tls_uses_the_systems_ca_certificates_unless_others_are_set() {
    for protocol in ["ssl", "SSL"] {
        assert_eq!(effective(&[("KAFKA_SECURITY_PROTOCOL", protocol)])["ssl.ca.location"], "probe");
    }
    assert!(!effective(&[("KAFKA_SECURITY_PROTOCOL", "plaintext")]).contains_key("ssl.ca.location"));
    let given = [("KAFKA_SECURITY_PROTOCOL", "ssl"), ("KAFKA_SSL_CA_LOCATION", "/dev/null")];
    // librdkafka also checks the file.
    assert!(load(&given).is_err() || effective(&given)["ssl.ca.location"] == "/dev/null");
}

#[test]
fn an_alias_replaces_the_default_of_its_property() {
    let kafka = effective(&[("KAFKA_COMPRESSION_CODEC", "gzip")]);
    assert_eq!(kafka["compression.codec"], "gzip");
    assert!(!kafka.contains_key("compression.type"));
    let kafka = effective(&[("KAFKA_QUEUE_BUFFERING_MAX_MS", "5")]);
    assert_eq!(kafka["queue.buffering.max.ms"], "5");
    assert!(!kafka.contains_key("linger.ms"));
}

#[test]
fn two_spellings_of_one_property_are_an_error() {
    let shown = load(&[("KAFKA_LINGER_MS", "1"), ("KAFKA_QUEUE_BUFFERING_MAX_MS", "2")]);
    let shown = shown.unwrap_err().to_string();
    assert!(shown.contains("is set together with KAFKA_LINGER_MS"), "{shown}");
    let shown = error_of("KAFKA_METADATA_BROKER_LIST", "kafka");
    assert!(shown.contains("is set together with KAFKA_BOOTSTRAP_SERVERS"), "{shown}");
}

#[test]
fn the_default_reconnect_waits_follow_the_users_values() {
    let kafka = effective(&[("KAFKA_RECONNECT_BACKOFF_MS", "3000")]);
    assert_eq!(kafka["reconnect.backoff.max.ms"], "3000");
    let kafka = effective(&[("KAFKA_RECONNECT_BACKOFF_MAX_MS", "20")]);
    assert_eq!(kafka["reconnect.backoff.ms"], "20");
}

#[test]
fn every_compression_is_built_in() {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        assert_eq!(effective(&[("KAFKA_COMPRESSION_TYPE", codec)])["compression.type"], codec);
    }
    assert!(!effective(&[("KAFKA_COMPRESSION_TYPE", "zstd")]).contains_key("compression.level"));
    let best = effective(&[("KAFKA_COMPRESSION_CODEC", "gzip"), ("KAFKA_COMPRESSION_LEVEL", "9")]);
    assert_eq!(best["compression.level"], "9");
    let shown = error_of("KAFKA_COMPRESSION_TYPE", "brotli");
    assert!(shown.contains("librdkafka rejects \"brotli\""), "{shown}");
}

#[test]
fn an_unknown_property_is_an_error() {
    for (name, near) in [("KAFKA_client_id", "KAFKA_CLIENT_ID"), ("KAFKA_TOPIC", "BRIDGE_TOPIC")] {
        let shown = error_of(name, "x");
        assert!(shown.ends_with(&format!("did you mean {near}?")), "{shown}");
    }
    let shown = error_of("KAFKA_SECURITY_PROTOCOLL", "x");
    assert!(shown.contains("has no property security.protocoll; remove it"), "{shown}");
}

#[test]
fn a_bad_value_is_an_error_with_librdkafkas_reason() {
    let shown = error_of("KAFKA_MESSAGE_MAX_BYTES", "1");
    assert!(shown.contains("rejects \"1\"") && shown.contains("1000..1000000000"), "{shown}");
    assert_eq!(shown.lines().count(), 1, "{shown}");
    let shown = error_of("KAFKA_SECURITY_PROTOCOL", "tls");
    assert!(shown.contains("see security.protocol in librdkafka's"), "{shown}");
}

#[test]
fn properties_that_the_bridge_sets_are_errors_with_a_reason() {
    for property in [
        "transactional.id",
        "transaction.timeout.ms",
        "enable.idempotence",
        "acks",
        "request.required.acks",
        "partitioner",
        "max.in.flight",
        "max.in.flight.requests.per.connection",
        "retries",
        "message.send.max.retries",
        "message.timeout.ms",
        "delivery.timeout.ms",
        "isolation.level",
        "group.id",
        "group.instance.id",
        "group.protocol",
        "enable.auto.commit",
        "auto.commit.enable",
        "enable.auto.offset.store",
        "auto.offset.reset",
        "enable.partition.eof",
        "statistics.interval.ms",
        "log.level",
        "plugin.library.paths",
        "test.mock.num.brokers",
    ] {
        let shown = error_of(&variable(property), "1");
        assert!(shown.contains(&format!("the bridge sets {property} itself: ")), "{shown}");
        assert!(shown.ends_with("; remove it"), "{shown}");
    }
}

#[test]
fn other_properties_are_passed_to_librdkafka() {
    let config = load(&[
        ("KAFKA_DEBUG", "broker,eos"),
        ("KAFKA_LINGER_MS", "0.5"),
        ("KAFKA_BATCH_SIZE", "1000"),
        ("KAFKA_BATCH_NUM_MESSAGES", "100"),
        ("KAFKA_MESSAGE_MAX_BYTES", "2000000"),
        ("KAFKA_SECURITY_PROTOCOL", "sasl_ssl"),
        ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
        ("KAFKA_SASL_USERNAME", "u"),
        ("KAFKA_SASL_PASSWORD", "p"),
    ])
    .unwrap();
    assert_eq!(config.kafka.client_config().get("linger.ms"), Some("0.5"));
    assert!(matches!(config.kafka.client_config().log_level, rdkafka::config::RDKafkaLogLevel::Debug));
}

#[test]
fn contradicting_properties_are_errors_at_load() {
    let shown = load(&[("KAFKA_RECONNECT_BACKOFF_MS", "500"), ("KAFKA_RECONNECT_BACKOFF_MAX_MS", "100")])
        .unwrap_err()
        .to_string();
    assert!(shown.starts_with("KAFKA_RECONNECT_BACKOFF_MAX_MS: "), "{shown}");
    let shown = load(&[("KAFKA_SECURITY_PROTOCOL", "ssl"), ("KAFKA_SSL_CA_LOCATION", "/nowhere/ca.pem")])
        .unwrap_err()
        .to_string();
    assert!(shown.starts_with("KAFKA_SSL_CA_LOCATION: "), "{shown}");
    // The missing password causes no second error: the error of its file explains it.
    let errors = load(&[
        ("KAFKA_SECURITY_PROTOCOL", "sasl_plaintext"),
        ("KAFKA_SASL_MECHANISM", "PLAIN"),
        ("KAFKA_SASL_USERNAME", "u"),
        ("KAFKA_SASL_PASSWORD_FILE", "/nowhere/at/all"),
    ])
    .unwrap_err();
    assert_eq!(errors.len(), 1, "{errors}");
}

#[test]
fn librdkafka_reports_its_properties() {
    for (_, property_of_file) in FROM_FILE {
        assert!(is_known(property_of_file), "{property_of_file}");
        assert_eq!(property(variable(property_of_file).strip_prefix("KAFKA_").unwrap()), *property_of_file);
    }
    assert!(is_known("bootstrap.servers") && is_known("sasl.username") && !is_known("topics"));
}
