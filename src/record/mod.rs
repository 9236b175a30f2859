//! What is published: key, value, headers, timestamp of one recalled message, and the bytes in
//! which the spool keeps them. Pure; imports no other room.
//!
//! An event is encoded the bytes when the webhook is accepted; the publisher only
//! [decodes](Record::decode) them and adds [`BRIDGE_SPOOL`] and [`BRIDGE_SEQ`].

pub mod header;
pub(crate) mod wire;

pub use header::{BRIDGE_SEQ, BRIDGE_SPOOL, BRIDGE_UNSPOOLED};
pub use wire::{DecodeError, Record, restamp};
