//! Records refused webhooks in the refused journal.

use bytes::Bytes;

use super::checks::check_head;
use super::outcome::Outcome;
use super::shared::Shared;
use crate::edge::Head;
use crate::events;
use crate::refused::{RefusedFacts, RefusedId, Standing};
use crate::spool::QuarantineId;
use crate::webhook;

/// The reason of a webhook whose peer left; such a webhook has no response.
const GONE_BEFORE_BODY: &str = "the peer closed the connection before the end of the body";
const GONE_BEFORE_RESPONSE: &str =
    "the peer closed the connection before the response; its recalls may have been accepted";

/// What is known of a webhook so far.
#[derive(Debug)]
pub(super) struct Seen {
    /// When it arrived, in UNIX milliseconds.
    pub(super) at_ms: i64,
    /// The length of the body in the head, in bytes.
    pub(super) announced: Option<u64>,
    /// The complete body.
    pub(super) body: Option<Bytes>,
    /// Its entry in quarantine.
    pub(super) quarantine: Option<QuarantineId>,
    /// Whether the query names a published command; `None`: not known yet.
    pub(super) names_published: Option<bool>,
}

impl Seen {
    pub(super) fn new(at_ms: i64, announced: Option<u64>) -> Self {
        Self { at_ms, announced, body: None, quarantine: None, names_published: None }
    }
}

/// What the `Sign` of a webhook proves, and its clock skew in seconds. `None`: it names no published command.
pub(super) fn standing(shared: &Shared, query: &[u8], at_ms: i64) -> Option<(Standing, Option<i64>)> {
    if !webhook::names_command(query, events::is_published) {
        return None;
    }
    let window = shared.request_time_window_seconds;
    let verdict = check_head(query, &shared.apps(), at_ms.div_euclid(1000), window);
    let Some(verified) = verdict.verified() else { return Some((Standing::Unauthentic, None)) };
    let skew = verified.skew_seconds();
    let in_time = skew.is_none_or(|skew| skew.unsigned_abs() <= window);
    Some((if in_time { Standing::Authentic } else { Standing::OutsideWindow }, skew))
}

/// Records a webhook if it was refused and names a published command. Returns the id of its entry.
pub(super) fn record(shared: &Shared, head: &Head, seen: &Seen, outcome: Outcome, info: &str) -> Option<RefusedId> {
    if !outcome.is_refusal() {
        return None;
    }
    let (standing, skew_seconds) = standing(shared, head.query(), seen.at_ms)?;
    let reason = match outcome {
        Outcome::ClientGone if seen.body.is_none() => GONE_BEFORE_BODY,
        Outcome::ClientGone => GONE_BEFORE_RESPONSE,
        _ => info,
    };
    shared.journal.record(&RefusedFacts {
        at_ms: seen.at_ms,
        outcome: outcome.label(),
        reason,
        standing,
        skew_seconds,
        query: head.query(),
        body: seen.body.as_deref(),
        body_bytes: seen.announced,
        quarantine: seen.quarantine,
        traceparent: head.traceparent(),
        request_id: request_id(head.raw()),
        peer: head.peer(),
    })
}

/// The header `X-Request-Id`, which load balancers add.
fn request_id(head: &[u8]) -> Option<&str> {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    let mut fields = lines.filter_map(|line| line.split_at_checked(line.iter().position(|byte| *byte == b':')?));
    let (_, value) = fields.find(|(name, _)| name.eq_ignore_ascii_case(b"x-request-id"))?;
    let value = std::str::from_utf8(value.get(1..)?.trim_ascii()).ok()?;
    Some(value).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_id_of_a_load_balancer_is_found() {
        let head = b"POST /?x-request-id:1 HTTP/1.1\r\nHost: a\r\nx-REQUEST-id:  abc-1 \r\n\r\n";
        assert_eq!(request_id(head), Some("abc-1"));
        for none in [&b"POST / HTTP/1.1\r\nX-Request-Id:\r\n\r\n"[..], b"POST / HTTP/1.1\r\n\r\n", b""] {
            assert_eq!(request_id(none), None);
        }
    }
}
