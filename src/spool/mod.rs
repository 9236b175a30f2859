//! The durable queue between the webhook and Kafka: bytes in, bytes out, sequence numbers.
//!
//! # Layers
//!
//! Each layer imports only the layers above it in this list.
//!
//! | modules | content |
//! |---|---|
//! | `terms`, `quarantine`, `error`, `options`, `corruption` | the types that the spool exchanges with other modules |
//! | `frame`, `group` | the bytes of a row; the webhooks that share a commit |
//! | `bound`, `shares` | byte counts and their limits |
//! | `store` | the files and all SQL |
//! | `dedup` | the deduplication window and its decision, without SQL |
//! | `command`, `queue`, `shared` | what the threads exchange |
//! | `writer` | the thread that commits |
//! | `handle`, `appender`, `published` | the interface: [`Spool`], [`Appender`], [`Published`] |
//! | `offline` | `spool verify` and the lock for commands |
//!
//! # Guarantees
//!
//! - The spool is one SQLite database (`spool.db`, WAL mode, `synchronous=FULL`) in one directory. One process holds the
//!   directory (advisory lock on `spool.lock`). One thread writes; readers have their own connections.
//! - [`Appender::append`] returns [`Durable`] only after the COMMIT of the whole webhook returned, that is, after
//!   `fsync` of the WAL. A commit that fails leaves no event of its group.
//! - Webhooks that arrive together share one commit and one row (*group commit*), at most 1 MiB. While one commit
//!   runs, the next group collects; before its commit the writer gathers the webhooks that the last answers released, for at
//!   most 1.5 ms. A single webhook is committed at once. At most 64 MiB wait in memory for the disk.
//! - Every event has a sequence number: 1, 2, 3 … in the order of commits, without a gap. A row holds the events
//!   `first_seq .. first_seq + events`, each after its length, under one CRC-32. A row that fails its checksum is never
//!   read as events ([`SpoolError::CorruptedRow`]).
//! - The *published sequence* (column `watermark`) is the next sequence number to publish. The writer stores it with the
//!   next group after 100 ms, or alone, together with the next offset of every partition. The stored value may be behind
//!   Kafka and is never ahead of it.
//! - Rows below the stored published sequence are removed in bulk: at most 1 MiB per commit while webhooks wait, 8 MiB
//!   otherwise. SQLite uses the freed pages again, so the file does not grow with uptime.
//! - Unpublished payload is limited by `max_bytes`, the quarantine by its own limit, divided into shares (`shares`). At a
//!   limit a webhook is refused at once ([`AppendError::Full`]). Entries of the publisher are never refused; their
//!   bytes above their share count as unpublished payload.
//! - An entry leaves the quarantine in the commit that appends the events made from it ([`Spool::take_out`]). A crash
//!   leaves it in exactly one of the two places. Entry numbers are never used again.
//! - An event whose id was accepted within the deduplication window is not added again. Its webhook is acknowledged
//!   ([`Durable::is_duplicate`]). The ids are in the file, too; see `dedup`.
//! - Opening reads the newest and the oldest row, the ids of the window, and the heads of the quarantine's entries
//!   (0.3 s for half a million). Its cost does not depend on the backlog, because each row holds the running total of
//!   bytes (`bytes_through`).
//! - A sequence number belongs to an *identity*: the UUID that consumers see as `bridge_spool`. A spool that is behind
//!   the topic takes a new identity from there on; `bridge_seq` then counts from 1 again. A spool that has accepted
//!   no event takes a new identity each time it is opened.
//! - A full disk fails commits, and the spool recovers without a restart. After any other failed write or `fsync` the
//!   writer closes the connection, opens and checks the file again, and removes unacknowledged events from file and WAL
//!   before any webhook is refused. If that fails, the writer exits, and with it the process. The writer also exits, after
//!   publishing the backlog, when the file was removed or replaced.
//! - At the start the WAL of the previous process is written and synced again, because an earlier `fsync` may have failed.
//!
//! Not guaranteed: acknowledged events that are not yet published are lost with the disk.

mod appender;
mod bound;
mod command;
mod corruption;
mod dedup;
mod error;
mod frame;
mod group;
mod handle;
mod offline;
mod options;
mod published;
mod quarantine;
mod queue;
mod reason;
mod shared;
mod shares;
mod store;
mod terms;
mod writer;

pub use appender::{Appender, EventWriter};
pub use corruption::Suspicion;
pub use error::{AppendError, CorruptedRow, SpoolError};
#[doc(hidden)]
pub use frame::row_events;
pub use handle::{Spool, TakeOutError, WriterHandle};
pub use offline::inspect::{Hold, probe};
pub use offline::verify::{VerifyReport, verify};
pub use options::SpoolOptions;
pub use published::Published;
pub use quarantine::{QuarantineEntry, QuarantineId, Share, ShareUsage, StoredEntry, Tallies, Tally};
pub use reason::QuarantineReason;
pub use store::access::{open_existing, open_or_create};
pub use store::reader::{Batch, ReadLimit, Reader};
pub use store::waiting::{Facts, Waiting, WaitingRow};
pub use terms::{
    Advance, Appended, DedupUsage, Durable, EventId, IdentifiedEvent, Identity, NextOffsets, Progress, Seq, Usage,
};

#[cfg(test)]
mod tests;
