//! What to do about entries in quarantine: which are meant, what they are, how they become records.
//!
//! The spool keeps them and moves them, in one commit; this room knows what they mean. [`change`]
//! is the one way to requeue or to drop entries, for a stopped node and for a running one
//! ([`control`](crate::control)).

mod change;
mod filter;
mod kind;
mod revive;
pub mod view;

pub use change::{Action, Changed, Done, RecordName, change};
pub use filter::Filter;
pub use kind::{DAMAGED, EntryKind, account, kind};
pub use revive::{RequeueError, revive};
