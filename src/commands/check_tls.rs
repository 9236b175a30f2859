//! The lines of `check-config` about the certificates of the webhook listener.

use std::time::SystemTime;

use crate::config::Config;
use crate::tls::Certificate;

/// Returns one line for each certificate. The configuration has already checked that certificate and key match.
pub(super) fn lines(config: &Config) -> Vec<String> {
    let Some(tls) = &config.tls else { return Vec::new() };
    let now = SystemTime::now();
    let line = |what: &str, certificate: &Certificate| match certificate.untimely(now) {
        None => format!("{what} {certificate}"),
        Some(problem) => format!("{what} {certificate}: WARNING: it {problem}"),
    };
    let mut lines = vec![line("certificate", tls.material.certificate())];
    lines.extend(tls.material.authorities().iter().map(|authority| line("client authority", authority)));
    lines
}
