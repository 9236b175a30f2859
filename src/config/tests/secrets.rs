//! Tests that secrets are used and never shown.

use std::io::Write;

use tempfile::NamedTempFile;

use super::{load, load_only};
use crate::config::{Config, Secret, read_secret_file};

fn file(content: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(content).unwrap();
    file
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}

/// Returns every text form of a configuration.
fn rendered(config: &Config) -> String {
    let settings: Vec<_> = config.effective().collect();
    let kafka: Vec<_> = config.kafka.effective().collect();
    format!("{config:?} {config:#?} {settings:?} {kafka:?} {:?} {:?}", config.apps, config.kafka)
}

#[test]
fn a_secret_hides_its_text() {
    let secret = Secret::new("hunter2");
    assert_eq!(format!("{secret} {secret:?} {secret:#?}"), "*** *** ***");
    assert_eq!(secret.expose(), "hunter2");
}

#[test]
fn no_secret_is_in_any_rendering_of_a_configuration() {
    let config = load(&[
        ("BRIDGE_APPS", "1400000001:hunter2"),
        ("KAFKA_SASL_USERNAME", "bridge"),
        ("KAFKA_SASL_PASSWORD", "hunter2"),
        ("KAFKA_SSL_KEY_PASSWORD", "hunter2"),
        ("KAFKA_SSL_KEYSTORE_PASSWORD", "hunter2"),
        ("KAFKA_SASL_OAUTHBEARER_CONFIG", "principal=hunter2"),
    ])
    .unwrap();
    let shown = rendered(&config);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("sasl.password") && shown.contains("bridge"), "{shown}");
    assert_eq!(config.kafka.client_config().get("sasl.password"), Some("hunter2"));
}

#[test]
fn errors_contain_no_secret() {
    let errors = load_only(&[
        ("BRIDGE_APPS", "1400000001:hunter2"),
        ("BRIDGE_APPS_FILE", "/nowhere"),
        ("BRIDGE_APP", "1400000001:hunter2"),
        ("KAFKA_SASL_PASWORD", "hunter2"),
        ("KAFKA_SASL_JAAS_CONFIG", "PlainLoginModule required password=hunter2;"),
        ("KAFKA_SASL_PASSWORD", "hunter2\0"),
        ("KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET", "hunter2"),
        ("KAFKA_SSL_KEY_PEM", "hunter2"),
        ("KAFKA_BOOTSTRAP_SERVERS", "http://user:hunter2@kafka:9092"),
    ])
    .unwrap_err();
    for shown in [errors.to_string(), format!("{errors:?}")] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    assert!(errors.len() >= 6, "{errors}");

    // Only creating a client detects an invalid key.
    let errors = load(&[("KAFKA_SECURITY_PROTOCOL", "ssl"), ("KAFKA_SSL_KEY_PEM", "hunter2")]);
    let shown = errors.unwrap_err().to_string();
    assert!(shown.starts_with("KAFKA_SSL_KEY_PEM: ") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn secrets_are_read_from_files_without_their_line_end() {
    let apps = file(b"1400000001:hunter2\n1400000002:other\n");
    let password = file(b" pass word \r\n");
    let key = file(b"no line end");
    let config = load_only(&[
        ("BRIDGE_APPS_FILE", path(&apps)),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka"),
        ("KAFKA_SASL_PASSWORD_FILE", path(&password)),
        ("KAFKA_SSL_KEY_PASSWORD_FILE", path(&key)),
        ("KAFKA_SSL_KEYSTORE_PASSWORD_FILE", path(&key)),
    ])
    .unwrap();
    assert_eq!(config.apps.ids().collect::<Vec<_>>(), [1_400_000_001, 1_400_000_002]);
    assert_eq!(config.apps_file.as_deref(), Some(apps.path()));
    let kafka = config.kafka.client_config();
    assert_eq!(kafka.get("sasl.password"), Some(" pass word "));
    assert_eq!(kafka.get("ssl.key.password"), Some("no line end"));
    assert_eq!(kafka.get("ssl.keystore.password"), Some("no line end"));
    assert!(!rendered(&config).contains("hunter2"));
    let shown = config.effective().find(|s| s.name == "BRIDGE_APPS_FILE").unwrap();
    assert_eq!((shown.value.as_str(), shown.is_default), (path(&apps), false));
}

#[test]
fn setting_a_value_and_its_file_is_an_error() {
    let secret = file(b"hunter2");
    let both = [
        ("BRIDGE_APPS", "BRIDGE_APPS_FILE"),
        ("KAFKA_SASL_PASSWORD", "KAFKA_SASL_PASSWORD_FILE"),
        ("KAFKA_SSL_KEY_PASSWORD", "KAFKA_SSL_KEY_PASSWORD_FILE"),
        ("KAFKA_SSL_KEYSTORE_PASSWORD", "KAFKA_SSL_KEYSTORE_PASSWORD_FILE"),
    ];
    for (name, file_name) in both {
        let shown = load(&[(name, "1:x"), (file_name, path(&secret))]).unwrap_err().to_string();
        let expected = format!("{name}: is set together with {file_name}; keep one of the two");
        assert_eq!(shown, expected);
    }
}

#[test]
fn an_unusable_file_is_an_error_with_variable_path_and_reason() {
    let empty = file(b"\n");
    let binary = file(b"\xff\xfe");
    let large = file(&vec![b'x'; 1024 * 1024 + 1]);
    for (path, reason) in [
        ("/nowhere/at/all", "No such file"),
        ("/", "cannot be read"),
        (path(&empty), "is empty"),
        (path(&binary), "is not UTF-8"),
        (path(&large), "is larger than 1 MiB"),
    ] {
        let shown =
            load_only(&[("BRIDGE_APPS_FILE", path), ("KAFKA_BOOTSTRAP_SERVERS", "kafka")]).unwrap_err().to_string();
        assert_eq!(shown.lines().count(), 1, "{shown}");
        assert!(shown.starts_with(&format!("BRIDGE_APPS_FILE: {path} ")), "{shown}");
        assert!(shown.contains(reason), "{shown}");
    }
    assert!(read_secret_file("BRIDGE_APPS_FILE", large.path()).is_err());
}
