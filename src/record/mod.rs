//! What is published: key, value, headers, timestamp of one recalled message, and the bytes in
//! which the spool keeps them. Pure; imports no other room.
//!
//! [`Event::encode`] fixes the bytes when the webhook is accepted; the publisher only
//! [decodes](Record::decode) them and adds [`BRIDGE_SPOOL`] and [`BRIDGE_SEQ`].

mod event;
mod wire;

pub use event::{Event, event_id, message_sent_at};
pub use wire::{DecodeError, Record, restamp};

/// Names of the headers: `CloudEvents` 1.0, Kafka protocol binding, binary content mode.
pub mod header {
    /// Always `1.0`.
    pub const SPEC_VERSION: &str = "ce_specversion";
    /// The `event_id` of the value.
    pub const ID: &str = "ce_id";
    /// `/tencent-chat/apps/{sdk_app_id}`.
    pub const SOURCE: &str = "ce_source";
    /// [`EVENT_TYPE`](super::EVENT_TYPE).
    pub const TYPE: &str = "ce_type";
    /// The `msg_key` of the value.
    pub const SUBJECT: &str = "ce_subject";
    /// The `recalled_at` of the value, where known.
    pub const TIME: &str = "ce_time";
    /// `application/json`.
    pub const CONTENT_TYPE: &str = "content-type";
    /// W3C Trace Context, where the request had one.
    pub const TRACEPARENT: &str = "traceparent";
}

/// How often a byte of a delivery's body can be in a record: account and `MsgKey` are in the value, the
/// one is the key, too, the other `ce_subject`. Escaped in the value, neither is longer than in the body.
pub const BODY_FACTOR: u64 = 2;
/// What a record holds beside that: its other fields, headers and their names, Kafka's framing of record
/// and batch, and what the query says, of the documented kind.
pub const BESIDE_BODY_MAX_BYTES: u64 = 2048;

/// The `ce_type` of every record.
pub const EVENT_TYPE: &str = "tencent.chat.official_account.message_recalled.v1";
/// The header that holds the spool's UUID.
pub const BRIDGE_SPOOL: &str = "bridge_spool";
/// The header, `1`, of a record that was published past the spool: it has neither of the other two.
pub const BRIDGE_UNSPOOLED: &str = "bridge_unspooled";
/// The header that holds the sequence number within the spool, in decimal.
pub const BRIDGE_SEQ: &str = "bridge_seq";
