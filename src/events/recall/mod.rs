//! Messages of an official account were recalled.
//!
//! Source: Tencent Cloud Chat webhook documentation, "after an official account's message is recalled".

mod body;
mod check;
mod fields;
pub mod limits;
mod record;
mod store;

use std::borrow::Cow;

use serde_json::{Value, json};

use super::kind::{EventKind, Messages, Origin};
use crate::record::DecodeError;
use crate::webhook::Verified;

pub use body::{Recall, RecallError};
pub use record::{EVENT_TYPE, RecalledMessage, event_id, message_sent_at};

/// The `CallbackCommand`.
pub const COMMAND: &str = "OfficialAccount.CallbackAfterMsgWithDraw";

/// The recall command.
#[derive(Debug)]
pub struct RecallKind;

impl EventKind for RecallKind {
    fn command(&self) -> &'static str {
        COMMAND
    }

    fn event_type(&self) -> &'static str {
        EVENT_TYPE
    }

    fn tag(&self) -> u8 {
        store::TAG
    }

    fn expand(&self, fields: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        RecalledMessage::restore(fields)?.encode(out);
        Ok(())
    }

    fn parse<'b>(
        &self,
        verified: &Verified<'_>,
        body: &'b [u8],
    ) -> Result<Option<Box<dyn Messages + 'b>>, RecallError> {
        Ok(body::parse(verified, body)?.map(|recall| Box::new(recall) as Box<dyn Messages + 'b>))
    }

    fn account<'b>(&self, body: &'b [u8]) -> Option<Cow<'b, str>> {
        body::account(body)
    }

    fn keys<'b>(&self, body: &'b [u8]) -> Vec<Cow<'b, str>> {
        body::keys(body)
    }

    fn record_bytes_max(&self, body_bytes_max: u64) -> u64 {
        body_bytes_max * limits::BODY_FACTOR + limits::BESIDE_BODY_MAX_BYTES
    }

    fn sample_body(&self, account: &str, subjects: &[String], event_time_ms: i64) -> Value {
        let list: Vec<_> = subjects.iter().map(|key| json!({ "MsgKey": key })).collect();
        json!({
            "CallbackCommand": COMMAND,
            "Official_Account": account,
            "WithdrawMsgList": list,
            "EventTime": event_time_ms,
        })
    }

    fn check(&self, record: &Value) -> Result<(), String> {
        check::check(record)
    }
}

impl Messages for Recall<'_> {
    fn count(&self) -> usize {
        self.msg_keys().len()
    }

    fn store(&self, index: usize, origin: &Origin<'_>, out: &mut Vec<u8>) {
        self.event(index, origin).store(out);
    }

    fn encode(&self, index: usize, origin: &Origin<'_>, out: &mut Vec<u8>) {
        self.event(index, origin).encode(out);
    }

    fn content_hash(&self, index: usize, origin: &Origin<'_>) -> [u8; 16] {
        self.event(index, origin).content_hash()
    }

    fn describe(&self, index: usize, origin: &Origin<'_>) -> Value {
        let RecalledMessage { sdk_app_id, official_account, msg_key, .. } = self.event(index, origin);
        let event_id = event_id(sdk_app_id, official_account, msg_key);
        json!({ "official_account": official_account, "msg_key": msg_key, "event_id": event_id })
    }
}

impl Recall<'_> {
    /// A recalled message, by index.
    fn event<'a>(&'a self, index: usize, origin: &Origin<'a>) -> RecalledMessage<'a> {
        RecalledMessage {
            sdk_app_id: origin.sdk_app_id,
            official_account: self.official_account(),
            msg_key: self.msg_key(index),
            recalled_at_ms: self.event_time_ms(),
            received_at_ms: origin.received_at_ms,
            opt_platform: origin.opt_platform,
            client_ip: origin.client_ip,
            traceparent: origin.traceparent,
        }
    }
}
