//! Finds the reason why OpenSSL does not trust the broker's certificate.
//!
//! librdkafka has one error text for every cause. So this module repeats the handshake with the OpenSSL that is
//! built into librdkafka and with the same CAs, and reads the result of the verification
//! (`SSL_get_verify_result(3)`). It sends only the handshake.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::ssl::{HandshakeError, SslConnector, SslConnectorBuilder, SslMethod};
use openssl::x509::X509;
use rdkafka::ClientConfig;

use super::errors::StepError;

const TIMEOUT: Duration = Duration::from_secs(3);
/// librdkafka's error text for an untrusted certificate.
const NOT_VERIFIED: &str = "broker certificate could not be verified";
/// The files in which librdkafka's `ssl.ca.location=probe` looks for the system's CAs.
const SYSTEM: [&str; 9] = [
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-bundle.crt",
    "/etc/pki/tls/certs/ca-bundle.trust.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/certs/ca-certificates.crt",
];

/// Adds the reason to an error about the broker's certificate. Returns any other error unchanged.
pub(in crate::publisher) fn explain(config: &ClientConfig, mut error: StepError) -> StepError {
    if error.text.contains(NOT_VERIFIED)
        && let Some((host, port)) = broker(&error.text)
        && let Some((code, reason)) = verify(config, host, port)
    {
        error.text = format!("the certificate of {host}:{port} is not trusted: {reason}; {}", advice(code));
    }
    error
}

/// Returns the broker that librdkafka's error text starts with: `ssl://HOST:PORT/ID: …`.
fn broker(text: &str) -> Option<(&str, u16)> {
    let (_, rest) = text.split_once("ssl://")?;
    let (host, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once("]:")?,
        None => rest.split_once(':')?,
    };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some((host, rest[..digits].parse().ok()?))
}

/// Returns OpenSSL's code and text. `None` if the certificate is trusted now, or the broker does not respond.
fn verify(config: &ClientConfig, host: &str, port: u16) -> Option<(i32, &'static str)> {
    let address = (host, port).to_socket_addrs().ok()?.next()?;
    let stream = TcpStream::connect_timeout(&address, TIMEOUT).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    stream.set_write_timeout(Some(TIMEOUT)).ok()?;
    let mut connector = SslConnector::builder(SslMethod::tls_client()).ok()?;
    trust(config, &mut connector).ok()?;
    let mut connection = connector.build().configure().ok()?;
    connection.set_verify_hostname(config.get("ssl.endpoint.identification.algorithm") != Some("none"));
    let result = match connection.connect(host, stream) {
        Err(HandshakeError::Failure(failed) | HandshakeError::WouldBlock(failed)) => failed.ssl().verify_result(),
        _ => return None,
    };
    (result.as_raw() != 0).then(|| (result.as_raw(), result.error_string()))
}

/// Loads the CAs that librdkafka is configured to trust.
fn trust(config: &ClientConfig, connector: &mut SslConnectorBuilder) -> Result<(), ErrorStack> {
    if let Some(pem) = config.get("ssl.ca.pem") {
        for certificate in X509::stack_from_pem(pem.as_bytes())? {
            connector.cert_store_mut().add_cert(certificate)?;
        }
        return Ok(());
    }
    let system = || SYSTEM.iter().map(Path::new).find(|path| path.exists());
    let place = config.get("ssl.ca.location").filter(|place| *place != "probe").map(Path::new);
    match place.or_else(system) {
        Some(dir) if dir.is_dir() => connector.load_verify_locations(None, Some(dir)),
        Some(file) => connector.set_ca_file(file),
        None => Ok(()),
    }
}

/// Returns the fix for a code `X509_V_ERR_…` of OpenSSL's `x509_vfy.h`.
fn advice(code: i32) -> &'static str {
    match code {
        9 | 10 => "renew the broker's certificate (or correct this machine's clock)",
        62..=64 => "use the host name of its certificate in KAFKA_BOOTSTRAP_SERVERS and in its advertised.listeners",
        2 | 21 => "KAFKA_SSL_CA_LOCATION must contain the root certificate of the CA, not only an intermediate one",
        7 | 18..=20 => "KAFKA_SSL_CA_LOCATION must contain the root certificate of the CA that issued it",
        _ => "see KAFKA_SSL_CA_LOCATION and the broker's certificate",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_is_parsed_from_librdkafkas_text() {
        let said = |broker: &str| format!("sasl_{broker}: SSL handshake failed: {NOT_VERIFIED}");
        assert_eq!(broker(&said("ssl://kafka-1.local:9093/bootstrap")), Some(("kafka-1.local", 9093)));
        assert_eq!(broker(&said("ssl://[::1]:19093/1")), Some(("::1", 19093)));
        assert_eq!(broker("1/1 brokers are down"), None);
    }

    #[test]
    fn the_text_stays_unchanged_without_a_response() {
        let text = format!("ssl://127.0.0.1:1/bootstrap: {NOT_VERIFIED}");
        let error = StepError { kind: "authentication", doing: "connecting to Kafka", text };
        assert_eq!(explain(&ClientConfig::new(), error.clone()), error);
    }
}
