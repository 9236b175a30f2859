//! Compares the files that are shipped beside the binary with the binary: dashboard, alert rules, catalogue of
//! metrics, man pages and completions. The tests need only the toolchain, except [`prometheus`].
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]
#![allow(clippy::float_cmp, clippy::cast_precision_loss, reason = "metrics are whole numbers in f64")]

use test_support::{bridge, cli, process, promtext};
#[cfg(feature = "real-prometheus")]
use test_support::{get, mock, sender};

mod alert_rules;
mod alertmanager;
mod dashboard;
mod metric_catalogue;
mod packaging;
#[cfg(feature = "real-prometheus")]
mod prometheus;
