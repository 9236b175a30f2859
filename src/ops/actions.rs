//! Actions of the page: who may ask for one, and what.
//!
//! A browser must not be able to send one for another site. So a request needs the header [`HEADER`] and the type
//! `application/json`: a page of another origin can send neither without a preflight request, which this listener never
//! grants. `Origin` and `Sec-Fetch-Site`, which browsers always send, must name the same origin.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

use crate::control::REQUEST_MAX_IDS;
use crate::edge::{Body, BodyError, Head};

/// The header of an action.
pub(super) const HEADER: &str = "X-Recall-Bridge";
const HEADER_VALUE: &str = "page";
/// Limit of the body: 256 ids with room to spare.
const BODY_MAX_BYTES: usize = 16 << 10;
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// A change that the page asks for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", tag = "action", deny_unknown_fields)]
pub(super) enum PageAction {
    /// Publish entries of the quarantine.
    Requeue { ids: Vec<i64> },
    /// Delete entries of the quarantine.
    Drop { ids: Vec<i64> },
    /// Publish refused webhooks.
    Replay { ids: Vec<u64> },
}

/// Why an action is refused, with the status of the response.
pub(super) type ActionRefusal = (StatusCode, String);

/// Reads an action.
pub(super) async fn read(enabled: bool, head: &Head, body: &mut Body<'_>) -> Result<PageAction, ActionRefusal> {
    check(enabled, head.raw())?;
    let read = tokio::time::timeout(BODY_TIMEOUT, body.read(BODY_MAX_BYTES)).await;
    let body = match read {
        Ok(Ok(body)) => body,
        Ok(Err(error @ BodyError::TooLarge(_))) => return Err((StatusCode::PAYLOAD_TOO_LARGE, error.to_string())),
        Ok(Err(error)) => return Err((StatusCode::BAD_REQUEST, error.to_string())),
        Err(_) => return Err((StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time".to_owned())),
    };
    let action: PageAction =
        serde_json::from_slice(&body).map_err(|error| (StatusCode::BAD_REQUEST, format!("body: {error}")))?;
    if !(1..=REQUEST_MAX_IDS).contains(&action.count()) {
        return Err((StatusCode::BAD_REQUEST, format!("ids: 1 to {REQUEST_MAX_IDS}")));
    }
    Ok(action)
}

impl PageAction {
    fn count(&self) -> usize {
        match self {
            Self::Requeue { ids } | Self::Drop { ids } => ids.len(),
            Self::Replay { ids } => ids.len(),
        }
    }
}

/// Checks the head of a request, before its body is read.
fn check(enabled: bool, head: &[u8]) -> Result<(), ActionRefusal> {
    let forbidden = |why: &str| Err((StatusCode::FORBIDDEN, why.to_owned()));
    if !enabled {
        return forbidden(
            "actions are switched off: use `recall-bridge quarantine` and `recall-bridge refused replay`, or set \
             BRIDGE_OPS_ACTIONS=true",
        );
    }
    if one(head, HEADER) != Some(HEADER_VALUE) {
        return forbidden("header X-Recall-Bridge: send `page`");
    }
    let has = |name| lines(head, name).next().is_some();
    if has("sec-fetch-site") && one(head, "sec-fetch-site") != Some("same-origin") {
        return forbidden("header Sec-Fetch-Site: the request comes from another site");
    }
    if has("origin") && !is_same_origin(one(head, "origin"), one(head, "host")) {
        return forbidden("header Origin: the request comes from another origin");
    }
    let kind = one(head, "content-type").map(|kind| kind.split(';').next().unwrap_or_default().trim());
    if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "header Content-Type: send application/json".to_owned()));
    }
    Ok(())
}

/// Whether `Origin` is the host that the request was sent to. A proxy in front may end TLS.
fn is_same_origin(origin: Option<&str>, host: Option<&str>) -> bool {
    let (Some(origin), Some(host)) = (origin, host) else { return false };
    let named = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    !host.is_empty() && named.is_some_and(|named| named.eq_ignore_ascii_case(host))
}

/// The value of a header that the head has exactly once.
fn one<'h>(head: &'h [u8], name: &str) -> Option<&'h str> {
    let mut values = lines(head, name);
    let first = values.next()?;
    if values.next().is_some() {
        return None;
    }
    std::str::from_utf8(first).ok()
}

fn lines<'h>(head: &'h [u8], name: &str) -> impl Iterator<Item = &'h [u8]> {
    head.split(|byte| *byte == b'\n').skip(1).filter_map(move |line| {
        let (field, value) = line.split_at_checked(line.iter().position(|byte| *byte == b':')?)?;
        field.eq_ignore_ascii_case(name.as_bytes()).then(|| value.get(1..).unwrap_or_default().trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(enabled: bool, headers: &[&str]) -> Option<u16> {
        let head = format!("POST /actions HTTP/1.1\r\n{}\r\n\r\n", headers.join("\r\n"));
        check(enabled, head.as_bytes()).err().map(|(status, _)| status.as_u16())
    }

    #[test]
    fn only_the_page_itself_may_ask_for_an_action() {
        const HOST: &str = "Host: node:9100";
        const TYPE: &str = "Content-Type: application/json; charset=utf-8";
        const PAGE: &str = "X-Recall-Bridge: page";
        assert_eq!(status(true, &[HOST, TYPE, PAGE]), None);
        assert_eq!(status(true, &[HOST, TYPE, PAGE, "Origin: http://node:9100", "Sec-Fetch-Site: same-origin"]), None);
        assert_eq!(status(true, &[HOST, TYPE, PAGE, "Origin: https://NODE:9100"]), None);
        assert_eq!(status(false, &[HOST, TYPE, PAGE]), Some(403));
        for wrong in [
            "Origin: http://evil.example",
            "Origin: null",
            "Origin: http://node:9101",
            "Origin: http://node:9100.evil.example",
            "Origin: http://node:9100\r\nOrigin: http://node:9100",
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Site: same-site",
            "X-Recall-Bridge: page",
        ] {
            assert_eq!(status(true, &[HOST, TYPE, PAGE, wrong]), Some(403), "{wrong}");
        }
        assert_eq!(status(true, &[HOST, TYPE]), Some(403));
        for kind in ["Content-Type: text/plain", "Content-Type: application/jsonx", "X: application/json"] {
            assert_eq!(status(true, &[HOST, PAGE, kind]), Some(415), "{kind}");
        }
    }

    #[test]
    fn an_action_is_one_of_three() {
        let read = |text: &str| serde_json::from_str::<PageAction>(text).ok();
        assert_eq!(read(r#"{"action":"drop","ids":[1,2]}"#), Some(PageAction::Drop { ids: vec![1, 2] }));
        for wrong in [r#"{"action":"stop","ids":[]}"#, r#"{"action":"replay","ids":[-1]}"#, r#"{"ids":[1]}"#, "[]"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
