//! The consumers of `examples/` against a real Redis and a real PostgreSQL, behind a real bridge and
//! broker: `scripts/example-tools`, then
//! `cargo test --features real-kafka,real-stores --test kafka stores::`.
//!
//! Every proof is run with every consumer: what they promise is the same.

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

/// What a consumer that dies costs the others of its group, at most: its session.
const QUICK_GROUPS: &[(&str, &str)] = &[("group.min.session.timeout.ms", "1000")];

/// One broker for all tests that leave it as it was.
fn broker() -> &'static Broker {
    static SHARED: OnceLock<Broker> = OnceLock::new();
    SHARED.get_or_init(|| Broker::start_with(QUICK_GROUPS))
}

/// Makes a test of each proof for each consumer.
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
