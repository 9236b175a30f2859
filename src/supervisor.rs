//! What systemd is told: ready, reloading nothing, stopping, still alive.
//!
//! Outside of a unit of `Type=notify` (no `NOTIFY_SOCKET`) all of it does nothing. Source:
//! `sd_notify(3)`, `sd_watchdog_enabled(3)`.

use sd_notify::NotifyState;

use crate::watchdog::Health;

/// How long systemd waits for the next sign of a start that goes on, and how often it gets one.
const START_EXTENSION: std::time::Duration = std::time::Duration::from_secs(60);
const START_TOLD_EVERY: std::time::Duration = std::time::Duration::from_secs(10);

/// Asks for more time for as long as the start takes (`EXTEND_TIMEOUT_USEC`): a large WAL that was left is
/// copied first, and a start that is killed for it begins from zero. Never ends.
pub async fn extend_start() {
    let microseconds = u32::try_from(START_EXTENSION.as_micros()).unwrap_or(u32::MAX);
    loop {
        tokio::time::sleep(START_TOLD_EVERY).await;
        tell(&[NotifyState::ExtendTimeoutUsec(microseconds)]);
    }
}

/// Tells that both listeners are open.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Tells that no further delivery is taken.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Feeds the watchdog at half its period (`WATCHDOG_USEC`), as long as the runtime that it runs on
/// gets anything done, and every component that is needed does. Never ends; does nothing where no watchdog
/// was asked for.
pub async fn feed_watchdog(health: Health) {
    if let Some(period) = sd_notify::watchdog_enabled() {
        let mut ticks = tokio::time::interval((period / 2).max(std::time::Duration::from_millis(1)));
        loop {
            ticks.tick().await;
            if health.is_good() {
                tell(&[NotifyState::Watchdog]);
            }
        }
    }
    std::future::pending::<()>().await;
}

fn tell(state: &[NotifyState<'_>]) {
    // Whoever asked for it and cannot be reached will act on the silence.
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd could not be told");
    }
}
