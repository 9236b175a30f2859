//! Runs the publisher's thread, and another one in its place when it is stuck in librdkafka.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use super::driver::Driver;
use super::{Options, PublisherError, give_way};
use crate::pulse::Pulse;

/// How often it looks.
const TICK: Duration = Duration::from_millis(250);
/// A tick that took so long tells that the whole process stood still: the thread is given time again.
const STOOD_STILL: Duration = Duration::from_secs(2);
/// Threads given up after which the process ends, so that what they hold does not add up for ever.
const GIVEN_UP_MAX: u32 = 8;

/// Works until told to stop.
pub(super) fn run(options: &Options, stop: &Arc<AtomicBool>, first: Driver) -> Result<(), PublisherError> {
    let mut driver = first;
    for given_up in 1.. {
        let pulse = driver.pulse();
        let result = spawn(driver)?;
        let Some(late) = watch(&pulse, &result)? else { return Ok(()) };
        options.metrics.count_stuck(super::COMPONENT);
        tracing::error!(
            event = "component_stuck",
            component = super::COMPONENT,
            seconds = late.as_secs(),
            given_up,
            "the Kafka client does not come back from a call (a clock that was set back does this): it is given up, \
             fenced, and replaced"
        );
        if stop.load(Ordering::Acquire) {
            return Ok(());
        }
        if given_up >= GIVEN_UP_MAX {
            break;
        }
        driver = Driver::new(options, Arc::clone(stop), false)?;
    }
    Err(PublisherError::Stuck(GIVEN_UP_MAX))
}

type Outcome = Result<(), PublisherError>;

fn spawn(driver: Driver) -> Result<Receiver<Outcome>, PublisherError> {
    let (tell, result) = sync_channel(1);
    let work = move || {
        give_way();
        let result = catch_unwind(AssertUnwindSafe(|| driver.run())).unwrap_or(Err(PublisherError::Panicked));
        // Nobody listens to a thread that was given up.
        let _ = tell.send(result);
    };
    std::thread::Builder::new().name("kafka".to_owned()).spawn(work).map_err(PublisherError::Thread)?;
    Ok(result)
}

/// Waits for the end of a thread; tells for how long it was stuck, where it was given up.
fn watch(pulse: &Pulse, result: &Receiver<Outcome>) -> Result<Option<Duration>, PublisherError> {
    loop {
        let tick = Instant::now();
        match result.recv_timeout(TICK) {
            Ok(result) => return result.map(|()| None),
            Err(RecvTimeoutError::Disconnected) => return Err(PublisherError::Panicked),
            Err(RecvTimeoutError::Timeout) if tick.elapsed() > STOOD_STILL => pulse.beat(),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(late) = pulse.abandon_if_stuck() {
            return Ok(Some(late));
        }
    }
}
