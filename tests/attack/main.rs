//! Strangers attack a real bridge while legitimate senders go on: `cargo test --features real-attack --test
//! attack`. Takes minutes and most of the processors. All load stays on loopback and ends by itself.
//!
//! Each attack runs for some seconds beside 100 signed webhooks per second, half of them over kept and half
//! over fresh connections. None of these may fail, their 99th percentile may be at most three times that of the same load
//! without the attack, and 20 ms more, memory stays below a bound, and afterwards descriptors are given back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

#[path = "../support/bridge.rs"]
#[allow(dead_code, reason = "shared between suites; each uses a part")]
mod bridge;
#[path = "../bridge/mock.rs"]
#[allow(dead_code, reason = "shared between suites; each uses a part")]
mod mock;
#[path = "../support/sender.rs"]
#[allow(dead_code, reason = "shared between suites; each uses a part")]
mod sender;
#[path = "../support/topic.rs"]
#[allow(dead_code, reason = "shared between suites; each uses a part")]
mod topic;

mod connections;
mod floods;
mod legitimate;
mod scene;
