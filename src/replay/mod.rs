//! Publishes records of the topic again, for a consumer that lost its state: the same key, value and `event_id`, with the
//! id of the replay in the header `bridge_replay`.
//!
//! The promise of the bridge (exactly once, in order per account, numbers without a gap) holds for events in a spool. So
//! records for the topic of a node are appended to the spool of the running node, and its publisher does the rest. A
//! command that published to the same topic beside the node would need all of that a second time: fence,
//! reconciliation, numbers. Only for another topic the command publishes itself, with a spool UUID of its own
//! ([`ReplayProducer`](crate::publisher::replay::ReplayProducer)).
//!
//! A replay repeats recalls on purpose, so its events have no id for deduplication: the window neither drops nor
//! remembers them. The header `traceparent` is removed: the trace of the webhook has ended.
//!
//! The spool takes records of a replay only while its backlog is short. So a replay of any length neither fills the spool
//! nor delays new recalls by more than a moment.

mod copy;
mod republish;
mod target;

pub use copy::copy;
pub use republish::{RepublishError, Republished, republish};
pub use target::PublishTarget;
