//! Selects entries of the quarantine, shows them, and converts them back into records.
//!
//! The spool stores the entries and moves them, in one commit. [`change`] is the only way to requeue or drop entries,
//! for a stopped node and for a running one ([`control`](crate::control)).

mod change;
mod filter;
mod kind;
mod revive;
pub mod view;

pub use change::{Changed, Done, EntryAction, RecordName, change};
pub use filter::Filter;
pub use kind::{EntryKind, account, kind};
pub use revive::{RequeueError, revive, revive_webhook};
