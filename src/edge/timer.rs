//! A timer that many steps of one connection share.
//!
//! Nearly every step ends long before its deadline. A timer for each step would be entered into the runtime's timer
//! wheel and removed again, several times per request. This one stays where it is: if it fires before the deadline of
//! the current step, it moves there.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::time::{Instant, Sleep, sleep_until};

/// The deadline of a step has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadlinePassed;

/// A timer that fires at the deadline of the current step or before.
#[derive(Debug, Default)]
pub(super) struct LazyTimer(Option<Pin<Box<Sleep>>>);

impl LazyTimer {
    /// Executes a step until its deadline.
    pub(super) async fn limit<T>(
        &mut self,
        deadline: Instant,
        step: impl Future<Output = T>,
    ) -> Result<T, DeadlinePassed> {
        let mut step = pin!(step);
        poll_fn(|cx| {
            if let Poll::Ready(result) = step.as_mut().poll(cx) {
                return Poll::Ready(Ok(result));
            }
            let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if timer.deadline() > deadline {
                timer.as_mut().reset(deadline);
            }
            while timer.as_mut().poll(cx).is_ready() {
                if timer.deadline() >= deadline {
                    return Poll::Ready(Err(DeadlinePassed));
                }
                timer.as_mut().reset(deadline);
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_step_has_its_own_deadline_whatever_the_one_before_had() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let start = Instant::now();
            let mut timer = LazyTimer::default();
            for millis in [100, 50, 300, 10, 20] {
                let began = Instant::now();
                assert_eq!(timer.limit(began + Duration::from_secs(60), async { 7 }).await, Ok(7));
                let limit = Duration::from_millis(millis);
                let passed = timer.limit(began + limit, std::future::pending::<()>()).await;
                assert_eq!(passed, Err(DeadlinePassed));
                assert!(began.elapsed() >= limit);
            }
            let late = timer.limit(start, std::future::pending::<()>()).await;
            assert_eq!(late, Err(DeadlinePassed));
            let step = tokio::time::sleep(Duration::from_millis(30));
            assert_eq!(timer.limit(Instant::now() + Duration::from_secs(60), step).await, Ok(()));
        });
    }
}
