//! `BRIDGE_TLS_…`: the files, and what stood in them when they were checked.

use super::faults::Fault;
use super::raw::Raw;
use super::values::Reader;
use crate::tls::{CERT, CLIENT_CA, Files, KEY, Material};

/// TLS on the webhook listener.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The files, to be read again on SIGHUP.
    pub files: Files,
    /// What stood in them.
    pub material: Material,
}

/// Reads names and files. `None` where TLS is not wanted, or something is wrong.
pub(super) fn read_tls(raw: &Raw, r: &mut Reader) -> Option<Tls> {
    let given = [(CERT, &raw.tls_cert), (KEY, &raw.tls_key), (CLIENT_CA, &raw.tls_client_ca)];
    r.given.extend(given.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| *name));
    let (cert, key) = match (&raw.tls_cert, &raw.tls_key) {
        (Some(cert), Some(key)) => (cert, key),
        (None, None) => {
            if raw.tls_client_ca.is_some() {
                let fix = "name a certificate in BRIDGE_TLS_CERT and its key in BRIDGE_TLS_KEY, or remove it";
                r.faults.push(Fault::new(
                    CLIENT_CA,
                    "is set, but no TLS without BRIDGE_TLS_CERT and BRIDGE_TLS_KEY",
                    fix,
                ));
            }
            return None;
        }
        (Some(_), None) => {
            r.faults.push(Fault::new(KEY, "is not set, but BRIDGE_TLS_CERT is", "name the file of its private key"));
            return None;
        }
        (None, Some(_)) => {
            r.faults.push(Fault::new(CERT, "is not set, but BRIDGE_TLS_KEY is", "name the file of its certificate"));
            return None;
        }
    };
    let files = Files { cert: cert.into(), key: key.into(), client_ca: raw.tls_client_ca.as_deref().map(Into::into) };
    match files.read() {
        Ok(material) => Some(Tls { files, material }),
        Err(faults) => {
            r.faults.extend(faults.into_iter().map(|fault| Fault::new(fault.name, fault.problem, fault.fix)));
            None
        }
    }
}
