//! The page of the operations listener in a headless Chromium, on a real bridge. The tests cause every state that the
//! page shows: `cargo test --features real-browser --test page`, after `scripts/page-tools`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

use test_support::{bridge, cli, mock, process, sender};

mod browser;
mod hostile;
mod tables;
mod verdicts;

use bridge::{APP, Bridge, TOKEN};
use sender::Sender;

fn sender(bridge: &Bridge) -> Sender {
    Sender::new(&bridge.url(), APP, TOKEN)
}
