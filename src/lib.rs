//! recall-bridge: Tencent Cloud Chat recall webhooks, published to Apache Kafka exactly once.

pub mod config;
pub mod telemetry;
