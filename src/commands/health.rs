//! `recall-bridge health`: asks the bridge on this host whether it is ready. For container health checks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{anyhow, bail};
use serde_json::Value;

use super::output::Output;
use super::{CommandError, http_client};
use crate::config::ops_listen_from_env;
use crate::escape::plain;

const TIMEOUT: Duration = Duration::from_secs(3);
/// The longest part of a response that is printed.
const SHOWN_MAX_CHARS: usize = 1000;

/// Requests `/readyz` and prints the response.
///
/// # Errors
/// `BRIDGE_OPS_LISTEN` is invalid, no program responds, another program responds, or the bridge is not ready.
pub fn run(url: Option<String>) -> Result<(), CommandError> {
    let urls = match url {
        Some(url) => vec![url],
        None => reachable(ops_listen_from_env()?).iter().map(|address| format!("http://{address}/readyz")).collect(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::Negative(error.into()))?;
    let answer = runtime.block_on(ask_any(&urls)).map_err(CommandError::Negative)?;
    let mut output = Output::new();
    output.line(plain(answer.trim_end()));
    // The exit codes of this command are 0 and 1 only.
    output.finish().map_err(|error| CommandError::Negative(error.into()))
}

/// Why an address gave no positive response.
enum NoAnswer {
    /// No program listens there. The next address may be the right one.
    Silent(String),
    /// A program responded, but not as a ready bridge, or it stopped responding.
    Negative(anyhow::Error),
}

/// Returns the response of the first address that accepts a connection.
async fn ask_any(urls: &[String]) -> anyhow::Result<String> {
    let mut silent = Vec::new();
    for url in urls {
        match ask(url).await {
            Ok(answer) => return Ok(answer),
            Err(NoAnswer::Silent(error)) => silent.push(error),
            Err(NoAnswer::Negative(error)) => return Err(error),
        }
    }
    Err(anyhow!("{}", silent.join("; ")))
}

/// Returns the response of one address.
async fn ask(url: &str) -> Result<String, NoAnswer> {
    let client = client().map_err(NoAnswer::Negative)?;
    match client.get(url).send().await {
        Ok(answer) => judge(url, answer).await.map_err(NoAnswer::Negative),
        Err(error) if error.is_connect() => {
            Err(NoAnswer::Silent(format!("{url} does not respond: {}", http_client::failure(&error))))
        }
        Err(error) => Err(NoAnswer::Negative(anyhow::Error::new(error).context(format!("{url} does not respond")))),
    }
}

/// Without proxy and redirects: another program could respond for a bridge that is not running.
fn client() -> anyhow::Result<reqwest::Client> {
    let client = http_client::plain()?.no_proxy().redirect(reqwest::redirect::Policy::none());
    Ok(client.timeout(TIMEOUT).build()?)
}

/// Returns the text of a response if a bridge gave it and is ready.
async fn judge(url: &str, answer: reqwest::Response) -> anyhow::Result<String> {
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    let shown = || plain(&text).chars().take(SHOWN_MAX_CHARS).collect::<String>();
    let is_ready = serde_json::from_str::<Value>(&text).ok().and_then(|answer| answer["ready"].as_bool());
    match is_ready {
        Some(true) if status.is_success() => Ok(text),
        None if status.is_success() => bail!("{url} responds {status}, but it is not a recall-bridge: {}", shown()),
        _ => bail!("{url} responds {status}: {}", shown()),
    }
}

/// Returns the addresses that reach a listener. For a wildcard address these are the loopback addresses. Some systems
/// reach an IPv6 wildcard listener over IPv4 only, so both are tried.
fn reachable(address: SocketAddr) -> Vec<SocketAddr> {
    let at = |ip: IpAddr| SocketAddr::new(ip, address.port());
    let (v4, v6) = (at(Ipv4Addr::LOCALHOST.into()), at(Ipv6Addr::LOCALHOST.into()));
    match address.ip() {
        ip if !ip.is_unspecified() => vec![address],
        IpAddr::V4(_) => vec![v4, v6],
        IpAddr::V6(_) => vec![v6, v4],
    }
}
