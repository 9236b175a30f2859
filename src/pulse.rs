//! Detects a stuck thread by the monotonic clock.
//!
//! librdkafka waits on the wall clock, because its condition variables support no other. If the clock is set
//! back by hours, a call waits for hours, regardless of its timeout. Such a thread cannot be stopped from
//! outside, so it is *abandoned*: another thread takes over its work, and when the call returns,
//! [`Pulse::leave`] tells the abandoned thread to end without touching anything.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

/// The state that a thread shares with its watchdog.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<Mutex<PulseState>>);

#[derive(Debug, Default)]
struct PulseState {
    step: Option<PulseStep>,
    abandoned: bool,
}

#[derive(Debug, Clone, Copy)]
struct PulseStep {
    bound: Duration,
    since: Instant,
}

/// The thread was abandoned: another thread has taken over its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abandoned;

impl Pulse {
    /// Registers a call. If it takes longer than `bound`, the thread is stuck.
    pub fn enter(&self, bound: Duration) {
        self.state().step = Some(PulseStep { bound, since: Instant::now() });
    }

    /// Reports progress of a long call: its bound counts from now.
    pub fn beat(&self) {
        if let Some(step) = &mut self.state().step {
            step.since = Instant::now();
        }
    }

    /// Reports that the call has returned.
    ///
    /// # Errors
    /// The thread was abandoned: it must end, and touch nothing before.
    pub fn leave(&self) -> Result<(), Abandoned> {
        let mut state = self.state();
        state.step = None;
        if state.abandoned { Err(Abandoned) } else { Ok(()) }
    }

    /// Abandons the thread if it is stuck, and returns for how long it has been. A thread outside a call is
    /// never abandoned, so its work on the spool is never done twice.
    pub fn abandon_if_stuck(&self) -> Option<Duration> {
        let mut state = self.state();
        let step = state.step.filter(|step| step.since.elapsed() > step.bound)?;
        state.abandoned = true;
        Some(step.since.elapsed())
    }

    /// Returns for how long the thread has been stuck, if it is.
    pub fn stuck_for(&self) -> Option<Duration> {
        let step = self.state().step?;
        Some(step.since.elapsed()).filter(|time| *time > step.bound)
    }

    /// Reports that the call has returned, for a thread that is never abandoned.
    pub fn done(&self) {
        self.state().step = None;
    }

    fn state(&self) -> MutexGuard<'_, PulseState> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_call_beyond_its_timeout_is_abandoned() {
        let pulse = Pulse::default();
        assert_eq!(pulse.abandon_if_stuck(), None);
        pulse.enter(Duration::from_secs(3600));
        assert_eq!(pulse.abandon_if_stuck(), None);
        assert_eq!(pulse.leave(), Ok(()));
        pulse.enter(Duration::ZERO);
        assert_eq!(pulse.leave(), Ok(()), "late, but not given up");
        assert_eq!(pulse.abandon_if_stuck(), None, "in no call");
        pulse.enter(Duration::ZERO);
        std::thread::yield_now();
        assert!(pulse.abandon_if_stuck().is_some());
        assert_eq!(pulse.leave(), Err(Abandoned));
    }
}
