//! Carries out the plans of broker, network and disk, each in a thread of its own. The bridge's
//! plan is carried out by the thread that owns its process, see `campaign`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use rdkafka::ClientConfig;

use crate::arena::Arena;
use crate::broker::Broker;
use crate::cluster::{PARTITIONS, leader};
use crate::disk::Ballast;
use crate::proxy::{EndTxn, Proxy};
use crate::schedule::{self, BrokerFault, DiskFull, NetworkFault};
use crate::seed::Random;

/// One of so many `EndTxn` is held.
const LATE_ONE_OF: u64 = 5;

/// Kills and freezes brokers, one at a time; returns them, all up.
pub(crate) fn brokers(
    arena: &Arc<Arena>,
    mut brokers: Vec<Broker>,
    client: ClientConfig,
    every: f64,
    mut random: Random,
) -> JoinHandle<Vec<Broker>> {
    let arena = Arc::clone(arena);
    thread::spawn(move || {
        let several = brokers.len() > 1;
        loop {
            let step = schedule::broker(&mut random, every);
            if every <= 0.0 || !arena.pause(step.after) {
                return brokers;
            }
            // Mostly the leader of a partition: it has most to lose.
            let partition = random.next() % u64::from(PARTITIONS.unsigned_abs());
            let found = if several { leader(&client, partition) } else { None };
            let chosen = usize::try_from(random.next() % brokers.len() as u64).expect("a small number");
            let at = found.filter(|at| *at < brokers.len()).unwrap_or(chosen);
            let leads = if found.is_some() { " (a leader)" } else { "" };
            match step.fault {
                BrokerFault::Kill { down } => {
                    arena.note(&format!("broker {}{leads}: SIGKILL, down for {down:.1?}", at + 1));
                    brokers[at].kill();
                    arena.count("broker_kills", 1);
                    arena.count("broker_leader_kills", u64::from(found.is_some()));
                    arena.pause(down);
                    brokers[at].restart();
                    arena.note(&format!("broker {}: serves again", at + 1));
                }
                BrokerFault::Freeze(length) => {
                    arena.note(&format!("broker {}{leads}: SIGSTOP for {length:.1?}", at + 1));
                    brokers[at].pause();
                    arena.count("broker_freezes", 1);
                    arena.pause(length);
                    brokers[at].resume();
                    arena.note(&format!("broker {}: SIGCONT", at + 1));
                }
            }
        }
    })
}

/// Cuts, delays and holds what goes between bridge and brokers; ends with a good network.
pub(crate) fn network(arena: &Arc<Arena>, proxies: &Arc<Vec<Proxy>>, mut random: Random) -> JoinHandle<()> {
    let (arena, proxies) = (Arc::clone(arena), Arc::clone(proxies));
    thread::spawn(move || {
        proxies.iter().for_each(|proxy| proxy.set(EndTxn::DeliverLate { one_of: LATE_ONE_OF }));
        loop {
            let step = schedule::network(&mut random);
            if !arena.pause(step.after) {
                break;
            }
            let at = usize::try_from(random.next() % proxies.len() as u64).expect("a small number");
            let proxy = &proxies[at];
            match step.fault {
                NetworkFault::Cut { one_of } => {
                    let cut = proxy.cut(one_of);
                    arena.note(&format!("network of broker {}: {cut} connections cut", at + 1));
                    arena.count("connections_cut", cut);
                }
                NetworkFault::Delay { at_most, lasts } => {
                    arena.note(&format!("network of broker {}: up to {at_most:.1?} late for {lasts:.1?}", at + 1));
                    proxy.delay(at_most);
                    arena.count("network_delays", 1);
                    arena.pause(lasts);
                    proxy.delay(std::time::Duration::ZERO);
                }
                NetworkFault::Stall(lasts) => {
                    arena.note(&format!("network of broker {}: nothing passes for {lasts:.1?}", at + 1));
                    proxy.stall(true);
                    arena.count("network_stalls", 1);
                    arena.pause(lasts);
                    proxy.stall(false);
                }
            }
        }
        proxies.iter().for_each(|proxy| proxy.set(EndTxn::Pass));
    })
}

/// Whether the spool's disk is full now, for whoever has to know why a bridge does not start.
#[derive(Default)]
pub(crate) struct DiskState {
    full: AtomicBool,
    was_full: Mutex<Option<std::time::Duration>>,
}

impl DiskState {
    /// Whether it is full, or was until a moment ago.
    pub(crate) fn excuses(&self, arena: &Arena) -> bool {
        let was_full = *self.was_full.lock().unwrap();
        let moment = std::time::Duration::from_secs(3);
        self.full.load(Ordering::SeqCst) || was_full.is_some_and(|until| arena.since_start() < until + moment)
    }
}

/// Fills the spool's file system; ends with room in it.
pub(crate) fn disk(arena: &Arc<Arena>, disk: &Path, state: &Arc<DiskState>, mut random: Random) -> JoinHandle<()> {
    let (arena, disk, state): (_, PathBuf, _) = (Arc::clone(arena), disk.to_owned(), Arc::clone(state));
    thread::spawn(move || {
        loop {
            let step = schedule::disk(&mut random);
            if !arena.pause(step.after) {
                return;
            }
            let DiskFull(lasts) = step.fault;
            arena.note(&format!("disk: full for {lasts:.1?}"));
            state.full.store(true, Ordering::SeqCst);
            let ballast = Ballast::fill(&disk);
            arena.count("disk_full", 1);
            arena.pause(lasts);
            drop(ballast);
            *state.was_full.lock().unwrap() = Some(arena.since_start());
            state.full.store(false, Ordering::SeqCst);
            arena.note("disk: has room again");
        }
    })
}
