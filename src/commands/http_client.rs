//! The HTTP client of the commands, with or without TLS.

use std::error::Error;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use reqwest::{Certificate, ClientBuilder, Identity};
use rustls::{ClientConfig, RootCertStore};

use crate::tls;

/// The CA certificates to trust, and the client certificate.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ClientTls {
    /// For https: PEM file of the CA certificates to trust, instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// For https: PEM file of the client certificate.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// PEM file of the private key of the client certificate.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

/// Returns a client for plain HTTP. It needs no CA certificates on the machine.
///
/// # Errors
/// The TLS provider does not support the TLS versions.
pub fn plain() -> anyhow::Result<ClientBuilder> {
    let config = ClientConfig::builder_with_provider(tls::provider()).with_safe_default_protocol_versions()?;
    let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    Ok(reqwest::Client::builder().tls_backend_preconfigured(config))
}

/// Returns a client for this URL.
///
/// # Errors
/// A file cannot be read or used.
pub(super) fn for_url(url: &reqwest::Url, files: &ClientTls) -> anyhow::Result<ClientBuilder> {
    let client = with_tls(url, files)?;
    Ok(if is_loopback(url) { client.no_proxy() } else { client })
}

/// Whether a URL points to this machine. Such requests never use a proxy, also if `HTTP_PROXY` or `ALL_PROXY` is set.
fn is_loopback(url: &reqwest::Url) -> bool {
    let mut found = url.socket_addrs(|| None).unwrap_or_default().into_iter();
    let is_local = |ip: IpAddr| ip.to_canonical().is_loopback() || ip.is_unspecified();
    let named = url.host_str().is_some_and(|host| host == "localhost" || host.ends_with(".localhost"));
    named || found.next().is_some_and(|first| is_local(first.ip()) && found.all(|other| is_local(other.ip())))
}

fn with_tls(url: &reqwest::Url, files: &ClientTls) -> anyhow::Result<ClientBuilder> {
    if url.scheme() != "https" {
        ensure!(
            files.ca.is_none() && files.cert.is_none(),
            "--ca, --cert and --key require an https URL, but --url is {url}"
        );
        return plain();
    }
    // An error means that the same provider is installed already.
    let _ = tls::provider().as_ref().clone().install_default();
    let mut client = reqwest::Client::builder();
    let read = |file: &PathBuf| std::fs::read(file).with_context(|| file.display().to_string());
    if let Some(file) = &files.ca {
        let text = read(file)?;
        let authorities = Certificate::from_pem_bundle(&text)
            .ok()
            .filter(|authorities| !authorities.is_empty())
            .with_context(|| format!("--ca: {} contains no PEM certificate", file.display()))?;
        client = client.tls_certs_only(authorities);
    }
    if let (Some(cert), Some(key)) = (&files.cert, &files.key) {
        let pem = [read(key)?, read(cert)?].join(&b'\n');
        let identity = Identity::from_pem(&pem);
        // The text of the error is not used: it could contain the key.
        let what = || {
            format!(
                "--cert, --key: {} and {} do not contain a certificate and its key as PEM",
                cert.display(),
                key.display()
            )
        };
        client = client.identity(identity.ok().with_context(what)?);
    }
    Ok(client)
}

/// Returns the reason why a request got no response. A TLS error is quoted.
pub(super) fn failure(error: &reqwest::Error) -> String {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(error) = tls_error(inner) {
            return format!("TLS: {error}");
        }
        source = inner.source();
    }
    if error.is_connect() { "connection refused".to_owned() } else { "connection broken".to_owned() }
}

/// Finds the TLS error inside I/O errors. `source()` does not return a wrapped error, so `get_ref` is used, as often
/// as needed.
fn tls_error<'e>(mut error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    while let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        error = inner;
    }
    error.downcast_ref()
}
