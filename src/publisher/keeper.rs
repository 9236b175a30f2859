//! Runs the publisher's thread, and replaces it when it is stuck in librdkafka.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use super::driver::Driver;
use super::{COMPONENT, PublisherError, PublisherOptions};
use crate::priority;
use crate::pulse::Pulse;

/// The time between two checks.
const TICK: Duration = Duration::from_millis(250);
/// A check that took longer shows that the whole process was stopped: the thread gets its time again.
const PROCESS_STOPPED: Duration = Duration::from_secs(2);
/// After this many abandoned threads the process exits, because each of them keeps its memory.
const ABANDONED_MAX: u32 = 8;

/// Runs until `stop` is set.
pub(super) fn run(options: &PublisherOptions, stop: &Arc<AtomicBool>, first: Driver) -> Result<(), PublisherError> {
    let mut driver = first;
    for abandoned in 1.. {
        let pulse = driver.pulse();
        let result = spawn(driver)?;
        let Some(late) = watch(&pulse, &result)? else { return Ok(()) };
        options.metrics.count_stuck(COMPONENT);
        tracing::error!(
            event = "component_stuck",
            component = COMPONENT,
            seconds = late.as_secs(),
            abandoned,
            "the Kafka client is stuck in a call (was the clock set back?); its thread is replaced and fenced"
        );
        if stop.load(Ordering::Acquire) {
            return Ok(());
        }
        if abandoned >= ABANDONED_MAX {
            break;
        }
        driver = Driver::new(options, Arc::clone(stop), false)?;
    }
    Err(PublisherError::Stuck(ABANDONED_MAX))
}

type KeeperOutcome = Result<(), PublisherError>;

fn spawn(driver: Driver) -> Result<Receiver<KeeperOutcome>, PublisherError> {
    let (tell, result) = sync_channel(1);
    let work = move || {
        // librdkafka's threads are started by this one and inherit its priority (Linux).
        priority::give_way(COMPONENT);
        let result = catch_unwind(AssertUnwindSafe(|| driver.run())).unwrap_or(Err(PublisherError::Panicked));
        // The receiver of an abandoned thread is gone.
        let _ = tell.send(result);
    };
    std::thread::Builder::new().name("kafka".to_owned()).spawn(work).map_err(PublisherError::Thread)?;
    Ok(result)
}

/// Waits for the end of a thread. Returns for how long it was stuck, if it was abandoned.
fn watch(pulse: &Pulse, result: &Receiver<KeeperOutcome>) -> Result<Option<Duration>, PublisherError> {
    loop {
        let tick = Instant::now();
        match result.recv_timeout(TICK) {
            Ok(result) => return result.map(|()| None),
            Err(RecvTimeoutError::Disconnected) => return Err(PublisherError::Panicked),
            Err(RecvTimeoutError::Timeout) if tick.elapsed() > PROCESS_STOPPED => pulse.beat(),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(late) = pulse.abandon_if_stuck() {
            return Ok(Some(late));
        }
    }
}
