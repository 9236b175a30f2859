//! Attacks on a real bridge while legitimate senders continue: `cargo test --features real-attack --test attack`. The
//! tests take minutes and most of the processors. All load stays on loopback and ends by itself.
//!
//! Each attack runs for some seconds beside 100 signed webhooks per second, half of them over kept and half over fresh
//! connections. No webhook may fail. Their 99th percentile may be at most 20 ms above three times the one of the same
//! load without the attack. The memory stays below a limit, and after the attack the bridge closes the descriptors.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

use test_support::{bridge, mock, sender};

mod connections;
mod floods;
mod legitimate;
mod scene;
