//! The thin side: every call to librdkafka.

pub(super) mod context;
pub mod describe;
pub mod errors;
pub mod probe;
pub(super) mod producer;
pub(super) mod read_back;
pub mod topic;
pub(super) mod unspooled;

/// For what a client complained of while a call failed: log lines and errors wait in one queue, and
/// polling without waiting takes only the first of them.
const COMPLAINTS: std::time::Duration = std::time::Duration::from_millis(5);
