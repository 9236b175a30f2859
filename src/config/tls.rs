//! Reads `BRIDGE_TLS_…`: the paths of the files and their content.

use super::errors::ConfigError;
use super::values::VariableReader;
use super::variables::{TLS_CERT, TLS_CLIENT_CA, TLS_KEY};
use crate::tls::{Files, Material};

/// TLS on the webhook listener.
#[derive(Debug, Clone)]
pub struct ListenerTls {
    /// The files; SIGHUP reads them again.
    pub files: Files,
    /// The content of the files.
    pub material: Material,
}

/// Reads paths and files. Returns `None` without TLS, or after an error.
pub(super) fn read_tls(r: &mut VariableReader<'_>) -> Option<ListenerTls> {
    let [cert, key, client_ca] = [TLS_CERT, TLS_KEY, TLS_CLIENT_CA].map(|variable| r.file(variable));
    let (cert, key) = match (cert, key) {
        (Some(cert), Some(key)) => (cert, key),
        (None, None) => {
            if client_ca.is_some() {
                let fix = "name a certificate in BRIDGE_TLS_CERT and its key in BRIDGE_TLS_KEY, or remove it";
                let problem = "is set without BRIDGE_TLS_CERT and BRIDGE_TLS_KEY";
                r.errors.push(ConfigError::new(TLS_CLIENT_CA.name, problem, fix));
            }
            return None;
        }
        (Some(_), None) => {
            let fix = "name the file of its private key";
            r.errors.push(ConfigError::new(TLS_KEY.name, "is not set, but BRIDGE_TLS_CERT is", fix));
            return None;
        }
        (None, Some(_)) => {
            let fix = "name the file of its certificate";
            r.errors.push(ConfigError::new(TLS_CERT.name, "is not set, but BRIDGE_TLS_KEY is", fix));
            return None;
        }
    };
    let files = Files { cert, key, client_ca };
    match files.read() {
        Ok(material) => Some(ListenerTls { files, material }),
        Err(errors) => {
            r.errors.extend(errors.into_iter().map(|error| ConfigError::new(error.name, error.problem, error.fix)));
            None
        }
    }
}
