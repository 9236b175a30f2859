//! Tests the bridge as a black box: the real process, real TCP, an embedded broker. Only the toolchain is needed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]
#![allow(clippy::float_cmp, clippy::cast_precision_loss, reason = "metrics are whole numbers in f64")]

use test_support::{bridge, cli, mock, pki, process, promtext, random, raw, sender, spool, topic};

mod faulty_disk;
#[cfg(feature = "real-disk")]
mod namespace;

mod acceptance;
mod accounting;
mod ack_after;
mod bounds;
mod clock_steps;
mod commands;
mod control_socket;
mod crash;
mod damage;
mod delivery;
mod delivery_bounds;
#[cfg(feature = "real-disk")]
mod disk;
mod documented;
mod edge;
mod environment;
mod faults;
mod find;
mod forgotten;
mod http;
mod identities;
mod interrupted;
mod io_campaign;
mod io_errors;
mod io_reads;
mod kept;
mod lifecycle;
mod log_events;
mod logging;
mod loopback;
mod moved;
mod needs_you;
mod node_view;
mod outcomes;
mod page;
mod printing;
mod quarantine_bounds;
mod quarantine_changes;
mod quarantine_commands;
mod quarantine_crash;
mod refused_file;
mod refused_list;
mod refused_replay;
mod repeat_window;
mod repeats;
mod replay;
mod restored;
mod schema;
mod secrets;
mod smoke;
mod spool_access;
mod spool_commands;
mod spool_failure;
mod systemd;
mod tail_select;
mod tail_verify;
mod tls;
mod tls_faults;
mod tls_reload;
mod unknown_outcome;
mod vectors;
mod wal;
