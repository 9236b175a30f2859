//! Notifies systemd: ready, stopping, still alive.
//!
//! Outside a unit of `Type=notify` (no `NOTIFY_SOCKET`) these functions do nothing. Source:
//! `sd_notify(3)`, `sd_watchdog_enabled(3)`.

use sd_notify::NotifyState;

use crate::watchdog::Health;

/// The time that each notification adds to the start timeout.
const START_EXTENSION: std::time::Duration = std::time::Duration::from_secs(60);
/// The time between two such notifications.
const START_EXTENSION_EVERY: std::time::Duration = std::time::Duration::from_secs(10);

/// Extends the start timeout until the future is dropped (`EXTEND_TIMEOUT_USEC`). A start first copies a large
/// WAL of the previous process into the database; if systemd killed it, the next start would begin from zero.
pub async fn extend_start() {
    let microseconds = u32::try_from(START_EXTENSION.as_micros()).unwrap_or(u32::MAX);
    loop {
        tokio::time::sleep(START_EXTENSION_EVERY).await;
        tell(&[NotifyState::ExtendTimeoutUsec(microseconds)]);
    }
}

/// Notifies systemd that both listeners are open.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Notifies systemd that the bridge refuses new webhooks.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Feeds systemd's watchdog at half its period (`WATCHDOG_USEC`) while this runtime makes progress and no
/// required component is stuck. Never returns. Does nothing if the unit has no watchdog.
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
    // A missing notification makes systemd act, so a log line is enough here.
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(event = "systemd_notify_failed", %error, "failed to notify systemd");
    }
}
