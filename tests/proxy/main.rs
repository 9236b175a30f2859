//! Load balancers with their shipped configuration (`deploy/haproxy`, `deploy/nginx`) before two real bridges that
//! restart under load: `cargo test --features real-proxy --test proxy`. Needs the Debian packages haproxy and nginx.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

use test_support::{bridge, load, mock, process, random};

mod balancer;
mod restarts;
