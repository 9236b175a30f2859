//! Shared code of the test suites: the bridge as a process, brokers, senders, load, and waiting.
//!
//! A suite imports the modules that it needs at its root, `use test_support::{bridge, sender};`, and its files use
//! `crate::bridge`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::new_without_default,
    clippy::return_self_not_must_use,
    missing_docs,
    reason = "a test fails by panicking"
)]

pub mod bridge;
pub mod cli;
pub mod get;
pub mod http;
pub mod kafka;
pub mod load;
pub mod mock;
pub mod pki;
pub mod process;
pub mod promtext;
pub mod random;
pub mod raw;
pub mod sender;
pub mod spool;
pub mod topic;
pub mod wait;
