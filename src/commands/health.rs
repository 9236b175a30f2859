//! `recall-bridge health`: is the bridge of this host ready? For container health checks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;

use super::output::Output;
use super::{CommandError, http_client};
use crate::config::ops_listen_from_env;
use crate::escape::plain;

const TIMEOUT: Duration = Duration::from_secs(3);
/// Of an answer that is shown.
const SHOWN_MAX_CHARS: usize = 1000;

/// Asks `/readyz`; prints its answer.
///
/// # Errors
/// `BRIDGE_OPS_LISTEN` is faulty, there is no answer, another program answers, or the bridge is not
/// ready.
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
    // Its exit codes are 0 and 1.
    output.finish().map_err(|error| CommandError::Negative(error.into()))
}

/// The answer of the first address that one can connect to.
async fn ask_any(urls: &[String]) -> anyhow::Result<String> {
    let mut silent = Vec::new();
    for url in urls {
        match ask(url).await? {
            Ok(answer) => return Ok(answer),
            Err(silence) => silent.push(silence),
        }
    }
    Err(anyhow!("{}", silent.join("; ")))
}

/// What one address answers; the inner error: nothing listens there.
async fn ask(url: &str) -> anyhow::Result<Result<String, String>> {
    // Never by a proxy: it would answer for a bridge that is dead. Nor elsewhere.
    let client = http_client::plain()?.no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(TIMEOUT);
    let answer = match client.build()?.get(url).send().await {
        Ok(answer) => answer,
        Err(error) if error.is_connect() => {
            return Ok(Err(format!("{url} does not answer: {}", http_client::failure(&error))));
        }
        Err(error) => return Err(error).with_context(|| format!("{url} does not answer")),
    };
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    let shown = || plain(&text).chars().take(SHOWN_MAX_CHARS).collect::<String>();
    let is_ready = serde_json::from_str::<Value>(&text).ok().and_then(|answer| answer["ready"].as_bool());
    match is_ready {
        Some(true) if status.is_success() => Ok(Ok(text)),
        None if status.is_success() => bail!("{url} answers {status}, but not as a recall-bridge does: {}", shown()),
        _ => bail!("{url} answers {status}: {}", shown()),
    }
}

/// A wildcard address is listened on, not connected to; one of IPv6 is reached by both families
/// where the system has both.
fn reachable(address: SocketAddr) -> Vec<SocketAddr> {
    let at = |ip: IpAddr| SocketAddr::new(ip, address.port());
    let (v4, v6) = (at(Ipv4Addr::LOCALHOST.into()), at(Ipv6Addr::LOCALHOST.into()));
    match address.ip() {
        ip if !ip.is_unspecified() => vec![address],
        IpAddr::V4(_) => vec![v4, v6],
        IpAddr::V6(_) => vec![v6, v4],
    }
}
