//! Process-level torture with a real Apache Kafka: `scripts/torture --minutes 5 --seed 7`.
//!
//! The run kills and freezes the bridge and its brokers and fills the bridge's disk. It cuts and delays the network
//! between them, and delivers the end of a transaction during a later transaction. The senders continue during all of
//! this. At the end, the topic must contain every acknowledged recall once and in order, and no other record.
//! `docs/reliability.md` shows the results.
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
    // This restarts the program, so it comes before everything that has an effect.
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
            // The disk disappears with this process.
            bridge::copy_dir(&disk.join("spool"), &home.join("spool"));
        }
        eprintln!("torture: kept in {}", home.display());
    }
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn new_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    // Small enough to type.
    u64::from(since.subsec_nanos()) % 1_000_000
}
