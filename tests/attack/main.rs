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

use test_support::{bridge, mock, sender};

mod connections;
mod floods;
mod legitimate;
mod scene;
