//! SIGHUP: reads changed files again. No connection and no webhook is lost.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::signal::unix::Signal;

use crate::config::{Config, read_secret_file};
use crate::ingest;
use crate::tls::{CERT, Certificate, Files, Listener, Material};
use crate::webhook::Apps;

/// Reads `BRIDGE_APPS_FILE` and the files of `BRIDGE_TLS_…` again after each SIGHUP. Invalid files change nothing.
/// The apps and the certificates are independent of each other. Never returns.
pub(super) async fn reload(
    mut hangup: Signal,
    config: &Config,
    shared: Arc<ingest::Shared>,
    tls: Option<Arc<Listener>>,
) {
    while hangup.recv().await.is_some() {
        if let Some(file) = &config.apps_file {
            reload_apps(file, config.allow_unsigned, &shared);
        }
        if let (Some(listener), Some(tls)) = (&tls, &config.tls) {
            reload_tls(&tls.files, listener);
        }
        if config.apps_file.is_none() && tls.is_none() {
            tracing::warn!(
                event = "reload_without_files",
                "SIGHUP ignored; set BRIDGE_APPS_FILE or BRIDGE_TLS_CERT to reload files"
            );
        }
    }
    std::future::pending::<()>().await;
}

fn reload_apps(file: &Path, allow_unsigned: bool, shared: &ingest::Shared) {
    let apps = read_secret_file("BRIDGE_APPS_FILE", file)
        .map_err(|error| error.to_string())
        .and_then(|text| Apps::parse(text.expose(), allow_unsigned).map_err(|errors| all(&errors)));
    match apps {
        Ok(apps) if apps.has_placeholder() => {
            let error =
                "BRIDGE_APPS_FILE contains the placeholder change-me as a token; set the token of the vendor's console";
            tracing::error!(event = "reload_refused", error, "SIGHUP: apps not changed");
        }
        Ok(apps) => {
            shared.replace_apps(apps);
            tracing::info!(event = "apps_reloaded", "SIGHUP: apps and tokens reloaded");
        }
        Err(error) => tracing::error!(event = "reload_refused", error, "SIGHUP: apps not changed"),
    }
}

fn reload_tls(files: &Files, listener: &Listener) {
    match files.read() {
        Ok(material) if is_worse(&material, &listener.present()) => {
            let error = format!("{}: {} is not valid now; renew it", CERT, material.certificate());
            tracing::error!(event = "reload_refused", error, "SIGHUP: certificates not changed");
        }
        Ok(material) => {
            let certificate = material.certificate().clone();
            listener.replace(material);
            warn_of_time(&certificate);
            tracing::info!(
                event = "certificates_reloaded",
                tls = %certificate,
                "SIGHUP: certificates reloaded for new connections"
            );
        }
        Err(errors) => {
            tracing::error!(event = "reload_refused", error = all(&errors), "SIGHUP: certificates not changed");
        }
    }
}

/// Whether peers accept the current certificate but would refuse the new one.
fn is_worse(new: &Material, present: &Material) -> bool {
    let now = SystemTime::now();
    new.certificate().untimely(now).is_some() && present.certificate().untimely(now).is_none()
}

/// Logs a warning if the certificate is expired or not valid yet.
pub(super) fn warn_of_time(certificate: &Certificate) {
    if let Some(what) = certificate.untimely(SystemTime::now()) {
        tracing::warn!(
            event = "certificate_not_valid",
            tls = %certificate,
            "certificate of BRIDGE_TLS_CERT {what}; senders will refuse it"
        );
    }
}

fn all(errors: &[impl ToString]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
