//! The only variable of commands that query the running bridge.

use std::net::SocketAddr;

use super::errors::{ConfigError, ConfigErrors};
use super::values::VariableReader;
use super::variables::{OPS_LISTEN, Raw};

/// Returns `BRIDGE_OPS_LISTEN` of this process's environment. It reads no other variable, so an invalid change of
/// another file does not make a running bridge look unhealthy.
///
/// # Errors
/// The value is not an address.
pub fn ops_listen_from_env() -> Result<SocketAddr, ConfigErrors> {
    let (mut raw, mut errors) = (Raw::default(), ConfigErrors::default());
    match std::env::var_os(OPS_LISTEN.name).filter(|value| !value.is_empty()).map(std::ffi::OsString::into_string) {
        None => {}
        Some(Ok(value)) => raw.set(OPS_LISTEN, value),
        Some(Err(_)) => errors.push(ConfigError::not_utf8(OPS_LISTEN.name)),
    }
    let mut reader = VariableReader::new(&raw, errors);
    let address = reader.address(OPS_LISTEN);
    if reader.errors.is_empty() { Ok(address) } else { Err(reader.errors) }
}
