//! Metrics, health and status for the operator, on a separate listener.

pub mod history;
pub mod metrics;
pub mod panel;
mod quantile;
pub mod recent;
pub mod recorder;
pub mod sampler;
pub mod server;
pub mod status;
pub mod verdict;
