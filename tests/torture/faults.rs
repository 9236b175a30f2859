//! Executes the plans for the brokers and the network, each in its own thread. The thread that owns the bridge process
//! executes the plan for the bridge, see `torment`.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::ClientConfig;

use crate::arena::Arena;
use crate::broker::Broker;
use crate::cluster::{PARTITIONS, leader};
use crate::proxy::{EndTxn, Proxy};
use crate::random::Random;
use crate::schedule::{self, BrokerFault, NetworkFault};

/// The proxy holds one `EndTxn` in this number.
const LATE_ONE_OF: u64 = 5;

/// Kills and freezes one broker at a time. Returns the brokers; all of them run.
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
            // Usually the leader of a partition, because its failure affects the most requests.
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
                    arena.count_silence("broker_freezes", length);
                    arena.pause(length);
                    brokers[at].resume();
                    arena.note(&format!("broker {}: SIGCONT", at + 1));
                }
            }
        }
    })
}

/// Cuts, delays and holds the traffic between bridge and brokers. Restores the network at the end.
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
                    proxy.delay(Duration::ZERO);
                }
                NetworkFault::Stall(lasts) => {
                    arena.note(&format!("network of broker {}: nothing passes for {lasts:.1?}", at + 1));
                    proxy.stall(true);
                    arena.count_silence("network_stalls", lasts);
                    arena.pause(lasts);
                    proxy.stall(false);
                }
            }
        }
        proxies.iter().for_each(|proxy| proxy.set(EndTxn::Pass));
    })
}
