//! The plan of faults, a function of the seed. Bridge, brokers and network each have their own plan, so their faults
//! overlap.

use std::time::Duration;

use test_support::random::Random;

/// A fault, and the time between it and the end of the previous fault.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Step<F> {
    pub(crate) after: Duration,
    pub(crate) fault: F,
}

/// A fault of the bridge's process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum BridgeFault {
    /// SIGKILL, and a new process immediately.
    Kill,
    /// SIGKILL at this time after a sender began to send a webhook, and a new process immediately.
    KillWhileSending(Duration),
    /// SIGSTOP for this time, then SIGCONT.
    Freeze(Duration),
    /// SIGTERM and a new process, then a full disk for this time. The faults of brokers and network continue. A clean
    /// stop removes the WAL, so the next process needs space immediately.
    StopAndFillDisk(Duration),
}

/// A fault of one broker's process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum BrokerFault {
    /// SIGKILL, and a new process after `down`.
    Kill {
        down: Duration,
    },
    Freeze(Duration),
}

/// A fault of the network between bridge and brokers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum NetworkFault {
    /// Cuts one connection in `one_of`.
    Cut { one_of: u64 },
    /// Delays each request and response by a random time of at most `at_most`.
    Delay { at_most: Duration, lasts: Duration },
    /// Holds all bytes for this time, and then delivers them.
    Stall(Duration),
}

/// Longer than the 15 s after which a broker aborts an open transaction.
const BEYOND_A_TRANSACTION_MS: (u64, u64) = (16_000, 19_000);
/// One freeze in this number is that long.
const LONG_FREEZE_ONE_OF: u64 = 12;

/// Returns whether a freeze is longer than the transaction timeout.
pub(crate) fn outlasts_a_transaction(length: Duration) -> bool {
    length >= Duration::from_millis(BEYOND_A_TRANSACTION_MS.0)
}

pub(crate) fn bridge(random: &mut Random, every: f64) -> Step<BridgeFault> {
    // Most faults are kills: each new process begins with a fence and a reconciliation, and a kill can interrupt both.
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

/// Returns a random time between 0 and twice the mean.
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
