//! TLS of the webhook listener: it validates the files as a whole, and can replace the certificate for new connections
//! while existing ones continue. Knows no HTTP.

mod certificate;
mod files;
mod listener;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use certificate::Certificate;
pub use files::{CERT, CLIENT_CA, Files, KEY, Material, TlsFault};
pub use listener::Listener;

/// Returns the cryptography provider, for both ends of a connection. `ring` needs only a C compiler to build.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
