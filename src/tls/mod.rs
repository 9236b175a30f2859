//! TLS of the webhook listener: what stands in the files, checked as a whole, and what new connections
//! get of it, which can be replaced while old ones go on. Knows no HTTP.

mod certificate;
mod files;
mod listener;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use certificate::Certificate;
pub use files::{CERT, CLIENT_CA, Files, KEY, Material, TlsFault};
pub use listener::Listener;

/// The cryptography, for both ends of a connection. `ring` builds with a C compiler alone.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
