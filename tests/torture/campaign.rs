//! A run: load and faults for so long, then rest, then the comparison.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::arena::Arena;
use crate::bridge::{Setup, TOPIC as BRIDGE_TOPIC};
use crate::checker::judge;
use crate::cluster::{Cluster, PARTITIONS, TOPIC};
use crate::evidence;
use crate::faults::{self, DiskState};
use crate::load::{Load, Shape};
use crate::node::{Node, Probe, sample};
use crate::options::Options;
use crate::proxy::Proxy;
use crate::reader::{Reader, read_all};
use crate::report::{Report, Tally};
use crate::schedule::{self, BridgeFault};
use crate::seed::Random;
use crate::wait::until_settled;

const PROGRESS: Duration = Duration::from_secs(10);
/// How often the bridge's process is looked at.
const GLANCE: Duration = Duration::from_millis(20);
/// Between two starts of a bridge that ends by itself.
const ANOTHER_TRY: Duration = Duration::from_millis(100);
/// A backlog that does not become smaller for so long is stuck.
const STUCK: Duration = Duration::from_secs(120);
/// A stop: its grace time, and some more.
const STOP: Duration = Duration::from_secs(30);
/// Half of the small disk: full is what the ballast makes it.
const SPOOL_MAX_BYTES: u64 = 256 << 20;

/// What the bridge's own figures said shortly before each of its ends.
#[derive(Default)]
struct Lives {
    doubts: u64,
    found: u64,
    /// The bridge ended without being killed, and without an excuse.
    ended: Vec<String>,
    /// It did not start while the disk was full.
    refused_starts: u64,
}

/// Runs faults and load, and returns what came of it.
pub(crate) fn run(options: &Options, seed: u64, disk: Option<&Path>, home: &Path) -> Result<Report, String> {
    let mut random = Random::with(seed);
    let arena = Arc::new(Arena::new(home).map_err(|error| error.to_string())?);
    let (mut cluster, proxies) = Cluster::start(options.brokers, &mut random);
    let proxies = Arc::new(proxies);
    let client = cluster.client();
    let shape = Shape {
        connections: options.connections.into(),
        keys: options.keys.into(),
        rate: options.rate,
        clock_steps: true,
    };
    let mut node = Node::start(setup(&proxies, disk, home), home.join("bridge.log"));
    let reader = Reader::start(&client, TOPIC, PARTITIONS, Load::accounts(shape));
    let load = Load::start(shape, node.webhook(), &mut random);
    let disk_state = Arc::new(DiskState::default());
    let mut bridge_random = random.fork();
    let brokers = std::mem::take(&mut cluster.brokers);
    let brokers = faults::brokers(&arena, brokers, client.clone(), options.broker_every, random.fork());
    let network = faults::network(&arena, &proxies, random.fork());
    let disk_random = random.fork();
    let disk = disk.map(|disk| faults::disk(&arena, disk, &disk_state, disk_random));
    let clock = end_after(&arena, options.lasts());

    let mut lives = Lives::default();
    let watch = Watch { arena: &arena, load: &load, reader: &reader, disk: &disk_state };
    watch.torture(&mut node, options.bridge_every, &mut bridge_random, &mut lives);
    let join = |name: &str| arena.note(&format!("{name}: no more faults"));
    clock.join().expect("the clock ends");
    network.join().map_err(|_| "the network's part failed")?;
    join("network");
    if let Some(disk) = disk {
        disk.join().map_err(|_| "the disk's part failed")?;
    }
    cluster.brokers = brokers.join().map_err(|_| "the brokers' part failed")?;
    join("brokers");
    watch.revive(&mut node, &mut lives);
    let ledger = load.stop();
    let drained = drain(node.probe());
    collect(&node, &mut lives);
    let stopped = node.stop(STOP);
    until_settled(&client, TOPIC);

    let accounts = Load::accounts(shape);
    let all = read_all(&client, TOPIC, PARTITIONS, accounts)?;
    let resets = reader.resets();
    let along = reader.finish(all.records);
    let changed = (along.records, along.digest) != (all.records, all.digest);
    let live = judge(&ledger.history, along);
    let verdict = judge(&ledger.history, all);
    let mut trouble = lives.ended;
    trouble.extend(ledger.strange.iter().cloned());
    trouble.extend(drained.err());
    if !stopped.is_some_and(|status| status.success()) {
        trouble.push(format!("the bridge did not stop cleanly: {stopped:?}"));
    }
    if changed {
        trouble.push(format!("who read along saw another topic than who read at the end: {live:?}"));
    }
    let tally = Tally {
        counts: arena.counts(),
        end_txn_held: proxies.iter().map(Proxy::held).sum(),
        end_txn_answered: proxies.iter().map(Proxy::answered).sum(),
        end_txn_accepted: proxies.iter().map(Proxy::accepted).sum(),
        clock_steps: ledger.clock_steps,
        doubts: lives.doubts,
        found: lives.found,
        refused_starts: lives.refused_starts,
        reader_resets: resets,
    };
    let report = Report::new(options, seed, verdict, tally, &ledger, trouble);
    if !report.is_clean() {
        evidence::keep(home, &client, &ledger.history)?;
    }
    Ok(report)
}

fn setup(proxies: &[Proxy], disk: Option<&Path>, home: &Path) -> Setup {
    let bootstrap: Vec<String> = proxies.iter().map(Proxy::bootstrap).collect();
    let spool = disk.unwrap_or(home).join("spool");
    assert_eq!(TOPIC, BRIDGE_TOPIC);
    Setup::new(&bootstrap.join(","))
        .env("BRIDGE_SPOOL_DIR", spool.display())
        .env("BRIDGE_SPOOL_MAX_BYTES", SPOOL_MAX_BYTES)
        .env("KAFKA_RECONNECT_BACKOFF_MS", 20)
        .env("KAFKA_RECONNECT_BACKOFF_MAX_MS", 200)
}

fn end_after(arena: &Arc<Arena>, length: Duration) -> thread::JoinHandle<()> {
    let arena = Arc::clone(arena);
    thread::spawn(move || {
        arena.pause(length);
        arena.end();
    })
}

/// What has to be looked at while the bridge suffers.
struct Watch<'a> {
    arena: &'a Arena,
    load: &'a Load,
    reader: &'a Reader,
    disk: &'a DiskState,
}

impl Watch<'_> {
    /// Carries out the bridge's plan until the run is over.
    fn torture(&self, node: &mut Node, every: f64, random: &mut Random, lives: &mut Lives) {
        let mut progress = Instant::now();
        loop {
            let step = schedule::bridge(random, if every > 0.0 { every } else { 1.0 });
            let until = Instant::now() + step.after;
            loop {
                if progress.elapsed() >= PROGRESS {
                    progress = Instant::now();
                    self.progress();
                }
                if !self.arena.pause(until.saturating_duration_since(Instant::now()).min(GLANCE)) {
                    return;
                }
                self.look(node, lives);
                if Instant::now() >= until {
                    break;
                }
            }
            if every <= 0.0 {
                continue;
            }
            match step.fault {
                BridgeFault::Kill => {
                    collect(node, lives);
                    self.kill(node);
                }
                BridgeFault::KillWhileSending(later) => {
                    collect(node, lives);
                    self.load.until_sending(PROGRESS);
                    thread::sleep(later);
                    self.kill(node);
                }
                BridgeFault::Freeze(length) => {
                    self.arena.note(&format!("bridge: SIGSTOP for {length:.1?}"));
                    self.load.bridge_is_hindered();
                    node.signal(Signal::STOP);
                    self.arena.count("bridge_freezes", 1);
                    self.arena.pause(length);
                    node.signal(Signal::CONT);
                    self.arena.note("bridge: SIGCONT");
                }
            }
        }
    }

    fn kill(&self, node: &mut Node) {
        node.kill();
        self.load.bridge_was_killed();
        node.restart();
        self.arena.note("bridge: SIGKILL");
        self.arena.count("bridge_kills", 1);
    }

    /// A bridge that ended by itself is noted, and started again.
    fn look(&self, node: &mut Node, lives: &mut Lives) {
        if self.disk.excuses(self.arena) {
            self.load.bridge_is_hindered();
        }
        let Some(status) = node.ended() else { return };
        self.arena.note(&format!("bridge: ended by itself, {status}"));
        if self.disk.excuses(self.arena) {
            lives.refused_starts += 1;
        } else {
            lives.ended.push(format!(
                "the bridge ended by itself at {:.3} s: {status}",
                self.arena.since_start().as_secs_f64()
            ));
        }
        thread::sleep(ANOTHER_TRY);
        node.restart();
    }

    /// Waits until the bridge serves again.
    fn revive(&self, node: &mut Node, lives: &mut Lives) {
        let until = Instant::now() + STOP;
        while node.probe().ops("/livez").is_none() && Instant::now() < until {
            self.look(node, lives);
            thread::sleep(GLANCE);
        }
    }

    fn progress(&self) {
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

/// What the bridge counted since its start, as far as it answers.
fn collect(node: &Node, lives: &mut Lives) {
    if let Some(page) = node.probe().ops("/metrics") {
        lives.doubts += sample(&page, "kafka_transactions_total{result=\"doubt\"}").unwrap_or(0);
        lives.found += sample(&page, "read_back_found_total").unwrap_or(0);
    }
}

/// Waits until all that was accepted is published.
pub(crate) fn drain(bridge: Probe) -> Result<(), String> {
    let mut least = u64::MAX;
    let mut since = Instant::now();
    loop {
        let waiting = bridge.metric("spool_events");
        match waiting {
            Some(0) => return Ok(()),
            Some(waiting) if waiting < least => (least, since) = (waiting, Instant::now()),
            _ if since.elapsed() > STUCK => return Err(format!("the backlog is stuck at {waiting:?} events")),
            _ => {}
        }
        thread::sleep(GLANCE);
    }
}
