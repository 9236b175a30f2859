//! The current certificate of the webhook listener, which can be replaced.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};

use super::files::Material;
use super::provider::provider;

/// Number N: the first N failed handshakes are logged, and then every N-th. A peer that can connect must not fill the
/// disk with log lines.
const FAILURES_LOGGED: u64 = 100;

/// The current certificate, key and CA certificates, and the counters of handshakes.
#[derive(Debug)]
pub struct Listener {
    present: ArcSwap<Material>,
    /// Handshakes whose first byte has arrived.
    begun: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
}

impl Listener {
    /// Starts with this material.
    pub fn new(material: Material) -> Arc<Self> {
        Arc::new(Self {
            present: ArcSwap::from_pointee(material),
            begun: AtomicU64::new(0),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        })
    }

    /// Replaces the material from the next handshake on. Whether clients need a certificate is fixed at the start.
    pub fn replace(&self, material: Material) {
        self.present.store(Arc::new(material));
    }

    /// The material of the next handshake.
    pub fn present(&self) -> Arc<Material> {
        self.present.load_full()
    }

    /// The number of started handshakes.
    pub fn begun(&self) -> u64 {
        self.begun.load(Relaxed)
    }

    /// The number of successful handshakes.
    pub fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// Counts a successful handshake.
    pub fn note_done(&self) {
        self.done.fetch_add(1, Relaxed);
    }

    /// Counts a handshake whose first byte has arrived.
    pub fn note_begun(&self) {
        self.begun.fetch_add(1, Relaxed);
    }

    /// Counts a failed handshake, and logs the reason of the first 100, then of every 100th.
    pub fn note_failed(&self, peer: IpAddr, error: &std::io::Error) {
        let failed = self.failed.fetch_add(1, Relaxed) + 1;
        if failed > FAILURES_LOGGED && !failed.is_multiple_of(FAILURES_LOGGED) {
            return;
        }
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        if let Some(Error::InvalidCertificate(_)) = inner {
            tracing::warn!(event = "client_certificate_refused", %peer, %error, failed, "client certificate refused");
        } else {
            tracing::warn!(event = "tls_handshake_failed", %peer, %error, failed, "TLS handshake failed");
        }
    }

    /// The number of failed handshakes.
    pub fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// Returns a server configuration that uses the current material in every handshake. Sessions are not resumed: a
    /// resumed session would be based on earlier CAs.
    ///
    /// # Errors
    /// The provider does not support TLS.
    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, Error> {
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let builder = if self.present().clients.is_some() {
            builder.with_client_cert_verifier(Arc::new(Clients(Arc::clone(self))))
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_cert_resolver(Arc::new(Own(Arc::clone(self))));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    fn clients(&self) -> Result<Arc<dyn ClientCertVerifier>, Error> {
        let verifier = self.present().clients.clone();
        verifier.ok_or_else(|| Error::General("no CA certificates for client certificates".to_owned()))
    }
}

/// Provides the server certificate.
#[derive(Debug)]
struct Own(Arc<Listener>);

impl ResolvesServerCert for Own {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.present().key))
    }
}

/// Verifies client certificates.
#[derive(Debug)]
struct Clients(Arc<Listener>);

impl ClientCertVerifier for Clients {
    // No hints: a client presents its certificate, independent of the CAs that are configured now.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.clients()?.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.clients()?.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.clients()?.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
