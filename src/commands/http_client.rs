//! The HTTP client of the commands: without TLS, or with it as the webhook listener has it.

use std::error::Error;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use reqwest::{Certificate, ClientBuilder, Identity};
use rustls::{ClientConfig, RootCertStore};

use crate::tls;

/// Whom to trust, and who one is.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Tls {
    /// With https: a PEM file of the authorities to trust, instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// With https: a PEM file of the certificate to present.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// A PEM file of the certificate's private key.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

/// A client that trusts nobody, for plain HTTP: it needs no authorities on the machine.
///
/// # Errors
/// The provider lacks what TLS needs.
pub fn plain() -> anyhow::Result<ClientBuilder> {
    let config = ClientConfig::builder_with_provider(tls::provider()).with_safe_default_protocol_versions()?;
    let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    Ok(reqwest::Client::builder().tls_backend_preconfigured(config))
}

/// A client for this URL.
///
/// # Errors
/// A file that cannot be read or used.
pub(super) fn for_url(url: &reqwest::Url, files: &Tls) -> anyhow::Result<ClientBuilder> {
    let client = with_tls(url, files)?;
    Ok(if is_loopback(url) { client.no_proxy() } else { client })
}

/// Whether a URL stays on this machine: then no proxy has a part in it, whatever the environment
/// says (`HTTP_PROXY`, `ALL_PROXY` …).
fn is_loopback(url: &reqwest::Url) -> bool {
    let mut found = url.socket_addrs(|| None).unwrap_or_default().into_iter();
    let is_local = |ip: IpAddr| ip.to_canonical().is_loopback() || ip.is_unspecified();
    let named = url.host_str().is_some_and(|host| host == "localhost" || host.ends_with(".localhost"));
    named || found.next().is_some_and(|first| is_local(first.ip()) && found.all(|other| is_local(other.ip())))
}

fn with_tls(url: &reqwest::Url, files: &Tls) -> anyhow::Result<ClientBuilder> {
    if url.scheme() != "https" {
        ensure!(files.ca.is_none() && files.cert.is_none(), "--ca, --cert and --key are for https; the URL is {url}");
        return plain();
    }
    // A provider that is there already is the same one.
    let _ = tls::provider().as_ref().clone().install_default();
    let mut client = reqwest::Client::builder();
    let read = |file: &PathBuf| std::fs::read(file).with_context(|| file.display().to_string());
    if let Some(file) = &files.ca {
        let text = read(file)?;
        let authorities = Certificate::from_pem_bundle(&text)
            .ok()
            .filter(|authorities| !authorities.is_empty())
            .with_context(|| format!("--ca: {} holds no certificate as PEM", file.display()))?;
        client = client.tls_certs_only(authorities);
    }
    if let (Some(cert), Some(key)) = (&files.cert, &files.key) {
        let pem = [read(key)?, read(cert)?].join(&b'\n');
        let identity = Identity::from_pem(&pem);
        // The error's own text might quote the key.
        let what = || format!("--cert, --key: {} and {} hold no certificate and key", cert.display(), key.display());
        client = client.identity(identity.ok().with_context(what)?);
    }
    Ok(client)
}

/// Why a request got no answer; where TLS has said why, in its words.
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

/// An I/O error is not the source of what it wraps, but wraps it, sometimes twice.
fn tls_error<'e>(mut error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    while let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        error = inner;
    }
    error.downcast_ref()
}
