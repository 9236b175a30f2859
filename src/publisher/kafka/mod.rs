//! The thin side: every call to librdkafka.

pub(super) mod context;
pub mod errors;
pub mod probe;
pub(super) mod producer;
pub(super) mod read_back;
pub mod topic;
pub(super) mod unspooled;
