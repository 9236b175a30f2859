//! Requests to the operations listener of a node, for `health`, `status` and `top`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{anyhow, bail, ensure};
use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};
use serde_json::Value;

use super::CommandError;
use super::http_client::{self, ClientTls};
use crate::config::ops_listen_from_env;
use crate::escape::plain;

const TIMEOUT: Duration = Duration::from_secs(3);
/// The longest response that is read: `/history` of a day has about 1.5 MB.
const BYTES_MAX: usize = 16 << 20;
/// The longest part of an unexpected response that is shown.
const SHOWN_MAX_CHARS: usize = 1000;

/// A client for one node.
#[derive(Debug)]
pub(super) struct NodeClient {
    client: reqwest::Client,
    /// Addresses of the node, in the order in which they are tried.
    urls: Vec<Url>,
}

/// A response of the node.
pub(super) struct NodeResponse {
    pub(super) url: Url,
    pub(super) status: StatusCode,
    pub(super) text: String,
}

/// Why an address gave no response.
enum NoAnswer {
    /// No program listens there. The next address may be the right one.
    Silent(String),
    /// The program stopped responding.
    Failed(anyhow::Error),
}

impl NodeClient {
    /// Returns a client of the node at `url`; without a URL, of the node at `BRIDGE_OPS_LISTEN`. Only scheme, host and
    /// port of the URL are used.
    ///
    /// # Errors
    /// The URL or the variable is invalid.
    pub(super) fn new(url: Option<&str>) -> Result<Self, CommandError> {
        let parse = |url: &str| {
            let fix = "write it as http://host:9100";
            Url::parse(url).map_err(|error| CommandError::Usage(anyhow!("--url {}: {error}; {fix}", plain(url))))
        };
        let urls = match url {
            Some(url) => vec![parse(url)?],
            None => reachable(ops_listen_from_env()?)
                .iter()
                .map(|address| parse(&format!("http://{address}/")))
                .collect::<Result<_, _>>()?,
        };
        let client = client(urls.first()).map_err(CommandError::Outside)?;
        Ok(Self { client, urls })
    }

    /// The path of the URL.
    pub(super) fn path(&self) -> Option<&str> {
        self.urls.first().map(Url::path)
    }

    /// Requests a path, such as `/status`.
    ///
    /// # Errors
    /// No address of the node responds.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<NodeResponse> {
        let mut silent = Vec::new();
        for base in &self.urls {
            let url = base.join(path)?;
            match self.ask(url).await {
                Ok(response) => return Ok(response),
                Err(NoAnswer::Silent(error)) => silent.push(error),
                Err(NoAnswer::Failed(error)) => return Err(error),
            }
        }
        bail!("{}", silent.join("; "))
    }

    /// Requests a path and reads its JSON.
    ///
    /// # Errors
    /// As [`Self::get`], or the response is not 200 or not JSON.
    pub(super) async fn json(&self, path: &str) -> anyhow::Result<Value> {
        let response = self.get(path).await?;
        if response.status != StatusCode::OK {
            bail!("{}", response.unexpected());
        }
        serde_json::from_str(&response.text).map_err(|_| anyhow!("{}", response.unexpected()))
    }

    async fn ask(&self, url: Url) -> Result<NodeResponse, NoAnswer> {
        let failed = |error: anyhow::Error| NoAnswer::Failed(error.context(format!("{url} does not respond")));
        let response = self.client.get(url.clone()).send().await.map_err(|error| {
            if error.is_connect() {
                NoAnswer::Silent(format!("{url} does not respond: {}", http_client::failure(&error)))
            } else {
                failed(error.into())
            }
        })?;
        let status = response.status();
        let text = read(response).await.map_err(failed)?;
        Ok(NodeResponse { url, status, text })
    }
}

impl NodeResponse {
    /// The text of an error about this response.
    pub(super) fn unexpected(&self) -> String {
        let shown: String = plain(&self.text).chars().take(SHOWN_MAX_CHARS).collect();
        format!("{} responds {}: {shown}", self.url, self.status)
    }
}

async fn read(mut response: reqwest::Response) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        ensure!(bytes.len() + chunk.len() <= BYTES_MAX, "the response has more than {BYTES_MAX} bytes");
        bytes.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Without redirects, and without a proxy for http: another program could respond for a bridge that is not running. A
/// load balancer may offer https.
fn client(url: Option<&Url>) -> anyhow::Result<reqwest::Client> {
    let client = match url {
        Some(url) if url.scheme() == "https" => http_client::for_url(url, &ClientTls::default())?,
        _ => http_client::plain()?.no_proxy(),
    };
    Ok(client.redirect(Policy::none()).timeout(TIMEOUT).build()?)
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
