//! The plan of faults, a function of the seed. Each part that suffers has a plan of its own, so
//! faults of different parts overlap.

use std::time::Duration;

use test_support::random::Random;

/// A fault, so long after the one before is over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Step<F> {
    pub(crate) after: Duration,
    pub(crate) fault: F,
}

/// The bridge's process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum BridgeFault {
    /// SIGKILL, and a new process at once.
    Kill,
    /// The same, so long after a webhook began to be sent.
    KillWhileSending(Duration),
    /// SIGSTOP for so long, then SIGCONT.
    Freeze(Duration),
    /// SIGTERM and a new process, then a full disk for so long, whatever else happens meanwhile. A
    /// clean stop removes SQLite's log, so the next process needs new room at once.
    StopAndFillDisk(Duration),
}

/// One broker's process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum BrokerFault {
    /// SIGKILL, and a new process so much later.
    Kill {
        down: Duration,
    },
    Freeze(Duration),
}

/// The network between bridge and brokers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum NetworkFault {
    /// One of so many connections is cut.
    Cut { one_of: u64 },
    /// Requests and answers are delayed, each by another time.
    Delay { at_most: Duration, lasts: Duration },
    /// Nothing passes; what was sent is delivered afterwards.
    Stall(Duration),
}

/// Longer than the 15 s after which a broker aborts an open transaction.
const BEYOND_A_TRANSACTION_MS: (u64, u64) = (16_000, 19_000);
/// Of so many freezes, one is that long.
const LONG_FREEZE_ONE_OF: u64 = 12;

/// Whether a freeze lasts longer than a transaction may.
pub(crate) fn outlasts_a_transaction(length: Duration) -> bool {
    length >= Duration::from_millis(BEYOND_A_TRANSACTION_MS.0)
}

pub(crate) fn bridge(random: &mut Random, every: f64) -> Step<BridgeFault> {
    // Most are kills: a life begins with a fence and a reading, and ends anywhere in them.
    let fault = match random.between(1, 24) {
        1 => BridgeFault::Freeze(freeze(random, (50, 4000))),
        2 => BridgeFault::StopAndFillDisk(millis(random, (200, 4000))),
        3..=10 => BridgeFault::Kill,
        _ => BridgeFault::KillWhileSending(Duration::from_micros(random.between(0, 1500))),
    };
    Step { after: pause(random, every), fault }
}

pub(crate) fn broker(random: &mut Random, every: f64) -> Step<BrokerFault> {
    let fault = match random.between(1, 5) {
        1 => BrokerFault::Freeze(freeze(random, (200, 6000))),
        _ => BrokerFault::Kill { down: millis(random, (0, 3000)) },
    };
    Step { after: pause(random, every), fault }
}

pub(crate) fn network(random: &mut Random) -> Step<NetworkFault> {
    let fault = match random.between(1, 10) {
        1..=6 => NetworkFault::Cut { one_of: random.between(1, 3) },
        7..=8 => NetworkFault::Delay { at_most: millis(random, (5, 300)), lasts: millis(random, (500, 5000)) },
        9 => NetworkFault::Stall(millis(random, (100, 3000))),
        _ => NetworkFault::Stall(freeze(random, (100, 3000))),
    };
    Step { after: pause(random, 2.0), fault }
}

/// Between nothing and twice the mean.
fn pause(random: &mut Random, mean_seconds: f64) -> Duration {
    Duration::from_secs_f64(mean_seconds * 2.0).mul_f64(per_mille(random))
}

fn per_mille(random: &mut Random) -> f64 {
    let part = u32::try_from(random.between(0, 1000)).expect("at most 1000");
    f64::from(part) / 1000.0
}

fn millis(random: &mut Random, (from, to): (u64, u64)) -> Duration {
    Duration::from_millis(random.between(from, to))
}

fn freeze(random: &mut Random, usual: (u64, u64)) -> Duration {
    let range = if random.between(1, LONG_FREEZE_ONE_OF) == 1 { BEYOND_A_TRANSACTION_MS } else { usual };
    millis(random, range)
}
