//! Executes the plan for the bridge, and observes its process.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::arena::Arena;
use crate::disk::Ballast;
use crate::load::Load;
use crate::node::{Node, sample};
use crate::random::Random;
use crate::reader::Reader;
use crate::schedule::{self, BridgeFault};

const PROGRESS: Duration = Duration::from_secs(10);
/// The interval between two checks of the bridge's process.
const GLANCE: Duration = Duration::from_millis(20);
/// The time between two starts of a bridge that ends by itself.
const ANOTHER_TRY: Duration = Duration::from_millis(100);
/// The time within which a webhook begins while the bridge runs.
const NEXT_WEBHOOK: Duration = Duration::from_secs(1);
/// The time after a full disk during which the full disk may explain an exit.
const AFTERMATH: Duration = Duration::from_secs(3);
/// The limit for a clean stop: longer than the shutdown grace period.
pub(crate) const STOP: Duration = Duration::from_secs(30);

/// The bridge's own metrics, read before each end of its process.
#[derive(Default)]
pub(crate) struct Lives {
    pub(crate) doubts: u64,
    pub(crate) found: u64,
    /// Exits that no fault explains.
    pub(crate) ended: Vec<String>,
    /// Starts that failed, and exits, while the disk was full.
    pub(crate) refused_starts: u64,
}

/// The bridge under its faults, and its observers.
pub(crate) struct Torment<'a> {
    pub(crate) arena: &'a Arena,
    pub(crate) load: &'a Load,
    pub(crate) reader: &'a Reader,
    /// The file system to fill.
    pub(crate) disk: Option<&'a Path>,
    pub(crate) node: &'a mut Node,
    pub(crate) lives: Lives,
    full: Option<(Ballast, Instant)>,
    was_full: Option<Instant>,
    progress: Instant,
}

impl<'a> Torment<'a> {
    pub(crate) fn new(
        arena: &'a Arena,
        load: &'a Load,
        reader: &'a Reader,
        disk: Option<&'a Path>,
        node: &'a mut Node,
    ) -> Self {
        let (lives, progress) = (Lives::default(), Instant::now());
        Self { arena, load, reader, disk, node, lives, full: None, was_full: None, progress }
    }

    /// Injects faults until the run is over, and then frees the disk.
    pub(crate) fn run(&mut self, every: f64, random: &mut Random) {
        loop {
            let step = schedule::bridge(random, if every > 0.0 { every } else { 1.0 });
            if !self.pass(step.after) {
                self.free();
                return;
            }
            if every > 0.0 {
                self.inflict(step.fault);
            }
        }
    }

    /// Waits until the bridge responds again.
    pub(crate) fn revive(&mut self) {
        let until = Instant::now() + STOP;
        while self.node.probe().ops("/livez").is_none() && Instant::now() < until {
            self.look();
            thread::sleep(GLANCE);
        }
    }

    /// Adds the metrics of the current process, if it responds.
    pub(crate) fn collect(&mut self) {
        if let Some(page) = self.node.probe().ops("/metrics") {
            self.lives.doubts += sample(&page, "kafka_transactions_total{result=\"doubt\"}").unwrap_or(0);
            self.lives.found += sample(&page, "read_back_found_total").unwrap_or(0);
        }
    }

    /// Waits. Returns whether the run continues.
    fn pass(&mut self, length: Duration) -> bool {
        let until = Instant::now() + length;
        loop {
            if !self.arena.pause(until.saturating_duration_since(Instant::now()).min(GLANCE)) {
                return false;
            }
            self.look();
            if Instant::now() >= until {
                return true;
            }
        }
    }

    fn inflict(&mut self, fault: BridgeFault) {
        match fault {
            BridgeFault::Kill => {
                self.collect();
                self.kill();
            }
            BridgeFault::KillWhileSending(later) => {
                self.collect();
                self.load.until_sending(NEXT_WEBHOOK);
                thread::sleep(later);
                self.kill();
            }
            BridgeFault::Freeze(length) => {
                self.arena.note(&format!("bridge: SIGSTOP for {length:.1?}"));
                self.load.bridge_is_hindered();
                self.node.signal(Signal::STOP);
                self.arena.count_silence("bridge_freezes", length);
                self.arena.pause(length);
                self.node.signal(Signal::CONT);
                self.arena.note("bridge: SIGCONT");
            }
            BridgeFault::StopAndFillDisk(lasts) => {
                // The process may be waiting for space to start. Another stop must not end that wait.
                if self.full.is_none() {
                    self.stop();
                    self.fill(lasts);
                }
            }
        }
    }

    fn kill(&mut self) {
        if self.node.ended().is_some() {
            // The process has already ended.
            self.look();
            return;
        }
        self.node.kill();
        self.load.bridge_was_killed();
        self.node.restart();
        self.arena.note("bridge: SIGKILL");
        self.arena.count("bridge_kills", 1);
    }

    fn stop(&mut self) {
        self.collect();
        self.load.bridge_is_hindered();
        self.arena.note("bridge: SIGTERM");
        self.arena.count("bridge_stops", 1);
        // A process that ended by itself before this point does not count as stopped.
        self.look();
        let status = self.node.stop(STOP);
        if !status.is_some_and(|status| status.success()) {
            self.lives.ended.push(format!("a stop by SIGTERM ended with {status:?}"));
            self.node.kill();
        }
        self.node.restart();
    }

    fn fill(&mut self, lasts: Duration) {
        let Some(disk) = self.disk else { return };
        self.arena.note(&format!("disk: full for {lasts:.1?}"));
        self.arena.count("disk_full", 1);
        self.full = Some((Ballast::fill(disk), Instant::now() + lasts));
    }

    fn free(&mut self) {
        if self.full.take().is_some() {
            self.arena.note("disk: has room again");
            self.was_full = Some(Instant::now());
        }
    }

    /// Frees the disk when its time is over, and restarts a bridge that ended by itself.
    fn look(&mut self) {
        if self.full.as_ref().is_some_and(|(_, until)| Instant::now() >= *until) {
            self.free();
        }
        let disk_is_why = self.full.is_some() || self.was_full.is_some_and(|at| at.elapsed() < AFTERMATH);
        if disk_is_why {
            self.load.bridge_is_hindered();
        }
        if self.progress.elapsed() >= PROGRESS {
            self.progress = Instant::now();
            self.show();
        }
        let Some(status) = self.node.ended() else { return };
        self.arena.note(&format!("bridge: ended by itself, {status}"));
        if disk_is_why {
            self.lives.refused_starts += 1;
        } else {
            let at = self.arena.since_start().as_secs_f64();
            self.lives.ended.push(format!("the bridge ended by itself at {at:.3} s: {status}"));
        }
        thread::sleep(ANOTHER_TRY);
        self.node.restart();
    }

    fn show(&self) {
        let counts = self.arena.counts();
        let of = |what: &str| counts.get(what).copied().unwrap_or(0);
        eprintln!(
            "torture: {:6.0} s, {} acknowledged, {} published, {} bridge kills, {} broker kills, {} disk full",
            self.arena.since_start().as_secs_f64(),
            self.load.acknowledged(),
            self.reader.records(),
            of("bridge_kills"),
            of("broker_kills"),
            of("disk_full"),
        );
    }
}
