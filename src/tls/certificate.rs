//! The subject and the validity of a certificate.

use std::fmt;
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use x509_cert::der::Decode as _;

/// The fields of a certificate that an operator needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The distinguished name of its owner.
    pub subject: String,
    /// Not valid before, in UNIX seconds.
    pub not_before: i64,
    /// Not valid after, in UNIX seconds.
    pub not_after: i64,
}

impl Certificate {
    /// Reads a certificate; `None` if it is not valid DER of a certificate.
    pub(super) fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let certificate = x509_cert::Certificate::from_der(der).ok()?.tbs_certificate;
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        Some(Self {
            subject: certificate.subject.to_string(),
            not_before: seconds(certificate.validity.not_before.to_unix_duration()),
            not_after: seconds(certificate.validity.not_after.to_unix_duration()),
        })
    }

    /// Returns why the certificate is not valid at this time, if it is not.
    pub fn untimely(&self, now: SystemTime) -> Option<&'static str> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        if now > self.not_after {
            Some("has expired")
        } else if now < self.not_before {
            Some("is not yet valid")
        } else {
            None
        }
    }

    /// Returns the end of its validity, as RFC 3339.
    pub fn expires(&self) -> String {
        jiff::Timestamp::from_second(self.not_after).map_or_else(|_| self.not_after.to_string(), |at| at.to_string())
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = if self.subject.is_empty() { "(without a subject)" } else { &self.subject };
        write!(f, "{subject}, valid until {}", self.expires())
    }
}
