//! The publisher's state machine in a simulated world, with schedules of faults. A seed determines each schedule.
//!
//! A schedule is some dozens of steps of a bridge, and sometimes of a copy of it. Between any two steps, a fault may
//! happen to a request, to Kafka, to the topic, to the spool or to the bridge. Then the faults end, the bridges
//! publish every event, and the test compares the topic with the accepted recalls.
//!
//! `SIMULATION_SCHEDULES=100000` sets the number of schedules, and `SIMULATION_SEED=7` the first seed. If a schedule
//! finds a violation, the test prints its seed and runs it again with a trace. `SIMULATION_SCHEDULES=1` with that seed
//! repeats it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking, and reports on its terminal"
)]

use test_support::random;

mod client;
mod disk;
mod faults;
mod kafka;
mod ledger;
mod look;
mod network;
mod node;
mod operators;
mod topic;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use faults::{Counts, KINDS};
use world::{Breakage, World};

/// The number of schedules of `cargo test` without variables.
const SCHEDULES: u64 = 5_000;
/// With fewer schedules, some kinds of faults may not happen.
const ENOUGH_SCHEDULES: u64 = 20_000;

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

/// Runs one schedule. Returns its counts, its result and its trace.
fn schedule(seed: u64, broken: Option<Breakage>, trace: bool) -> (Counts, Result<(), String>, Vec<String>) {
    let mut world = World::new(seed, broken, trace);
    let result = catch_unwind(AssertUnwindSafe(|| world.run()));
    let result = result.unwrap_or_else(|_| Err("a panic, see above".to_owned()));
    (world.counts, result, world.trace.unwrap_or_default())
}

/// Runs schedules on all processors. Returns the counts and a seed that found a violation.
fn campaign(first: u64, schedules: u64, broken: Option<Breakage>) -> (Counts, Option<u64>) {
    let next = AtomicU64::new(first);
    let failed = AtomicBool::new(false);
    let work = || {
        let mut counts = Counts::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + schedules || failed.load(Ordering::Relaxed) {
                return (counts, None);
            }
            let (happened, result, _) = schedule(seed, broken, false);
            counts.add(&happened);
            if result.is_err() {
                failed.store(true, Ordering::Relaxed);
                return (counts, Some(seed));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut counts = Counts::default();
        let mut seed = None;
        for worker in workers {
            let (happened, found) = worker.join().unwrap();
            counts.add(&happened);
            seed = seed.into_iter().chain(found).min();
        }
        (counts, seed)
    })
}

#[test]
fn accepted_events_are_committed_once_and_in_order_despite_faults() {
    let first = variable("SIMULATION_SEED", 1);
    let schedules = variable("SIMULATION_SCHEDULES", SCHEDULES);
    let started = Instant::now();
    let (counts, failed) = campaign(first, schedules, None);
    if let Some(seed) = failed {
        let (_, result, trace) = schedule(seed, None, true);
        for line in trace {
            println!("{line}");
        }
        let fault = result.expect_err("a seed determines its schedule");
        panic!(
            "{fault}\nAgain: SIMULATION_SEED={seed} SIMULATION_SCHEDULES=1 cargo test --locked --test simulation all_that"
        );
    }
    println!("{schedules} schedules from seed {first}: {:.1} s", started.elapsed().as_secs_f64());
    for (kind, name) in KINDS {
        println!("{:>10}  {name}", counts.0[*kind as usize]);
    }
    if schedules >= ENOUGH_SCHEDULES {
        assert_eq!(counts.missing(), Vec::<&str>::new(), "these never happened");
    }
}

#[test]
fn the_next_start_finds_records_that_a_copy_published() {
    for seed in 1..200 {
        World::new(seed, None, false).run_copy_while_the_original_stops().unwrap();
    }
    let broken = |seed| World::new(seed, Some(Breakage::EndsAtStop), false).run_copy_while_the_original_stops();
    assert!((1..200).any(|seed| broken(seed).is_err()), "the ends of the topic are no safe positions");
}

/// Every check must be able to fail: each of these drivers has one fault.
#[test]
fn the_simulation_detects_a_deliberately_broken_driver() {
    let breakages = [
        (Breakage::NoReadingBack, ""),
        (Breakage::NoFence, ""),
        (Breakage::ToStableOnly, ""),
        (Breakage::WatermarkFirst, ""),
        (Breakage::NotCompared, ""),
        (Breakage::QuarantinesUnknown, "is in the topic and in quarantine"),
    ];
    for (broken, expected) in breakages {
        let (_, found) = campaign(1, 20_000, Some(broken));
        let seed = found.unwrap_or_else(|| panic!("{broken:?} was not found"));
        let fault = schedule(seed, Some(broken), false).1.expect_err("a seed determines its schedule");
        println!("{broken:?}: seed {seed}: {fault}");
        assert!(fault.contains(expected), "{broken:?} was found by another check: {fault}");
    }
}
