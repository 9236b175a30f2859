//! The webhook listener with TLS: which clients it accepts.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::bridge::{APP, Bridge, PATIENCE, Setup, TOKEN, eventually};
use crate::cli::{expect, stderr, stdout};
use crate::mock::Kafka;
use crate::pki::{Authority, Identity, Time, client, write};
use crate::raw;
use crate::sender::{Sender, recall_body, signed_query};
use crate::topic::prove;

pub type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A bridge of this certificate.
pub fn with_tls(setup: &Setup, identity: &Identity) -> Setup {
    let (cert, key) = identity.write(setup.home(), "bridge");
    setup.clone().env("BRIDGE_TLS_CERT", cert.display()).env("BRIDGE_TLS_KEY", key.display())
}

/// The same that demands certificates.
pub fn with_client_ca(setup: &Setup, authority: &Authority) -> Setup {
    let file = write(setup.home(), "clients.crt", &authority.pem());
    setup.clone().env("BRIDGE_TLS_CLIENT_CA", file.display())
}

pub fn https(bridge: &Bridge) -> String {
    format!("https://{}/", bridge.webhook_address())
}

/// A TLS connection to write HTTP to by hand.
pub fn connect(bridge: &Bridge, config: &Arc<ClientConfig>) -> Secure {
    let connection = ClientConnection::new(Arc::clone(config), "127.0.0.1".try_into().unwrap()).unwrap();
    StreamOwned::new(connection, raw::connect(bridge))
}

fn recall(number: u32) -> String {
    raw::request(&signed_query(APP, TOKEN), &recall_body("#TOA#_1", &[format!("{number}_1_1")]))
}

/// Whether a peer like this gets a webhook through.
fn is_served(bridge: &Bridge, config: &Arc<ClientConfig>, number: u32) -> bool {
    let mut stream = connect(bridge, config);
    stream.write_all(recall(number).as_bytes()).is_ok()
        && raw::read_answer(&mut stream).is_some_and(|answer| answer.status == 200)
}

#[test]
fn webhooks_come_by_tls_only_and_each_handshake_is_counted() {
    let kafka = Kafka::start();
    let authority = Authority::new("authority");
    let identity = authority.issue("recalls.example.com", &["127.0.0.1"]);
    let bridge = with_tls(&kafka.setup(), &identity).start();
    let ready = bridge.process.wait_for_line("webhook_listener_ready");
    assert!(ready["tls"].as_str().unwrap().contains("CN=recalls.example.com, valid until 2090-01-01"), "{ready}");
    assert_eq!(bridge.metric("tls_certificate_expiry_timestamp_seconds"), 3_786_912_000.0);

    let config = client(&authority, None);
    let sender = Sender::secure(&https(&bridge), APP, TOKEN, &config);
    for number in 0..20 {
        sender.acknowledged("#TOA#_1", &[format!("{number}_1_1")]);
    }
    let mut stream = connect(&bridge, &config);
    stream.write_all(format!("{}{}", recall(20), recall(21)).as_bytes()).unwrap();
    for _ in 0..2 {
        assert_eq!(raw::read_answer(&mut stream).expect("an answer").status, 200);
    }
    assert!(stream.conn.alpn_protocol().is_none_or(|protocol| protocol == b"http/1.1"));

    let mut plain = raw::connect(&bridge);
    plain.write_all(recall(99).as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
    // A peer that trusts another authority breaks the handshake off.
    assert!(!is_served(&bridge, &client(&Authority::new("authority"), None), 98));

    eventually("the handshakes are counted", || {
        let steps = ["begun", "done"].map(|step| bridge.metric(&format!("tls_handshakes_total{{step=\"{step}\"}}")));
        (steps == [3.0, 2.0]).then_some(())
    });
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    assert_eq!(records.len(), 22);
}

#[test]
fn with_a_client_ca_only_its_certificates_are_accepted() {
    let kafka = Kafka::start();
    let (authority, vendor) = (Authority::new("authority"), Authority::new("vendor"));
    let setup = with_tls(&kafka.setup(), &authority.issue("bridge", &["127.0.0.1"]));
    let bridge = with_client_ca(&setup, &vendor).start();
    let as_peer = |identity: &Identity| client(&authority, Some(identity));

    assert!(!is_served(&bridge, &client(&authority, None), 1), "without a certificate");
    assert!(!is_served(&bridge, &as_peer(&Authority::new("other").issue("vendor", &[])), 2), "of another authority");
    assert!(!is_served(&bridge, &as_peer(&vendor.issue_for("vendor", &[], Time::Past)), 3), "expired");
    assert!(is_served(&bridge, &as_peer(&vendor.issue("vendor", &[])), 4), "of the authority");

    let refused = eventually("both refusals are in the log", || {
        let lines = bridge.process.log_of("client_certificate_refused");
        (lines.len() == 2).then_some(lines)
    });
    assert!(refused[0]["error"].as_str().unwrap().contains("UnknownIssuer"), "{refused:?}");
    assert!(refused[1]["error"].as_str().unwrap().contains("expired"), "{refused:?}");
    bridge.wait_published();
    assert_eq!(kafka.records().iter().map(|record| record.msg_key().to_owned()).collect::<Vec<_>>(), ["4_1_1"]);
}

#[test]
fn endless_handshakes_are_closed_and_delay_no_other_peer() {
    let kafka = Kafka::start();
    let authority = Authority::new("authority");
    let bridge = with_tls(&kafka.setup(), &authority.issue("bridge", &["127.0.0.1"])).start();
    // More than the TLS library would handle at a time by itself, over two workers.
    let mut stalled: Vec<TcpStream> = (0..600).map(|_| raw::connect(&bridge)).collect();
    for (number, stream) in stalled.iter_mut().enumerate() {
        // The head of a first message that does not come, or nothing.
        if number % 2 == 0 {
            stream.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
        }
    }
    let sender = Sender::secure(&https(&bridge), APP, TOKEN, &client(&authority, None));
    sender.acknowledged("#TOA#_1", &["1_1_1"]);
    let webhooks = || bridge.metric("webhooks_total{outcome=\"accepted\"}");
    assert_eq!(webhooks(), 1.0);
    for stream in &mut stalled {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(stream.read(&mut [0; 100]).map_err(|error| error.kind()).unwrap_or(0), 0, "closed, nothing said");
    }
    sender.acknowledged("#TOA#_1", &["2_1_1"]);
}

#[test]
fn send_uses_a_ca_and_a_client_certificate_and_explains_tls_errors() {
    let kafka = Kafka::start();
    let (authority, vendor) = (Authority::new("authority"), Authority::new("vendor"));
    let setup = with_tls(&kafka.setup(), &authority.issue("bridge", &["127.0.0.1"]));
    let bridge = with_client_ca(&setup, &vendor).start();
    let (url, app) = (https(&bridge), APP.to_string());
    let file = |name: &str, text: &str| write(setup.home(), name, text).display().to_string();
    let ca = file("authority.crt", &authority.pem());
    let identity = vendor.issue("vendor", &[]);
    let (cert, key) = (file("vendor.crt", &identity.cert), file("vendor.key", &identity.key));
    let args = ["send", "--url", &url, "--app", &app, "--token", TOKEN, "--count", "5", "--connections", "1"];
    let send = |more: &[&str]| setup.run(&[&args, more].concat());

    let trusted = send(&["--ca", &ca, "--cert", &cert, "--key", &key]);
    expect(&trusted, 0);
    let other = file("other.crt", &Authority::new("other").pem());
    let untrusted = send(&["--ca", &other, "--cert", &cert, "--key", &key]);
    expect(&untrusted, 1);
    assert!(stdout(&untrusted).contains("TLS: invalid peer certificate"), "{untrusted:?}");
    let untrusted = send(&["--ca", &ca]);
    expect(&untrusted, 1);
    for (args, says) in [
        (["--ca", "/nowhere.crt"].as_slice(), "/nowhere.crt"),
        (&["--ca", &key], "contains no PEM certificate"),
        (&["--ca", &ca, "--cert", &key, "--key", &key], "do not contain a certificate and its key"),
    ] {
        let output = send(args);
        expect(&output, 75);
        assert!(stderr(&output).contains(says), "{output:?}");
    }
    let plain = setup.run(&["send", "--url", &bridge.url(), "--app", &app, "--ca", &ca]);
    expect(&plain, 75);
    assert!(stderr(&plain).contains("require an https URL"), "{plain:?}");
    eventually("five are counted", || (bridge.metric("webhooks_total{outcome=\"accepted\"}") == 5.0).then_some(()));
}
