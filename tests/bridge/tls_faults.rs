//! Every error in the files of `BRIDGE_TLS_…`, as `check-config` reports it.

use std::path::PathBuf;

use pkcs8::der::pem::LineEnding;
use pkcs8::{PrivateKeyInfo, SecretDocument};

use crate::bridge::Setup;
use crate::cli::{expect, stderr};
use crate::pki::{Authority, Time, write};
use crate::tls::{with_client_ca, with_tls};

/// A file that another suite's bridge may not have: each test has a home of its own.
fn setup() -> Setup {
    Setup::new("127.0.0.1:1")
}

/// The only fault that `serve` ends with, before anything is bound.
#[track_caller]
fn fault(setup: &Setup) -> String {
    let output = setup.run(&["serve"]);
    expect(&output, 78);
    let said = stderr(&output);
    assert!(said.contains("invalid configuration, 1 error(s)") && !said.contains("PRIVATE KEY-----"), "{said}");
    said
}

#[track_caller]
fn assert_fault(setup: &Setup, name: &str, says: &str) {
    let said = fault(setup);
    assert!(said.contains(&format!("\n{name}: ")) && said.contains(says), "{name}, {says}: {said}");
}

#[test]
fn each_fault_is_named_with_its_variable_and_its_fix() {
    let setup = setup();
    let authority = Authority::new("authority");
    let (mine, others) = (authority.issue("bridge", &["127.0.0.1"]), authority.issue("other", &[]));
    let good = with_tls(&setup, &mine);
    let file = |text: &str| -> PathBuf { write(setup.home(), &format!("{}.pem", text.len()), text) };
    let with = |name: &str, text: &str| good.clone().env(name, file(text).display());

    assert_fault(&good.clone().without("BRIDGE_TLS_KEY"), "BRIDGE_TLS_KEY", "is not set, but BRIDGE_TLS_CERT is");
    assert_fault(&good.clone().without("BRIDGE_TLS_CERT"), "BRIDGE_TLS_CERT", "is not set, but BRIDGE_TLS_KEY is");
    assert_fault(&setup.clone().env("BRIDGE_TLS_CLIENT_CA", "/ca"), "BRIDGE_TLS_CLIENT_CA", "name a certificate");
    for name in ["BRIDGE_TLS_CERT", "BRIDGE_TLS_KEY", "BRIDGE_TLS_CLIENT_CA"] {
        assert_fault(&good.clone().env(name, "/nowhere/x.pem"), name, "/nowhere/x.pem cannot be read");
        assert_fault(&good.clone().env(name, "/dev/zero"), name, "is larger than 1 MiB");
        assert_fault(&with(name, ""), name, "contains no");
        assert_fault(&with(name, "-----BEGIN CERTIFICATE-----\nAAAA"), name, "is not a PEM file of");
    }
    assert_fault(&with("BRIDGE_TLS_CERT", &mine.key), "BRIDGE_TLS_CERT", "contains no certificate");
    assert_fault(&with("BRIDGE_TLS_CLIENT_CA", &mine.key), "BRIDGE_TLS_CLIENT_CA", "contains no certificate");
    assert_fault(&with("BRIDGE_TLS_KEY", &mine.cert), "BRIDGE_TLS_KEY", "contains no private key");
    assert_fault(&with("BRIDGE_TLS_KEY", &others.key), "BRIDGE_TLS_KEY", "is not the key of the certificate in");
    assert_fault(&with("BRIDGE_TLS_KEY", &encrypted(&mine.key)), "BRIDGE_TLS_KEY", "openssl pkey");
    let strange = "-----BEGIN PRIVATE KEY-----\nMAAwAA==\n-----END PRIVATE KEY-----\n";
    assert_fault(&with("BRIDGE_TLS_KEY", strange), "BRIDGE_TLS_KEY", "of an unsupported kind");
    let strange = "-----BEGIN CERTIFICATE-----\nMAAwAA==\n-----END CERTIFICATE-----\n";
    assert_fault(&with("BRIDGE_TLS_CERT", strange), "BRIDGE_TLS_CERT", "is not a PEM file of certificates");
}

fn encrypted(key: &str) -> String {
    let (_, key) = SecretDocument::from_pem(key).unwrap();
    let key = PrivateKeyInfo::try_from(key.as_bytes()).unwrap();
    let salt =
        pkcs8::pkcs5::pbes2::Parameters::pbkdf2_sha256_aes256cbc(2048, b"saltsalt", b"sixteen byte ini").unwrap();
    key.encrypt_with_params(salt, "password")
        .unwrap()
        .to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF)
        .unwrap()
        .to_string()
}

#[test]
fn all_errors_are_reported_together() {
    let setup = setup().env("BRIDGE_TLS_CERT", "/a").env("BRIDGE_TLS_KEY", "/b").env("BRIDGE_TLS_CLIENT_CA", "/c");
    let output = setup.run(&["serve"]);
    expect(&output, 78);
    let said = stderr(&output);
    assert!(said.contains("invalid configuration, 3 error(s)"), "{said}");
    assert!(["/a", "/b", "/c"].iter().all(|file| said.contains(&format!("{file} cannot be read"))), "{said}");
}

#[test]
fn check_config_shows_subject_and_expiry_of_certificates() {
    let authority = Authority::new("authority");
    let (good, old) = (authority.issue("bridge", &[]), authority.issue_for("bridge", &[], Time::Past));
    let setup = with_client_ca(&with_tls(&setup(), &good), &Authority::new("vendor"));
    let output = setup.run(&["check-config", "--offline"]);
    expect(&output, 0);
    let said = stderr(&output);
    assert!(said.contains("tls        certificate CN=bridge, valid until 2090-01-01T00:00:00Z\n"), "{said}");
    assert!(said.contains("tls        client authority CN=vendor, valid until"), "{said}");
    let output = with_tls(&setup, &old).run(&["check-config", "--offline"]);
    expect(&output, 0);
    assert!(stderr(&output).contains("2021-01-01T00:00:00Z: WARNING: it has expired"), "{output:?}");
}

#[test]
fn a_certificate_that_has_expired_is_a_warning_at_the_start() {
    let old = Authority::new("authority").issue_for("bridge", &[], Time::Past);
    let bridge = with_tls(&setup(), &old).start();
    assert_eq!(bridge.process.log_of("certificate_not_valid").len(), 1);
    assert_eq!(bridge.metric("tls_certificate_expiry_timestamp_seconds"), 1_609_459_200.0);
}
