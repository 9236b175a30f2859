//! The encoding of a record: the bytes in which the spool stores key, value, headers and timestamp, and the names of
//! the headers. Pure.
//!
//! An event is encoded when its webhook is accepted. The publisher [decodes](Record::decode) it and adds
//! [`BRIDGE_SPOOL`] and [`BRIDGE_SEQ`].

pub mod header;
pub(crate) mod wire;

pub use header::{BRIDGE_REPLAY, BRIDGE_SEQ, BRIDGE_SPOOL, BRIDGE_UNSPOOLED};
pub use wire::{DecodeError, Record, restamp};
