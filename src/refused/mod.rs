//! The refused journal: which webhooks were refused, why, and what a replay of them needs.
//!
//! The sender does not send a webhook again, so each refusal may be a lost recall. The journal keeps every refusal
//! whose query names a published command. An operator lists it, and replays the authentic ones.
//!
//! - *Three parts with separate limits* (`shelf`). Entries that an unauthenticated peer causes are in memory only, a
//!   limited number for each outcome. Entries with a valid `Sign` outside the time window can be replays of one captured
//!   request. All others are the vendor's. No part can push out entries of another one.
//! - *Limits*: bytes and entries of each part, bytes of each field, entries per second of each outcome. Everything that
//!   is not kept is counted ([`LeftOut`]).
//! - *Authentic entries are in a file, too* (`file`), and survive a restart. A separate thread writes it (`keeper`).
//!   Nothing waits for this thread: its queue is limited, and a full or failed disk loses only journal entries.
//! - *No token and no `Sign`*: the query is kept without them.
//!
//! # The file
//!
//! Lines of JSON, each after its checksum, in two files that take turns: when the current one has half of the limit, it
//! replaces the previous one. This form was chosen over a second SQLite database: appending needs no transaction, no
//! WAL and no checkpoint, which would compete with the spool for the disk; a corrupted or incomplete line costs this
//! line only; no state exists that a start could find inconsistent; and `grep` reads it when the bridge cannot. Lines are
//! written immediately, so a killed process loses none, and synced once per second.

mod body;
mod entry;
mod file;
mod filter;
mod journal;
mod keeper;
mod left_out;
mod line;
mod load;
mod replay;
mod ring;
mod shelf;
mod view;

pub use body::KeptBody;
pub use entry::{RefusedEntry, RefusedFacts, RefusedId, Replayed, Standing};
pub use filter::RefusedFilter;
pub use journal::RefusedJournal;
pub use left_out::{JournalSize, LeftOut};
pub use load::StoredJournal;
pub use replay::{ReplayDone, ReplayResult, replay};
pub use view::{RefusedSummary, RefusedView, ReplayedView};
