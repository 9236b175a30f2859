//! What is published: key, value, headers, timestamp of one recalled message, and the bytes in
//! which the spool keeps them. Pure; imports no other room.
//!
//! [`Event::encode`] fixes the bytes when the webhook is accepted; the publisher only
//! [decodes](Record::decode) them and adds [`BRIDGE_SPOOL`] and [`BRIDGE_SEQ`].

mod event;
pub mod header;
mod size;
mod wire;

pub use event::{Event, event_id, message_sent_at};
pub use header::{BRIDGE_SEQ, BRIDGE_SPOOL, BRIDGE_UNSPOOLED, EVENT_TYPE};
pub use size::{BESIDE_BODY_MAX_BYTES, BODY_FACTOR};
pub use wire::{DecodeError, Record, restamp};
