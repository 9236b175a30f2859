//! TLS of the webhook listener: it validates the files as a whole, and can replace the certificate for new connections
//! while existing ones continue. Knows no HTTP.

mod certificate;
mod files;
mod listener;
mod provider;

pub use certificate::Certificate;
pub use files::{CERT, CLIENT_CA, Files, KEY, Material, TlsError};
pub use listener::Listener;
pub use provider::provider;
