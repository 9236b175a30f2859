//! `recall-bridge top`: the state of a running node, live.

mod screen;

use std::io::IsTerminal as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::CommandError;
use super::node_client::NodeClient;
use super::output::Output;

/// The last minutes that are shown.
const MINUTES: u32 = 10;
/// Moves the cursor to the first cell, and clears the screen from there.
const CLEAR: &str = "\x1b[H\x1b[J";
const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";

/// Arguments of `top`.
#[derive(Debug, clap::Args)]
pub struct TopArgs {
    /// Address of the operations listener, such as <http://node-1:9100>, if it is not `BRIDGE_OPS_LISTEN`.
    #[arg(long)]
    url: Option<String>,
    /// Seconds between two requests.
    #[arg(long, default_value = "2", value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// Print once, and end.
    #[arg(long)]
    once: bool,
    /// Print one JSON object per line: status, history and tables.
    #[arg(long)]
    json: bool,
}

/// Shows the node until Ctrl-C. Without a terminal, prints one screen after the other.
///
/// # Errors
/// With `--once`, the node does not respond; otherwise the screen says so.
pub fn run(args: &TopArgs) -> Result<(), CommandError> {
    let node = NodeClient::new(args.url.as_deref())?;
    let is_live = !args.once && !args.json && std::io::stdout().is_terminal();
    let mut output = Output::live();
    if is_live {
        output.styled(HIDE_CURSOR);
    }
    let shown = super::block_on(show(args, &node, is_live, &mut output));
    if is_live {
        output.styled(SHOW_CURSOR);
    }
    shown.map_err(CommandError::Outside)?;
    output.finish()
}

async fn show(args: &TopArgs, node: &NodeClient, is_live: bool, output: &mut Output) -> anyhow::Result<()> {
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let seen = see(node).await;
        if args.once {
            print(output, &seen?, args.json, is_live);
            return Ok(());
        }
        let seen = seen.unwrap_or_else(|error| json!({ "error": format!("{error:#}") }));
        if !print(output, &seen, args.json, is_live) {
            return Ok(());
        }
        tokio::select! {
            _ = &mut interrupted => return Ok(()),
            () = tokio::time::sleep(Duration::from_secs(args.interval)) => {}
        }
    }
}

/// Everything that one screen shows.
async fn see(node: &NodeClient) -> anyhow::Result<Value> {
    let history = node.json(&format!("/history?minutes={MINUTES}")).await?;
    let mut seen = json!({ "status": node.json("/status").await?, "history": history });
    for table in screen::TABLES {
        seen[table.name] = node.json(table.path).await?;
    }
    Ok(seen)
}

/// Returns `false` if further output would be lost.
fn print(output: &mut Output, seen: &Value, json: bool, is_live: bool) -> bool {
    if json {
        return output.json(seen);
    }
    if is_live {
        output.styled(CLEAR);
    }
    screen::lines(seen).iter().all(|line| output.line(line))
}
