//! Tests the consumers of `examples/` with a real Redis, PostgreSQL, broker and bridge. Run `scripts/example-tools`,
//! then `cargo test --features real-kafka,real-stores --test kafka stores::`.
//!
//! All consumers give the same guarantees, so `for_every_consumer!` runs a test with each of them.

mod archive;
mod consumer;
mod copies;
mod documented;
mod killed;
mod postgres;
mod purged;
mod redis;
mod store_away;

use std::sync::OnceLock;

use crate::broker::Broker;

use consumer::{Consumer, Kind};
use copies::{Copy, Store, copies, names};

/// Allows consumers to have short sessions. After a consumer is killed, its group waits for the end of its session.
const QUICK_GROUPS: &[(&str, &str)] = &[("group.min.session.timeout.ms", "1000")];

/// Returns the shared broker, for tests that do not change it.
fn broker() -> &'static Broker {
    static SHARED: OnceLock<Broker> = OnceLock::new();
    SHARED.get_or_init(|| Broker::start_with(QUICK_GROUPS))
}

/// Defines one test for each of the functions and each consumer.
macro_rules! for_every_consumer {
    ($($proof:ident)*) => {
        mod rust_redis { $(#[test] fn $proof() { super::$proof($crate::stores::Kind::RustRedis); })* }
        mod python_redis { $(#[test] fn $proof() { super::$proof($crate::stores::Kind::PythonRedis); })* }
        mod python_archive { $(#[test] fn $proof() { super::$proof($crate::stores::Kind::PythonArchive); })* }
        mod java_redis { $(#[test] fn $proof() { super::$proof($crate::stores::Kind::JavaRedis); })* }
        mod go_redis { $(#[test] fn $proof() { super::$proof($crate::stores::Kind::GoRedis); })* }
        mod node_redis { $(#[test] fn $proof() { super::$proof($crate::stores::Kind::NodeRedis); })* }
    };
}
use for_every_consumer;
