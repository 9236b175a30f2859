//! The encoding of a record: key, value, headers and timestamp in one piece of bytes, and the names of the headers. Pure.
//!
//! `events` makes a record of the fields in the spool. The publisher [decodes](Record::decode) it and adds
//! [`BRIDGE_SPOOL`] and [`BRIDGE_SEQ`].

pub mod header;
pub(crate) mod wire;

pub use header::{BRIDGE_REPLAY, BRIDGE_SEQ, BRIDGE_SPOOL, BRIDGE_UNSPOOLED};
pub use wire::{DecodeError, Record, restamp};
