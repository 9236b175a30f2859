//! recall-bridge: Tencent Cloud Chat recall webhooks, published to Apache Kafka exactly once.

pub mod config;
pub mod ops;
pub mod publisher;
pub mod spool;
pub mod telemetry;
