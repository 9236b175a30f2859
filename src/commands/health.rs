//! `recall-bridge health`: is the bridge of this host ready? For container health checks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, anyhow};

use super::{CommandError, http_client};
use crate::config::ops_listen_from_env;

const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks `/readyz`; prints its answer.
///
/// # Errors
/// `BRIDGE_OPS_LISTEN` is faulty, nobody answers, or the answer is not 200.
pub fn run(url: Option<String>) -> Result<(), CommandError> {
    let url = if let Some(url) = url { url } else { format!("http://{}/readyz", reachable(ops_listen_from_env()?)) };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::Negative(error.into()))?;
    runtime.block_on(ask(&url)).map_err(CommandError::Negative)
}

async fn ask(url: &str) -> anyhow::Result<()> {
    let client = http_client::plain()?.timeout(TIMEOUT).build()?;
    let answer = client.get(url).send().await.with_context(|| format!("{url} does not answer"))?;
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    if status.is_success() {
        println!("{text}");
        Ok(())
    } else {
        Err(anyhow!("{url} answers {status}: {text}"))
    }
}

/// A wildcard address is listened on, not connected to.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
