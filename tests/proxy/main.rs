//! Load balancers as shipped (`deploy/haproxy`, `deploy/nginx`) before two real bridges that are
//! restarted under load: `cargo test --features real-proxy --test proxy`. Needs Debian's haproxy and
//! nginx.
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
