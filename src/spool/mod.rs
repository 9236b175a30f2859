//! The durable queue between the webhook and Kafka: bytes in, bytes out, sequence numbers.
//!
//! # The contract, with its numbers
//!
//! - One SQLite database (`spool.db`, WAL, `synchronous=FULL`) in one directory, held by one
//!   process (advisory lock on `spool.lock`). One writer thread; readers have connections of
//!   their own.
//! - [`Appender::append`] returns [`Durable`] only after the COMMIT that holds the whole delivery
//!   returned, which is after `fsync` of the log. A commit that fails leaves nothing of its group.
//! - Deliveries that arrive together share one commit and one row (*group commit*), at most 1 MiB
//!   (`queue`). While one commit runs, the next group gathers; a delivery that comes alone is
//!   committed at once. At most 64 MiB wait for the disk in memory.
//! - Every event has a sequence number: 1, 2, 3 … in the order of commits, without a gap. A row
//!   holds the events `first_seq .. first_seq + events`, each behind its length, under one CRC-32.
//!   A row that does not match it is never read as events ([`SpoolError::Damaged`]).
//! - The *watermark* is the next sequence number to publish. It is stored lazily (with the next
//!   group after 20 ms, or on its own then) together with the next offset of every partition, so
//!   it may lag behind Kafka, never run ahead of it.
//! - Rows below the stored watermark are removed in bulk, at most 1 MiB per commit while
//!   deliveries wait, 8 MiB otherwise; freed pages are used again, the file does not grow with
//!   uptime.
//! - Unpublished payload is bounded by `max_bytes`, the quarantine by its own bound, in shares: what
//!   fills one takes nothing from the others (`shares`). At a bound a delivery is refused at once
//!   ([`AppendError::Full`]). What the publisher puts aside is never refused; what of it is over its share
//!   counts as unpublished payload.
//! - An entry leaves the quarantine in the commit that appends the events that come in its stead
//!   ([`Spool::take_out`]): it is in one of the two places, whatever dies. Numbers of entries are
//!   never given out again.
//! - An event whose id was accepted within the *window* is not added again; its delivery is answered
//!   as if it were ([`Durable::is_repeat`]). The ids lie in the file too, see `recent`.
//! - Opening looks at the newest and the oldest row only, and at the ids of the window, which
//!   has a bound: it costs the same for any depth. Of the quarantine it reads the heads of the
//!   entries, 0.3 s for half a million. The running totals that make this possible are kept in the
//!   rows (`bytes_through`).
//! - A sequence number belongs to an *identity*: the UUID that consumers see as `bridge_spool`.
//!   A spool that finds itself behind the topic takes a new one from there on; `bridge_seq` then
//!   counts from 1 again. While nothing was accepted, every opening takes a new one.
//! - A full disk fails commits and heals by itself. Any other failed write or `fsync` ends that
//!   connection: the file is opened and checked again, what was not acknowledged is removed (from
//!   the log, too, before anybody is told that it failed), and where that cannot be done the writer
//!   ends, and with it the process. So it does, once all is published, where the file was removed or
//!   replaced.
//! - A log that another process left is written anew at the start: a sync of it may have failed, and
//!   only what is written again is synced again.
//!
//! Not promised: what is acknowledged and not yet published is gone with the disk.

mod appender;
mod bound;
mod command;
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
mod shared;
mod shares;
mod store;
mod terms;
mod writer;

pub use appender::{Appender, EventWriter};
pub use error::{AppendError, Damage, SpoolError};
#[doc(hidden)]
pub use frame::row_events;
pub use handle::{Spool, TakeOutError, WriterHandle};
pub use offline::inspect::{Hold, probe};
pub use offline::verify::{VerifyReport, verify};
pub use options::Options;
pub use published::Published;
pub use quarantine::{
    EXPIRED, MALFORMED, NEAR_MISS, QuarantineEntry, QuarantineId, STALE, Share, ShareUsage, StoredEntry, Tallies, Tally,
};
pub use store::reader::{Batch, ReadLimit, Reader};
pub use store::waiting::{Facts, Waiting, WaitingRow};
pub use terms::{Advance, DedupUsage, Durable, EventId, Identity, Positions, Progress, Seq, Usage};

#[cfg(test)]
mod tests;
