//! The promise against a real Apache Kafka: `scripts/kafka-libs`, then
//! `cargo test --features real-kafka --test kafka`.
//!
//! Each file is named after what it proves. Whatever is random is printed as a seed;
//! `BRIDGE_TEST_SEED` replays it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

#[path = "../support/bridge.rs"]
#[allow(dead_code, clippy::needless_pass_by_value, reason = "shared between suites; each uses a part")]
mod bridge;
#[path = "../support/pki.rs"]
#[allow(dead_code, reason = "shared between suites; each uses a part")]
mod pki;
#[path = "../support/sender.rs"]
#[allow(dead_code, reason = "shared between suites; each uses a part")]
mod sender;
#[path = "../support/topic.rs"]
#[allow(dead_code, reason = "shared between suites; each uses a part")]
mod topic;

mod audit;
mod broker;
mod http;
mod load;
mod proxy;
mod scene;
mod seed;
mod wait;

mod at_least_once;
mod authorization;
mod bridge_killed;
mod broker_restarts;
mod check_config;
mod end_to_end;
mod kafka_away;
mod late_end_txn;
mod new_node;
mod partitions_added;
mod quarantine_requeued;
mod record_refused;
mod secrets;
mod slow_link;
mod spool_copied;
mod spool_shared;
#[cfg(feature = "real-stores")]
mod stores;
mod tls;
mod topic_missing;
mod two_bridges;
mod watermark_lags;
