//! `docker-compose.yml` as it is, from the build of its images to the removal of its volumes.
//!
//! `cargo test --features real-compose --test compose`, where a Docker engine answers; elsewhere
//! `COMPOSE` names a command that understands the same arguments. With neither it fails.
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
