//! `recall-bridge serve`: runs the bridge.

use std::io::IsTerminal as _;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::CommandError;
use super::reload::{reload, warn_of_time};
use super::start_report;
use crate::app::{App, AppError};
use crate::config::{Config, LogFormat};
use crate::systemd;
use crate::telemetry;
use crate::webhook::Apps;

/// Runs the bridge until SIGTERM or SIGINT.
///
/// # Errors
/// The configuration is invalid, the start failed, a component exited, or a second signal came.
pub fn run() -> Result<(), CommandError> {
    let config = Config::from_env()?;
    start_logging(&config);
    actix_rt::System::new().block_on(serve(config))
}

/// Starts logging. The default format is text on a terminal, otherwise JSON.
pub(super) fn start_logging(config: &Config) {
    let by_place = if std::io::stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json };
    // The configuration has already checked the filter.
    let _ = telemetry::init(&config.log, config.log_format.unwrap_or(by_place));
    if !config.ignored.is_empty() {
        let names = config.ignored.join(" ");
        tracing::info!(
            event = "variables_ignored",
            names,
            "variables of Kubernetes Services or Kafka's scripts ignored"
        );
    }
}

async fn serve(mut config: Config) -> Result<(), CommandError> {
    let signals = |kind| signal(kind).map_err(AppError::Server);
    let mut stops =
        Stops { terminate: signals(SignalKind::terminate())?, interrupt: signals(SignalKind::interrupt())? };
    let hangup = signals(SignalKind::hangup())?;
    let app = tokio::select! {
        app = App::start(&config) => app?,
        () = systemd::extend_start() => return Ok(()),
        name = stops.next() => {
            tracing::info!(event = "signal", signal = name, "signal received while the spool was opening; exiting");
            return Ok(());
        }
    };
    start_report::started(&config, &app);
    // The listener has its own copy. A token that SIGHUP replaces must not stay in memory here.
    config.apps = Apps::default();
    let certificate = config.tls.as_ref().map(|tls| tls.material.certificate());
    certificate.inspect(|certificate| warn_of_time(certificate));
    let tls = certificate.map(ToString::to_string);
    tracing::info!(
        event = "webhook_listener_ready",
        address = %app.webhook_address(),
        path = config.webhook_path,
        tls,
        "webhook listener ready"
    );
    tracing::info!(event = "ops_listener_ready", address = %app.ops_address(), "operations listener ready");
    systemd::ready();
    actix_rt::spawn(start_report::check_topic(config.clone(), app.kafka().clone()));
    let reload = reload(hangup, &config, Arc::clone(app.shared()), app.tls().cloned());

    let watchdog = systemd::feed_watchdog(app.health());
    let (stop, stopping) = tokio::sync::oneshot::channel::<()>();
    let running = app.run(async {
        let _ = stopping.await;
    });
    tokio::pin!(running);
    tokio::pin!(watchdog);
    tokio::select! {
        result = &mut running => return Ok(result?),
        () = reload => {}
        () = &mut watchdog => {}
        name = stops.next() => tracing::info!(event = "signal", signal = name, "signal received; shutting down"),
    }
    systemd::stopping();
    drop(stop);
    tokio::select! {
        result = running => Ok(result?),
        () = watchdog => Ok(()),
        _ = stops.next() => Err(CommandError::Forced),
    }
}

struct Stops {
    terminate: Signal,
    interrupt: Signal,
}

impl Stops {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
