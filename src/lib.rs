//! recall-bridge: Tencent Cloud Chat recall webhooks, published to Apache Kafka exactly once.

pub mod app;
pub mod commands;
pub mod config;
pub mod ingest;
pub mod ops;
pub mod publisher;
pub mod record;
pub mod seq_set;
pub mod spool;
pub mod telemetry;
pub mod verify;
pub mod webhook;
