//! A run: load and faults for the given time, then a quiet period, then the comparison.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::arena::Arena;
use crate::bridge::{Setup, TOPIC as BRIDGE_TOPIC};
use crate::checker::judge;
use crate::cluster::{Cluster, PARTITIONS, TOPIC};
use crate::evidence;
use crate::faults;
use crate::load::{Load, Shape};
use crate::node::{Node, Probe};
use crate::options::Options;
use crate::proxy::Proxy;
use crate::random::Random;
use crate::reader::{Reader, read_all};
use crate::report::{Report, Tally};
use crate::torment::{STOP, Torment};
use crate::wait::until_settled;

/// The interval between two reads of the backlog.
const GLANCE: Duration = Duration::from_millis(20);
/// A backlog that does not become smaller within this time is stuck.
const STUCK: Duration = Duration::from_secs(120);
/// Less than half of the small disk, so that only the ballast fills the disk.
const SPOOL_MAX_BYTES: u64 = 256 << 20;

/// Runs faults and load, and returns the report.
pub(crate) fn run(options: &Options, seed: u64, disk: Option<&Path>, home: &Path) -> Result<Report, String> {
    let mut random = Random::seeded(seed);
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
    let mut bridge_random = random.fork();
    let brokers = std::mem::take(&mut cluster.brokers);
    let brokers = faults::brokers(&arena, brokers, client.clone(), options.broker_every, random.fork());
    let network = faults::network(&arena, &proxies, random.fork());
    let clock = end_after(&arena, options.lasts());

    let mut torment = Torment::new(&arena, &load, &reader, disk, &mut node);
    torment.run(options.bridge_every, &mut bridge_random);
    clock.join().map_err(|_| "the clock failed")?;
    network.join().map_err(|_| "the network's part failed")?;
    cluster.brokers = brokers.join().map_err(|_| "the brokers' part failed")?;
    arena.note("no more faults");
    torment.revive();
    torment.collect();
    let lives = torment.lives;
    let ledger = load.stop();
    let drained = drain(node.probe());
    let stopped = node.stop(STOP);
    until_settled(&client, TOPIC);

    let accounts = Load::accounts(shape);
    let all = read_all(&client, TOPIC, PARTITIONS, accounts)?;
    let resets = reader.resets();
    let along = reader.finish(all.records);
    let changed = (along.records, along.digest) != (all.records, all.digest);
    let live = judge(&ledger.history, along);
    let verdict = judge(&ledger.history, all);
    let mut problems = lives.ended;
    problems.extend(ledger.strange.iter().cloned());
    problems.extend(drained.err());
    if !stopped.is_some_and(|status| status.success()) {
        problems.push(format!("the bridge did not stop cleanly: {stopped:?}"));
    }
    if changed {
        problems.push(format!(
            "the consumer that read during the campaign saw other records than the one at its end: {live:?}"
        ));
    }
    let tally = Tally {
        counts: arena.counts(),
        end_txn_held: proxies.iter().map(Proxy::held).sum(),
        end_txn_answered: proxies.iter().map(Proxy::answered).sum(),
        end_txn_accepted: proxies.iter().map(Proxy::accepted).sum(),
        clock_steps: ledger.clock_steps,
        unavailable: ledger.unavailable,
        doubts: lives.doubts,
        found: lives.found,
        refused_starts: lives.refused_starts,
        reader_resets: resets,
    };
    let report = Report::new(options, seed, verdict, tally, &ledger, problems);
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
        // The next process publishes the events that this process does not publish in this time.
        .env("BRIDGE_SHUTDOWN_GRACE_SECONDS", 2)
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

/// Waits until every accepted event is published.
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
