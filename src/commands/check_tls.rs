//! The part of `check-config` about the webhook listener's certificates.

use std::time::SystemTime;

use crate::config::Config;
use crate::tls::Certificate;

/// What there is to say about them, line by line; that they fit together is checked with the
/// configuration.
pub(super) fn lines(config: &Config) -> Vec<String> {
    let Some(tls) = &config.tls else { return Vec::new() };
    let now = SystemTime::now();
    let line = |what: &str, certificate: &Certificate| match certificate.untimely(now) {
        None => format!("{what} {certificate}"),
        Some(fault) => format!("{what} {certificate}: WARNING: it {fault}"),
    };
    let mut lines = vec![line("certificate", tls.material.certificate())];
    lines.extend(tls.material.authorities().iter().map(|authority| line("client authority", authority)));
    lines
}
