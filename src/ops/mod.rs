//! What the operator sees: metrics, health and status, on a listener of its own.

pub mod metrics;
pub mod panel;
pub mod sampler;
pub mod server;
pub mod status;
