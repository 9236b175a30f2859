//! One bridge, its load, one attack, and the limits that must hold.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit};
use rustix::thread::gettid;

use crate::bridge::{Bridge, eventually};
use crate::legitimate::{Senders, Sent};
use crate::mock::Kafka;

/// The duration of an attack.
const LENGTH: Duration = Duration::from_secs(6);
/// The duration of the measurement without an attack.
const QUIET: Duration = Duration::from_secs(3);
const MEMORY_MAX_BYTES: u64 = 150 << 20;
/// The time that other processes of the machine may add to a 99th percentile. A build without optimization takes about
/// ten times as long for a request, and for the requests queued before it.
const NOISE: Duration = Duration::from_millis(if cfg!(debug_assertions) { 250 } else { 20 });

/// One thread of an attack. It ends soon after the flag is set.
pub type Attacker = Box<dyn FnOnce(&AtomicBool) + Send>;

/// The addresses that an attack may use.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub webhook: SocketAddr,
    pub ops: SocketAddr,
}

/// Allows one attack at a time, because each attack uses every processor that it gets.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs an attack beside legitimate senders. Checks the senders, the memory and the descriptors.
#[track_caller]
pub fn survive(attackers: impl FnOnce(Target) -> Vec<Attacker>) {
    let _alone = alone();
    raise_limit();
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let target = Target { webhook: bridge.webhook_address(), ops: bridge.ops_address() };
    let quiet = load(target, QUIET);
    assert_eq!(quiet.failed, Vec::<String>::new(), "without an attack");
    let descriptors = descriptors(&bridge);

    let stop = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = attackers(target)
        .into_iter()
        .map(|attacker| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                give_way();
                attacker(&stop);
            })
        })
        .collect();
    let senders = Senders::start(target.webhook);
    let mut most = 0;
    let steps = LENGTH.as_millis() / 100;
    for _ in 0..steps {
        thread::sleep(Duration::from_millis(100));
        most = most.max(bridge.process.memory());
        let (live, _) = bridge.try_ops_get("/livez").expect("/livez answers");
        assert_eq!(live, 200);
    }
    let attacked = senders.stop();
    stop.store(true, Relaxed);
    for thread in threads {
        thread.join().unwrap();
    }

    let (before, during) = (quiet.percentile(0.99), attacked.percentile(0.99));
    println!(
        "99th percentile {before:?} without, {during:?} during the attack; {} MB; {} sent, {} failed",
        most >> 20,
        attacked.latencies.len(),
        attacked.failed.len()
    );
    assert_eq!(attacked.failed, Vec::<String>::new());
    assert!(during <= before * 3 + NOISE, "99th percentile: {during:?} during the attack, {before:?} without");
    assert!(most < MEMORY_MAX_BYTES, "{} MB", most >> 20);
    eventually("the descriptors are given back", || (self::descriptors(&bridge) <= descriptors + 8).then_some(()));
    assert_eq!(bridge.ops_get("/readyz").0, 200);
}

/// Gives an attacker's thread the lowest priority. Attackers and bridge share the processors; at equal priority, the
/// test would measure the scheduler and not the bridge.
fn give_way() {
    setpriority_process(Some(gettid()), 19).unwrap();
}

fn load(target: Target, time: Duration) -> Sent {
    let senders = Senders::start(target.webhook);
    thread::sleep(time);
    senders.stop()
}

/// Raises the limit of descriptors: this process needs one for each of ten thousand connections.
fn raise_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

fn descriptors(bridge: &Bridge) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", bridge.process.pid())).unwrap().count()
}
