//! Metrics, health and status for the operator, on a separate listener.

pub mod metrics;
pub mod panel;
pub mod sampler;
pub mod server;
pub mod status;
