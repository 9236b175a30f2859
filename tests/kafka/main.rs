//! Tests the guarantees of the bridge with a real Apache Kafka. Run `scripts/kafka-libs`, then
//! `cargo test --features real-kafka --test kafka`.
//!
//! Each file is named after its subject. A test with random choices prints its seed. To repeat the choices, set
//! `BRIDGE_TEST_SEED` to this seed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

use test_support::kafka::{broker, proxy};
use test_support::{bridge, load, pki, process, random, sender, spool, topic, wait};

mod audit;
mod scene;

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
mod replayed;
mod secrets;
mod slow_link;
mod spool_copied;
mod spool_shared;
#[cfg(feature = "real-stores")]
mod stores;
mod tail_busy;
mod tls;
mod topic_missing;
mod two_bridges;
mod watermark_lags;
