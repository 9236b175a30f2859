//! Is a thread still getting anywhere? Told by the monotonic clock.
//!
//! librdkafka waits on the wall clock (its condition variables know no other one), so that a clock set
//! back by hours lets a call wait for hours, whatever time-out it was given. Such a thread cannot be
//! ended from outside. It is *abandoned*: another one does its work, and when the call returns at last,
//! [`Pulse::leave`] tells the thread that it has to end without touching anything.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a thread and its keeper share.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    step: Option<Step>,
    abandoned: bool,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    bound: Duration,
    since: Instant,
}

/// Another thread does the work of this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abandoned;

impl Pulse {
    /// A call begins that ends within `bound`, or is stuck.
    pub fn enter(&self, bound: Duration) {
        self.state().step = Some(Step { bound, since: Instant::now() });
    }

    /// The call is long, but gets on: its bound counts from now.
    pub fn beat(&self) {
        if let Some(step) = &mut self.state().step {
            step.since = Instant::now();
        }
    }

    /// The call has returned.
    ///
    /// # Errors
    /// Too late: the thread must end, and touch nothing before.
    pub fn leave(&self) -> Result<(), Abandoned> {
        let mut state = self.state();
        state.step = None;
        if state.abandoned { Err(Abandoned) } else { Ok(()) }
    }

    /// Gives a thread up that is stuck; tells for how long it has been. A thread that is in no call is never
    /// given up, so what it does with the spool is never done twice.
    pub fn abandon_if_stuck(&self) -> Option<Duration> {
        let mut state = self.state();
        let step = state.step.filter(|step| step.since.elapsed() > step.bound)?;
        state.abandoned = true;
        Some(step.since.elapsed())
    }

    /// For how long it has been stuck, if it is.
    pub fn stuck_for(&self) -> Option<Duration> {
        let step = self.state().step?;
        Some(step.since.elapsed()).filter(|time| *time > step.bound)
    }

    /// The call has returned, of a thread that nobody gives up.
    pub fn done(&self) {
        self.state().step = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_call_beyond_its_bound_is_given_up_and_is_told_when_it_returns() {
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
