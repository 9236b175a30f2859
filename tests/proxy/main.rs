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

mod balancer;
mod load;
mod restarts;
