//! The bridge as a black box: the real process, real TCP, an embedded broker. Needs the toolchain
//! only.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]
#![allow(clippy::float_cmp, reason = "metrics are whole numbers in f64")]

#[path = "../support/bridge.rs"]
#[allow(dead_code, reason = "shared between suites; each uses a part")]
mod bridge;
#[path = "../support/sender.rs"]
#[allow(dead_code, reason = "shared between suites; each uses a part")]
mod sender;
#[path = "../support/topic.rs"]
#[allow(dead_code, reason = "shared between suites; each uses a part")]
mod topic;

mod mock;
mod namespace;
mod promtext;
mod random;
mod raw;

mod accounting;
mod alert_rules;
mod bounds;
mod commands;
mod crash;
mod damage;
mod delivery;
mod disk;
mod doubt;
mod faults;
mod http;
mod lifecycle;
mod outcomes;
mod restored;
mod schema;
mod smoke;
mod systemd;
mod vectors;
