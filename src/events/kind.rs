//! What a module says about its webhook command.

use std::borrow::Cow;
use std::fmt::Debug;

use serde_json::Value;

use super::recall::RecallError;
use crate::record::DecodeError;
use crate::webhook::Verified;

/// A webhook command that the bridge publishes.
pub trait EventKind: Debug + Sync {
    /// The `CallbackCommand`.
    fn command(&self) -> &'static str;

    /// The `ce_type` of its records.
    fn event_type(&self) -> &'static str;

    /// Distinguishes the fields of its events in the spool from those of other commands. Never 0, and never used for
    /// other fields or records later.
    fn tag(&self) -> u8;

    /// Appends the encoded record of an event that is stored as fields (see [`stored`](super::stored)).
    ///
    /// # Errors
    /// The bytes are not the fields of an event.
    fn expand(&self, fields: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError>;

    /// Reads the body of a verified webhook. `None`: the body names no message.
    ///
    /// # Errors
    /// The body is not valid, or exceeds a limit. The error names the field.
    fn parse<'b>(&self, verified: &Verified<'_>, body: &'b [u8])
    -> Result<Option<Box<dyn Messages + 'b>>, RecallError>;

    /// The account in a body, also in one that is not valid otherwise.
    fn account<'b>(&self, body: &'b [u8]) -> Option<Cow<'b, str>>;

    /// The keys of the messages in a body, also in one that is not valid otherwise; empty if they cannot be read.
    fn keys<'b>(&self, body: &'b [u8]) -> Vec<Cow<'b, str>>;

    /// The maximum size of a record, in bytes, with Kafka's framing, for bodies up to this size.
    fn record_bytes_max(&self, body_bytes_max: u64) -> u64;

    /// A body as the vendor sends it.
    fn sample_body(&self, account: &str, subjects: &[String], event_time_ms: i64) -> Value;

    /// Checks a record of the topic (key, value and headers, as `tail --json` shows them), without its sequence number.
    ///
    /// # Errors
    /// The first field or header that is wrong.
    fn check(&self, record: &Value) -> Result<(), String>;
}

/// The messages of one webhook: one record for each, at least one.
pub trait Messages: Debug {
    /// Their number.
    fn count(&self) -> usize;

    /// Appends what the spool stores of a message, by index.
    fn store(&self, index: usize, origin: &Origin<'_>, out: &mut Vec<u8>);

    /// Appends the encoded record of a message, by index.
    fn encode(&self, index: usize, origin: &Origin<'_>, out: &mut Vec<u8>);

    /// The content hash of a message, by index: duplicates have the same one.
    fn content_hash(&self, index: usize, origin: &Origin<'_>) -> [u8; 16];

    /// The fields that identify a message, by index, for a person.
    fn describe(&self, index: usize, origin: &Origin<'_>) -> Value;
}

/// Where the messages of a webhook come from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The app.
    pub sdk_app_id: u64,
    /// The `OptPlatform`.
    pub opt_platform: Option<&'a str>,
    /// The `ClientIP`.
    pub client_ip: Option<&'a str>,
    /// When the webhook was received, in UNIX milliseconds; the record's timestamp.
    pub received_at_ms: i64,
    /// W3C Trace Context of the request.
    pub traceparent: Option<&'a str>,
}

impl<'a> Origin<'a> {
    /// Of a verified webhook.
    pub fn new(verified: &'a Verified<'_>, received_at_ms: i64, traceparent: Option<&'a str>) -> Self {
        Self {
            sdk_app_id: verified.sdk_app_id(),
            opt_platform: verified.opt_platform(),
            client_ip: verified.client_ip(),
            received_at_ms,
            traceparent,
        }
    }
}
