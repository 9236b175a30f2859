//! What the suites share: the bridge as a process, its brokers, senders, load, and how a test waits.
//!
//! A suite names what it uses at its root, `use test_support::{bridge, sender};`, and its files say
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
