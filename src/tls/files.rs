//! Reads and validates the PEM files of the webhook listener.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;
use super::provider::provider;

/// The variable that names the certificate.
pub const CERT: &str = "BRIDGE_TLS_CERT";
/// The variable that names the private key.
pub const KEY: &str = "BRIDGE_TLS_KEY";
/// The variable that names the CA certificates.
pub const CLIENT_CA: &str = "BRIDGE_TLS_CLIENT_CA";
/// A chain has a few kilobytes, a list of CAs some more. The limit protects the memory from a wrong path
/// (`/dev/zero`).
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The paths of the PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificate, followed by its intermediate certificates.
    pub cert: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// The CA certificates. One of them must have issued the peer's certificate.
    pub client_ca: Option<PathBuf>,
}

/// The error of one of the files. It contains nothing of the file's content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {problem}; {fix}")]
pub struct TlsError {
    /// The variable that names the file.
    pub name: &'static str,
    /// The file and its error.
    pub problem: String,
    /// The fix.
    pub fix: &'static str,
}

impl TlsError {
    fn new(name: &'static str, path: &Path, problem: impl fmt::Display, fix: &'static str) -> Self {
        Self { name, problem: format!("{} {problem}", path.display()), fix }
    }
}

/// The validated content of the files.
#[derive(Clone)]
pub struct Material {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) clients: Option<Arc<dyn ClientCertVerifier>>,
    certificate: Certificate,
    authorities: Vec<Certificate>,
}

impl Material {
    /// The listener's certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The CA certificates for client certificates; empty if clients need none.
    pub fn authorities(&self) -> &[Certificate] {
        &self.authorities
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material")
            .field("certificate", &self.certificate)
            .field("authorities", &self.authorities)
            .finish_non_exhaustive()
    }
}

impl Files {
    /// Reads and validates all files. An expired certificate is not an error: see [`Certificate::untimely`].
    ///
    /// # Errors
    /// All errors of all files.
    pub fn read(&self) -> Result<Material, Vec<TlsError>> {
        let chain = certificates(CERT, &self.cert);
        let key = private_key(&self.key);
        let authorities = self.client_ca.as_ref().map(|path| certificates(CLIENT_CA, path)).transpose();
        let (mut faults, mut whole) = (Vec::new(), None);
        match (chain, key) {
            (Ok((chain, mut shown)), Ok(key)) => match self.fit(chain, key) {
                Ok(key) => whole = Some((key, shown.swap_remove(0))),
                Err(fault) => faults.push(fault),
            },
            (chain, key) => faults.extend([chain.err(), key.err()].into_iter().flatten()),
        }
        let clients = authorities.and_then(|found| found.map(|found| self.verifier(found)).transpose());
        match (whole, clients) {
            (Some((key, certificate)), Ok(clients)) => {
                let (clients, authorities) = clients.unzip();
                Ok(Material { key: Arc::new(key), clients, certificate, authorities: authorities.unwrap_or_default() })
            }
            (_, clients) => {
                faults.extend(clients.err());
                Err(faults)
            }
        }
    }

    fn fit(&self, chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<CertifiedKey, TlsError> {
        use rustls::{Error, InconsistentKeys};
        CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                let problem = format!("is not the key of the certificate in {}", self.cert.display());
                TlsError::new(KEY, &self.key, problem, "name the certificate and the key of one pair")
            }
            Error::InvalidCertificate(_) => {
                TlsError::new(CERT, &self.cert, "contains a certificate that cannot be parsed", "have it issued again")
            }
            // The text of other errors is left out, because it must not quote any part of a key.
            _ => TlsError::new(
                KEY,
                &self.key,
                "contains a key of an unsupported kind",
                "use an ECDSA (P-256, P-384), Ed25519 or RSA (2048 bits or more) key",
            ),
        })
    }

    fn verifier(
        &self,
        (authorities, shown): (Vec<CertificateDer<'static>>, Vec<Certificate>),
    ) -> Result<(Arc<dyn ClientCertVerifier>, Vec<Certificate>), TlsError> {
        let path = self.client_ca.as_deref().unwrap_or(Path::new(""));
        let unusable = |()| {
            TlsError::new(
                CLIENT_CA,
                path,
                "contains a certificate that is not a CA certificate",
                "name the CA certificates that issue the client certificates",
            )
        };
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority).map_err(|_| unusable(()))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        Ok((verifier.map_err(|_| unusable(()))?, shown))
    }
}

/// Reads all certificates of a file; at least one.
fn certificates(name: &'static str, path: &Path) -> Result<(Vec<CertificateDer<'static>>, Vec<Certificate>), TlsError> {
    let text = contents(name, path)?;
    let broken = || {
        TlsError::new(
            name,
            path,
            "is not a PEM file of certificates",
            "write it as PEM, each certificate from its BEGIN line to its END line",
        )
    };
    let found = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>().map_err(|_| broken())?;
    if found.is_empty() {
        return Err(TlsError::new(
            name,
            path,
            "contains no certificate",
            "put BEGIN CERTIFICATE to END CERTIFICATE into it",
        ));
    }
    let shown: Option<Vec<Certificate>> = found.iter().map(Certificate::read).collect();
    Ok((found, shown.ok_or_else(broken)?))
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = contents(KEY, path)?;
    let has = |mark: &[u8]| text.windows(mark.len()).any(|part| part == mark);
    if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
        let fix =
            "write it without a password (openssl pkey -in KEY -out PLAIN) into a file that only the bridge can read";
        return Err(TlsError::new(KEY, path, "contains an encrypted key, which is not supported", fix));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            TlsError::new(KEY, path, "contains no private key", "put BEGIN PRIVATE KEY to END PRIVATE KEY into it")
        }
        _ => TlsError::new(KEY, path, "is not a PEM file of a private key", "write it as PEM (PKCS#8, PKCS#1 or SEC1)"),
    })
}

fn contents(name: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)).map_err(|error| {
        TlsError::new(name, path, format_args!("cannot be read: {error}"), "name a file that this process can read")
    })?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(TlsError::new(name, path, "is larger than 1 MiB", "name a PEM file"));
    }
    Ok(bytes)
}
