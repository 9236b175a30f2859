//! `recall-bridge health`: asks the bridge on this host whether it is ready. For container health checks.

use anyhow::bail;
use serde_json::Value;

use super::CommandError;
use super::node_client::NodeClient;
use super::output::Output;
use crate::escape::plain;

/// Requests `/readyz` and prints the response.
///
/// # Errors
/// `BRIDGE_OPS_LISTEN` is invalid, no program responds, another program responds, or the bridge is not ready.
pub fn run(url: Option<&str>) -> Result<(), CommandError> {
    let node = NodeClient::new(url)?;
    let path = node.path().filter(|path| *path != "/").unwrap_or("/readyz").to_owned();
    // The exit codes of this command are 0 and 1 only.
    let answer = super::block_on(ask(&node, &path)).map_err(CommandError::Negative)?;
    let mut output = Output::new();
    output.line(plain(answer.trim_end()));
    output.finish().map_err(|error| CommandError::Negative(error.into()))
}

/// Returns the response if a bridge gave it and is ready.
async fn ask(node: &NodeClient, path: &str) -> anyhow::Result<String> {
    let response = node.get(path).await?;
    let is_ready = serde_json::from_str::<Value>(&response.text).ok().and_then(|answer| answer["ready"].as_bool());
    match is_ready {
        Some(true) if response.status.is_success() => Ok(response.text),
        None if response.status.is_success() => bail!("{}, but it is not a recall-bridge", response.unexpected()),
        _ => bail!("{}", response.unexpected()),
    }
}
