//! Creates certificate authorities and certificates for tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use recall_bridge::tls::provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

/// The issuer of a certificate.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    pub cert: String,
    pub key: String,
}

/// The validity of a certificate.
#[derive(Debug, Clone, Copy)]
pub enum Time {
    Present,
    Past,
}

fn params(name: &str, hosts: &[&str], time: Time) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().copied().map(str::to_owned).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = match time {
        Time::Present => date_time_ymd(2090, 1, 1),
        Time::Past => date_time_ymd(2021, 1, 1),
    };
    params
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = params(name, &[], Time::Present);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Creates an intermediate authority below this one.
    pub fn intermediate(&self, name: &str) -> Self {
        let mut params = params(name, &[], Time::Present);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &self.0).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Creates a certificate that is valid now.
    pub fn issue(&self, name: &str, hosts: &[&str]) -> Identity {
        self.issue_for(name, hosts, Time::Present)
    }

    pub fn issue_for(&self, name: &str, hosts: &[&str], time: Time) -> Identity {
        let key = KeyPair::generate().unwrap();
        let cert = params(name, hosts, time).signed_by(&key, &self.0).unwrap();
        Identity { cert: cert.pem(), key: key.serialize_pem() }
    }
}

impl Identity {
    /// Writes both files, and returns their paths.
    pub fn write(&self, dir: &Path, name: &str) -> (PathBuf, PathBuf) {
        (write(dir, &format!("{name}.crt"), &self.cert), write(dir, &format!("{name}.key"), &self.key))
    }
}

/// Writes a whole file atomically, over an existing one.
pub fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let (path, fresh) = (dir.join(name), dir.join(format!("{name}.new")));
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(&fresh, &path).unwrap();
    path
}

/// Returns the TLS configuration of a peer that trusts one authority and can present a certificate.
pub fn client(authority: &Authority, identity: Option<&Identity>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots);
    Arc::new(match identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let cert = CertificateDer::from_pem_slice(identity.cert.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
            config.with_client_auth_cert(vec![cert], key).unwrap()
        }
    })
}
