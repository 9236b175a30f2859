//! Metrics, health and status for the operator, on a separate listener.

mod actions;
mod assets;
pub mod desk;
pub mod history;
pub mod metrics;
pub mod panel;
mod params;
mod quantile;
pub mod recent;
pub mod recorder;
pub mod sampler;
pub mod server;
pub mod status;
pub mod tables;
pub mod verdict;
