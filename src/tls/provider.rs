//! The cryptographic provider of all TLS connections of the bridge.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// The cryptographic provider, for both ends of a connection. `ring` needs only a C compiler to build.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
