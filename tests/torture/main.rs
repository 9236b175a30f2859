//! Process-level torture on a real Apache Kafka: `scripts/torture --minutes 5 --seed 7`.
//!
//! A bridge is killed, frozen and starved of disk, its brokers are killed and frozen, and the network
//! between them is cut, delayed and made to deliver the end of a transaction during a later one,
//! while senders go on. At the end every recall that was acknowledged has to be in the topic, once
//! and in order, and nothing else may be there. `docs/reliability.md` says what came of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking, and reports on its terminal"
)]

use test_support::kafka::{broker, proxy};
use test_support::{bridge, http, process, random, sender, wait};

mod arena;
mod campaign;
mod checker;
mod cluster;
mod disk;
mod evidence;
mod faults;
mod history;
mod load;
mod node;
mod options;
mod outage;
mod reader;
mod report;
mod schedule;
mod seen;
mod sighting;
mod torment;

use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser as _;
use tempfile::TempDir;

use options::{Mode, Options};

fn main() -> ExitCode {
    let options = Options::parse();
    // Starts this program anew, before it has begun anything.
    let disk = if options.mode == Mode::Faults { disk::small_disk() } else { None };
    let seed = options.seed.unwrap_or_else(new_seed);
    eprintln!("torture: seed {seed}");
    let prefix = format!("torture-{seed}-");
    let home = tempfile::Builder::new().prefix(&prefix).tempdir_in(env!("CARGO_TARGET_TMPDIR"));
    let home = home.expect("a directory below target/tmp");
    let outcome = match options.mode {
        Mode::Faults => campaign::run(&options, seed, disk.as_deref(), home.path()).map(|report| {
            println!("{report}\n{}\n{}", report.row(), report.json());
            report.is_clean()
        }),
        Mode::Outage => outage::run(&options, seed, home.path()).map(|outage| {
            println!("{outage}{}", outage.json());
            outage.is_clean()
        }),
    };
    finish(outcome, home, disk.as_deref(), options.keep)
}

fn finish(outcome: Result<bool, String>, home: TempDir, disk: Option<&Path>, keep: bool) -> ExitCode {
    let clean = outcome.unwrap_or_else(|error| {
        eprintln!("torture: the run could not be finished: {error}");
        false
    });
    if !clean || keep {
        let home = home.keep();
        if let Some(disk) = disk {
            // It is gone with this process.
            bridge::copy_dir(&disk.join("spool"), &home.join("spool"));
        }
        eprintln!("torture: kept in {}", home.display());
    }
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn new_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    // Short enough to be typed.
    u64::from(since.subsec_nanos()) % 1_000_000
}
