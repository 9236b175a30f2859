//! The sender never waits for Kafka: the same load with the broker running, with the broker stopped, and while the
//! bridge publishes the backlog.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::arena::Arena;
use crate::bridge::Setup;
use crate::campaign::drain;
use crate::checker::{Verdict, judge};
use crate::cluster::{Cluster, PARTITIONS, TOPIC};
use crate::evidence;
use crate::load::{Ledger, Load, PHASES, Shape};
use crate::node::{Node, Probe};
use crate::options::Options;
use crate::random::Random;
use crate::reader::read_all;
use crate::report::percentiles;
use crate::wait::until_settled;

const NAMES: [&str; PHASES] = ["warm-up", "broker up", "broker gone", "backlog drains"];
const WARM_UP: Duration = Duration::from_secs(10);
const SAMPLE: Duration = Duration::from_millis(100);
/// Far longer than the bridge needs to publish the backlog of any outage here.
const DRAIN: Duration = Duration::from_secs(900);
const STOP: Duration = Duration::from_secs(30);
/// The timeout of the vendor.
const VENDOR_MS: f64 = 2000.0;

/// A sample of the bridge's state.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    /// Resident memory in KiB.
    memory: u64,
    waiting: u64,
    published: u64,
}

pub(crate) struct Outage {
    seed: u64,
    options: Options,
    /// The start of each phase, and the end of the last one.
    bounds: Vec<Duration>,
    samples: Vec<Sample>,
    ledger: Ledger,
    verdict: Verdict,
    problems: Vec<String>,
}

pub(crate) fn run(options: &Options, seed: u64, home: &Path) -> Result<Outage, String> {
    let mut random = Random::seeded(seed);
    let arena = Arc::new(Arena::new(home).map_err(|error| error.to_string())?);
    // This run does not use the proxy.
    let (mut cluster, _) = Cluster::start(1, &mut random);
    let client = cluster.client();
    let shape = Shape {
        connections: options.connections.into(),
        keys: options.keys.into(),
        rate: options.rate,
        clock_steps: false,
    };
    let setup = Setup::new(&cluster.brokers[0].bootstrap()).env("BRIDGE_SPOOL_DIR", home.join("spool").display());
    let mut node = Node::start(setup, home.join("bridge.log"));
    let load = Load::start(shape, node.webhook(), &mut random);
    let sampling = sample(&arena, node.probe());
    let mut bounds = Vec::new();
    let mut enter = |phase: usize| {
        load.enter(phase);
        bounds.push(arena.since_start());
        arena.note(NAMES[phase]);
        eprintln!("torture: {}, {} recalls acknowledged", NAMES[phase], load.acknowledged());
    };
    enter(0);
    arena.pause(WARM_UP);
    enter(1);
    arena.pause(options.lasts());
    cluster.brokers[0].kill();
    enter(2);
    arena.pause(options.lasts());
    enter(3);
    cluster.brokers[0].restart();
    let caught_up = catch_up(node.probe(), u64::from(options.rate) * u64::from(options.keys));
    bounds.push(arena.since_start());
    arena.end();
    let samples = sampling.join().map_err(|_| "the samples were not taken")?;
    let ledger = load.stop();
    let drained = drain(node.probe());
    let stopped = node.stop(STOP);
    until_settled(&client, TOPIC);
    let verdict = judge(&ledger.history, read_all(&client, TOPIC, PARTITIONS, Load::accounts(shape))?);
    let mut problems = ledger.strange.clone();
    problems.extend(caught_up.err());
    problems.extend(drained.err());
    if !stopped.is_some_and(|status| status.success()) {
        problems.push(format!("the bridge did not stop cleanly: {stopped:?}"));
    }
    let outage = Outage { seed, options: options.clone(), bounds, samples, ledger, verdict, problems };
    if !outage.is_clean() {
        evidence::keep(home, &client, &outage.ledger.history)?;
    }
    Ok(outage)
}

fn sample(arena: &Arc<Arena>, bridge: Probe) -> thread::JoinHandle<Vec<Sample>> {
    let arena = Arc::clone(arena);
    thread::spawn(move || {
        let mut samples = Vec::new();
        while arena.pause(SAMPLE) {
            let at = arena.since_start();
            let Some(page) = bridge.ops("/metrics") else { continue };
            let of = |name: &str| crate::node::sample(&page, name);
            if let (Some(memory), Some(waiting), Some(published)) =
                (bridge.memory(), of("spool_events"), of("records_published_total"))
            {
                samples.push(Sample { at, memory, waiting, published });
            }
        }
        samples
    })
}

/// Waits until the backlog is at most the load of one second.
fn catch_up(bridge: Probe, per_second: u64) -> Result<(), String> {
    let until = Instant::now() + DRAIN;
    while bridge.metric("spool_events").is_none_or(|waiting| waiting > per_second) {
        if Instant::now() > until {
            return Err("the backlog does not drain".to_owned());
        }
        thread::sleep(SAMPLE);
    }
    Ok(())
}

impl Outage {
    /// Returns whether the bridge acknowledged every webhook within the vendor's timeout and violated no guarantee.
    pub(crate) fn is_clean(&self) -> bool {
        let in_time = (1..PHASES).all(|phase| {
            let times = &self.ledger.phases[phase];
            times.unanswered == 0 && percentiles(&times.answer)[2] < VENDOR_MS
        });
        in_time && self.verdict.is_clean() && self.problems.is_empty() && self.verdict.refused == 0
    }

    fn samples(&self, phase: usize) -> impl Iterator<Item = &Sample> {
        let (from, to) = (self.bounds[phase], self.bounds[phase + 1]);
        self.samples.iter().filter(move |sample| sample.at >= from && sample.at < to)
    }

    /// Returns the lowest and the highest resident memory of a phase in MB.
    fn memory(&self, phase: usize) -> (f64, f64) {
        let megabytes = |kib: Option<u64>| f64::from(u32::try_from(kib.unwrap_or(0)).unwrap_or(u32::MAX)) * 1024e-6;
        let values = || self.samples(phase).map(|sample| sample.memory);
        (megabytes(values().min()), megabytes(values().max()))
    }

    /// Returns the largest backlog.
    fn backlog(&self) -> u64 {
        self.samples(2).chain(self.samples(3)).map(|sample| sample.waiting).max().unwrap_or(0)
    }

    /// Returns the seconds from the start of the broker to the first record, and the records per second from then to
    /// the end of the phase.
    fn drain(&self) -> (f64, f64) {
        let begin = self.bounds[3];
        let mut samples = self.samples(3);
        let Some(before) = samples.next() else { return (0.0, 0.0) };
        let Some(first) = samples.find(|sample| sample.published > before.published) else { return (0.0, 0.0) };
        let Some(last) = self.samples(3).last() else { return (0.0, 0.0) };
        let seconds = last.at.saturating_sub(first.at).max(SAMPLE).as_secs_f64();
        let records = u32::try_from(last.published - before.published).unwrap_or(u32::MAX);
        (first.at.saturating_sub(begin).as_secs_f64(), f64::from(records) / seconds)
    }

    pub(crate) fn json(&self) -> Value {
        let phase = |phase: usize| {
            let times = &self.ledger.phases[phase];
            json!({
                "name": NAMES[phase],
                "seconds": self.bounds[phase + 1].saturating_sub(self.bounds[phase]).as_secs_f64(),
                "webhooks": times.answer.len(), "unanswered": times.unanswered,
                "answer_ms": percentiles(&times.answer), "from_due_ms": percentiles(&times.due),
                "memory_mb": self.memory(phase),
            })
        };
        let (first_record, rate) = self.drain();
        json!({
            "mode": "outage", "seed": self.seed, "clean": self.is_clean(),
            "rate": self.options.rate, "keys": self.options.keys, "connections": self.options.connections,
            "phases": (1..PHASES).map(phase).collect::<Vec<_>>(),
            "backlog": self.backlog(), "first_record_s": first_record, "drain_records_per_s": rate,
            "acknowledged": self.verdict.acknowledged, "lost": self.verdict.lost,
            "duplicated": self.verdict.duplicated, "reordered": self.verdict.reordered,
            "gaps": self.verdict.gaps, "false_recalls": self.verdict.false_recalls,
            "problems": self.problems,
        })
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: {} webhooks/s of {} recalls each over {} connections",
            self.seed, self.options.rate, self.options.keys, self.options.connections
        )?;
        writeln!(
            f,
            "| phase | seconds | webhooks | not answered | ms to the acknowledgement: median, 99 %, most | counted \
             from when it was due | resident memory |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        let three = |[median, most_of, most]: [f64; 3]| format!("{median:.1}, {most_of:.1}, {most:.1}");
        for (phase, name) in NAMES.into_iter().enumerate().skip(1) {
            let times = &self.ledger.phases[phase];
            let (least, most) = self.memory(phase);
            writeln!(
                f,
                "| {} | {:.0} | {} | {} | {} | {} | {least:.1} to {most:.1} MB |",
                name,
                self.bounds[phase + 1].saturating_sub(self.bounds[phase]).as_secs_f64(),
                times.answer.len(),
                times.unanswered,
                three(percentiles(&times.answer)),
                three(percentiles(&times.due)),
            )?;
        }
        let (first_record, rate) = self.drain();
        writeln!(
            f,
            "backlog {} records; the first one in Kafka {first_record:.1} s after the broker was started; then {rate:.0} \
             records/s",
            self.backlog()
        )?;
        writeln!(f, "{:?}", self.verdict)?;
        self.problems.iter().try_for_each(|text| writeln!(f, "! {text}"))
    }
}
