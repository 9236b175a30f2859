//! Checks that a webhook is authentic: its app is configured, its `Sign` was made with one of the app's tokens, and
//! its time is near this clock.

use std::borrow::Cow;

use subtle::{Choice, ConstantTimeEq};

use super::apps::{Apps, Token};
use super::query::{Param, Query, QueryError};

/// Proof that a webhook is authentic. Only [`verify`] and [`verified_before`] create it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<'q> {
    sdk_app_id: u64,
    command: Cow<'q, str>,
    client_ip: Option<Cow<'q, str>>,
    opt_platform: Option<Cow<'q, str>>,
    skew_seconds: Option<i64>,
}

impl Verified<'_> {
    /// The app; it is configured.
    pub fn sdk_app_id(&self) -> u64 {
        self.sdk_app_id
    }

    /// The `CallbackCommand`, not empty.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The `ClientIP`, as sent.
    pub fn client_ip(&self) -> Option<&str> {
        self.client_ip.as_deref()
    }

    /// The `OptPlatform`, as sent.
    pub fn opt_platform(&self) -> Option<&str> {
        self.opt_platform.as_deref()
    }

    /// Now minus `RequestTime`, in seconds: positive if the sender's clock is behind this one. `None` for an app
    /// without tokens, whose `RequestTime` is not authenticated.
    pub fn skew_seconds(&self) -> Option<i64> {
        self.skew_seconds
    }
}

/// Why a webhook is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal<'q> {
    /// The query string is not as documented.
    #[error(transparent)]
    BadQuery(#[from] QueryError),
    /// The app is not configured.
    #[error("SdkAppid: {sdk_app_id} is not an app of this receiver")]
    UnknownApp {
        /// The app that was named.
        sdk_app_id: u64,
    },
    /// The Sign is missing or wrong.
    #[error(transparent)]
    BadSign(#[from] SignError),
    /// Authentic, a published command, but from outside the time window.
    #[error(
        "RequestTime: outside the time window, {} s {} this receiver's clock",
        .skew_seconds.unsigned_abs(),
        if *.skew_seconds < 0 { "ahead of" } else { "behind" }
    )]
    Stale {
        /// The authentic webhook: it may be a replay, or the clock of one side may be wrong.
        verified: Verified<'q>,
        /// Now minus `RequestTime`, in seconds; the same as in `verified`.
        skew_seconds: i64,
    },
    /// More than a day away: no clock drifts so far, so someone captured the Sign.
    #[error("RequestTime: more than a day away from this receiver's clock")]
    Expired {
        /// The authentic webhook.
        verified: Verified<'q>,
    },
}

impl<'q> Refusal<'q> {
    /// The proof, if the refused webhook is authentic.
    pub fn into_verified(self) -> Option<Verified<'q>> {
        match self {
            Self::Stale { verified, .. } | Self::Expired { verified } => Some(verified),
            Self::BadQuery(_) | Self::UnknownApp { .. } | Self::BadSign(_) => None,
        }
    }
}

/// What is wrong with `Sign` or `RequestTime`, for an app that has tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// One of the two is missing: authentication is off in the vendor's console, or the sender is not the vendor.
    #[error("{0}: missing in the query; expected because the app has a token")]
    Missing(&'static str),
    /// One of the two occurs more than once.
    #[error("{0}: more than once in the query")]
    Repeated(&'static str),
    /// `Sign` cannot be a SHA-256.
    #[error("Sign: not a SHA-256; expected 64 hex digits")]
    NotHex,
    /// `RequestTime` cannot be a time.
    #[error("RequestTime: not a number; expected UNIX seconds in digits only")]
    NotDigits,
    /// `Sign` does not match any token of the app.
    #[error("Sign: does not match RequestTime under any token of the app")]
    Wrong,
}

/// A `RequestTime` further away than this is [`Refusal::Expired`], in seconds.
pub const EXPIRED_SECONDS: u64 = 86_400;

/// Checks a query string (what follows the `?`, as it stood in the request) in the order of the outcomes:
/// the query itself, the app, the `Sign`, and for a command that is published the time.
///
/// A `RequestTime` is within the window when it is at most `window_seconds` before or after
/// `now_unix_seconds`. An app without tokens gets neither `Sign` nor `RequestTime` looked at, and
/// nothing is kept or refused for the time of a command for which `is_published` is false.
///
/// # Errors
///
/// The first check that does not hold.
pub fn verify<'q>(
    query: &'q [u8],
    apps: &Apps,
    now_unix_seconds: i64,
    window_seconds: u64,
    is_published: impl Fn(&str) -> bool,
) -> Result<Verified<'q>, Refusal<'q>> {
    let query = Query::parse(query)?;
    let sdk_app_id = query.sdk_app_id;
    let tokens = apps.get(sdk_app_id).ok_or(Refusal::UnknownApp { sdk_app_id })?;
    let mut verified = Verified {
        sdk_app_id,
        command: query.command,
        client_ip: query.client_ip,
        opt_platform: query.opt_platform,
        skew_seconds: None,
    };
    if tokens.is_empty() {
        return Ok(verified);
    }
    let request_time = check_sign(&query.sign, &query.request_time, tokens)?;
    // A number above the range of i64 is a time in the distant future.
    let seconds = request_time.parse::<i64>();
    let skew_seconds = now_unix_seconds.saturating_sub(*seconds.as_ref().unwrap_or(&i64::MAX));
    verified.skew_seconds = Some(skew_seconds);
    let away = skew_seconds.unsigned_abs();
    if !is_published(&verified.command) || (seconds.is_ok() && away <= window_seconds) {
        Ok(verified)
    } else if seconds.is_ok() && away <= EXPIRED_SECONDS {
        Err(Refusal::Stale { verified, skew_seconds })
    } else {
        Err(Refusal::Expired { verified })
    }
}

/// The proof of a stored webhook that [`verify`] accepted earlier, from its query [without
/// Sign](super::without_sign). Only authentic webhooks are stored in quarantine. The caller vouches for the time.
///
/// # Errors
///
/// The query string is not as documented: it is not one that was verified.
pub fn verified_before(query: &str) -> Result<Verified<'_>, QueryError> {
    let Query { sdk_app_id, command, client_ip, opt_platform, .. } = Query::parse(query.as_bytes())?;
    Ok(Verified { sdk_app_id, command, client_ip, opt_platform, skew_seconds: None })
}

/// The authenticated request time, digits only.
fn check_sign<'p, 'q>(sign: &Param<'_>, request_time: &'p Param<'_>, tokens: &[Token]) -> Result<&'p str, Refusal<'q>> {
    let sign = once(sign, "Sign")?;
    let request_time = once(request_time, "RequestTime")?;
    let mut given = [0; 32];
    hex::decode_to_slice(sign, &mut given).map_err(|_| SignError::NotHex)?;
    if request_time.is_empty() || !request_time.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SignError::NotDigits.into());
    }
    // The duration depends neither on the matching part of the Sign nor on the token.
    let proven = tokens.iter().fold(Choice::from(0), |proven, token| proven | token.digest(request_time).ct_eq(&given));
    if proven.into() { Ok(request_time) } else { Err(SignError::Wrong.into()) }
}

fn once<'p, 'q>(param: &'p Param<'_>, name: &'static str) -> Result<&'p str, Refusal<'q>> {
    match param {
        Param::Once(value) => Ok(value),
        Param::Missing => Err(SignError::Missing(name).into()),
        Param::Repeated => Err(SignError::Repeated(name).into()),
        Param::Undecodable => Err(QueryError::Undecodable(name).into()),
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
