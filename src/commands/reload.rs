//! SIGHUP: files that may have changed are read again, without a connection or a webhook lost.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::signal::unix::Signal;

use crate::config::{Config, read_secret_file};
use crate::ingest;
use crate::tls::{CERT, Certificate, Files, Listener, Material};
use crate::webhook::Apps;

/// Reads `BRIDGE_APPS_FILE` and the files of `BRIDGE_TLS_…` again at each SIGHUP. Faulty ones change
/// nothing, each of the two on its own. Never ends.
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
            tracing::warn!("SIGHUP: neither BRIDGE_APPS_FILE nor BRIDGE_TLS_CERT is set, nothing to read again");
        }
    }
    std::future::pending::<()>().await;
}

fn reload_apps(file: &Path, allow_unsigned: bool, shared: &ingest::Shared) {
    let apps = read_secret_file("BRIDGE_APPS_FILE", file)
        .map_err(|fault| fault.to_string())
        .and_then(|text| Apps::parse(text.expose(), allow_unsigned).map_err(|faults| all(&faults)));
    match apps {
        Ok(apps) if apps.has_placeholder() => {
            let error = "BRIDGE_APPS_FILE holds the placeholder change-me as a token";
            tracing::error!(event = "reload_refused", error, "SIGHUP: the apps stay as they were");
        }
        Ok(apps) => {
            shared.replace_apps(apps);
            tracing::info!("SIGHUP: apps and tokens read again");
        }
        Err(error) => tracing::error!(error, "SIGHUP: the apps stay as they were"),
    }
}

fn reload_tls(files: &Files, listener: &Listener) {
    match files.read() {
        Ok(material) if is_worse(&material, &listener.present()) => {
            let error = format!("{}: {} is out of its time; have it renewed", CERT, material.certificate());
            tracing::error!(error, "SIGHUP: the certificates stay as they were");
        }
        Ok(material) => {
            let certificate = material.certificate().clone();
            listener.replace(material);
            warn_of_time(&certificate);
            tracing::info!(tls = %certificate, "SIGHUP: certificates read again, for new connections");
        }
        Err(faults) => tracing::error!(error = all(&faults), "SIGHUP: the certificates stay as they were"),
    }
}

/// Whether peers take the present certificate, and will not take the new one.
fn is_worse(new: &Material, present: &Material) -> bool {
    let now = SystemTime::now();
    new.certificate().untimely(now).is_some() && present.certificate().untimely(now).is_none()
}

/// Warns of a certificate that peers will refuse now.
pub(super) fn warn_of_time(certificate: &Certificate) {
    if let Some(what) = certificate.untimely(SystemTime::now()) {
        tracing::warn!(tls = %certificate, "the certificate of BRIDGE_TLS_CERT {what}: senders will refuse it");
    }
}

fn all(faults: &[impl ToString]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
