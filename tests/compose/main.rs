//! Tests `docker-compose.yml`, from the build of its images to the removal of its volumes.
//!
//! `cargo test --features real-compose --test compose` needs a Docker engine. On a machine without it, `COMPOSE` names
//! a command that accepts the same arguments. Without both, the tests fail.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

use test_support::{get, sender, topic};

mod channel;
mod stack;

mod whole_stack;
