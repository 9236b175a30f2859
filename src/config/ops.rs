//! The one variable of a command that asks the running bridge.

use std::net::SocketAddr;

use super::read::read_ops_listen;
use super::values::Reader;
use super::{Fault, Faults};

/// `BRIDGE_OPS_LISTEN` of this process's environment. Nothing else is looked at: a file that was
/// renewed wrongly while the bridge runs does not make it unhealthy.
///
/// # Errors
/// It is no address.
pub fn ops_listen_from_env() -> Result<SocketAddr, Faults> {
    const NAME: &str = "BRIDGE_OPS_LISTEN";
    let mut reader = Reader::default();
    let value = std::env::var_os(NAME).filter(|value| !value.is_empty()).map(std::ffi::OsString::into_string);
    let value = value.transpose().unwrap_or_else(|_| {
        reader.faults.push(Fault::not_utf8(NAME));
        None
    });
    let address = read_ops_listen(value.as_deref(), &mut reader);
    if reader.faults.is_empty() { Ok(address) } else { Err(reader.faults) }
}
