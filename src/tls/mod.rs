//! TLS of the webhook listener: what stands in the files, checked as a whole, and what new connections
//! get of it, which can be replaced while old ones go on. Knows no HTTP.

mod certificate;
mod files;
mod listener;
mod provider;

pub use certificate::Certificate;
pub use files::{CERT, CLIENT_CA, Files, KEY, Material, TlsFault};
pub use listener::Listener;
pub use provider::provider;
