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

mod access;
mod appender;
mod bound;
mod check;
mod error;
mod group;
mod inspect;
mod lock;
mod options;
mod published;
mod quarantine;
mod queue;
mod reader;
mod recent;
mod row;
mod rows;
mod schema;
mod shares;
mod types;
mod wal;
mod writer;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;

pub use appender::{Appender, Durable, EventWriter};
pub use check::{VerifyReport, verify};
pub use error::{AppendError, Damage, SpoolError};
#[doc(hidden)]
pub use group::row_events;
pub use inspect::{Facts, Hold, Waiting, WaitingRow};
pub use options::Options;
pub use published::Published;
pub use quarantine::{EXPIRED, MALFORMED, NEAR_MISS, QuarantineId, STALE, StoredEntry, TakeOutError, Tallies, Tally};
pub use reader::{Batch, ReadLimit, Reader};
pub use recent::EventId;
pub use shares::{Share, ShareUsage};
pub use types::{Advance, Identity, Positions, Progress, QuarantineEntry, RecentUsage, Seq, Usage};

use crate::pulse::Pulse;
use bound::Bound;
use lock::DirectoryLock;
use queue::Queue;
use recent::Recent;
use writer::{Command, Writer};

/// What the writer, the workers and the publisher share.
#[derive(Debug)]
pub(crate) struct Shared {
    dir: PathBuf,
    queue: Queue,
    capacity: Bound,
    quarantine: shares::Shares,
    recognizes_repeats: bool,
    state: Mutex<State>,
    /// Signalled when events were committed, or when the spool was nudged.
    grown: Condvar,
    /// The watermark, for those who wait for it.
    published: watch::Sender<Seq>,
    /// Whether the writer gets on.
    pulse: Pulse,
}

#[derive(Debug)]
struct State {
    progress: Progress,
    identities: Vec<Identity>,
    quarantine: Tallies,
    /// Why the last commit failed, until one succeeds.
    fault: Option<Arc<str>>,
    nudged: bool,
    recent: RecentUsage,
    /// When the newest event was accepted that was forgotten for want of room.
    forgotten_at: Option<Instant>,
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handle on the open spool; clones share it.
#[derive(Debug, Clone)]
pub struct Spool {
    shared: Arc<Shared>,
}

/// The running writer thread; the spool is open until it has ended.
#[derive(Debug)]
pub struct WriterHandle {
    shared: Arc<Shared>,
    thread: JoinHandle<Result<(), SpoolError>>,
}

impl Spool {
    /// Takes the directory, opens and checks the file, starts the writer.
    ///
    /// `on_end` is called on the writer's thread when it has ended, for whatever reason.
    ///
    /// # Errors
    /// The directory is locked or cannot be used, or the file cannot be trusted; nothing is
    /// changed then.
    pub fn open(options: Options, on_end: impl FnOnce() + Send + 'static) -> Result<(Self, WriterHandle), SpoolError> {
        let (shared, writer) = Self::prepare(options)?;
        let thread = std::thread::Builder::new()
            .name("spool-writer".to_owned())
            .spawn(move || {
                let _ending = Ending(Some(on_end));
                writer.run()
            })
            .map_err(|source| SpoolError::Directory { dir: shared.dir.clone(), source })?;
        Ok((Self { shared: Arc::clone(&shared) }, WriterHandle { shared, thread }))
    }

    /// All of [`open`](Self::open) but the thread.
    fn prepare(options: Options) -> Result<(Arc<Shared>, Writer), SpoolError> {
        let lock = DirectoryLock::acquire(&options.dir)?;
        let (connection, mut found) = schema::open_first(&options.dir)?;
        schema::migrate(&connection)?;
        schema::rename_unused(&connection, &mut found)?;
        let recent = Recent::open(&connection, options.repeat_window, found.next_seq)
            .map_err(|error| schema::as_fault(&schema::database_file(&options.dir), error))?;
        let shared = Arc::new(Shared {
            capacity: Bound::new("spool", options.max_bytes, found.bytes_through - found.bytes_released),
            quarantine: shares::Shares::new(options.quarantine_max_bytes, &found.quarantine),
            queue: Queue::default(),
            recognizes_repeats: recent.is_on(),
            state: Mutex::new(State {
                progress: Progress {
                    next_seq: found.next_seq,
                    watermark: found.watermark,
                    opened_next_seq: found.next_seq,
                    opened_watermark: found.watermark,
                    quarantined: 0,
                },
                identities: found.identities.clone(),
                quarantine: found.quarantine.clone(),
                fault: None,
                nudged: false,
                recent: recent.usage(),
                forgotten_at: recent.forgotten_at(),
            }),
            grown: Condvar::new(),
            published: watch::Sender::new(found.watermark),
            pulse: Pulse::default(),
            dir: options.dir,
        });
        let writer = Writer::new(Arc::clone(&shared), lock, connection, &found, recent, options.on_commit);
        Ok((shared, writer))
    }

    /// Whether a directory can be used: made, locked, written. A database that is there is checked.
    ///
    /// # Errors
    /// What [`open`](Self::open) would say.
    pub fn probe(dir: &Path) -> Result<Vec<String>, SpoolError> {
        let fault = |source| SpoolError::Directory { dir: dir.to_owned(), source };
        if !dir.exists() {
            access::could_create(dir).map_err(fault)?;
            return Ok(Vec::new());
        }
        let warnings = access::look(dir).map_err(fault)?;
        let _lock = DirectoryLock::try_existing(dir)?;
        access::can_write(dir).map_err(fault)?;
        if schema::database_file(dir).exists() {
            schema::open_first(dir)?;
        }
        Ok(warnings)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The directory of this spool.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Size of the WAL, in bytes; asks the file system.
    pub fn wal_bytes(&self) -> u64 {
        std::fs::metadata(wal::log_file(&self.shared.dir)).map_or(0, |metadata| metadata.len())
    }

    /// A reader on a connection of its own.
    pub fn reader(&self) -> Result<Reader, SpoolError> {
        Reader::open(&self.shared.dir)
    }

    /// How far the spool has come.
    pub fn progress(&self) -> Progress {
        self.shared.state().progress
    }

    /// Bytes and entries in use.
    pub fn usage(&self) -> Usage {
        let overflow = self.shared.quarantine.overflow();
        Usage {
            bytes: self.shared.capacity.used() + overflow,
            max_bytes: self.shared.capacity.max(),
            full: self.shared.capacity.is_full(overflow),
            quarantine_events: self.shared.state().quarantine.values().map(|tally| tally.events).sum(),
            quarantine_bytes: self.shared.quarantine.used(),
            quarantine_max_bytes: self.shared.quarantine.max(),
            quarantine_shares: self.shared.quarantine.usage(),
        }
    }

    /// What is remembered of the events accepted lately.
    pub fn recent(&self) -> RecentUsage {
        let state = self.shared.state();
        let covers = state.forgotten_at.map_or(Duration::MAX, |at| at.elapsed());
        RecentUsage { covers: covers.min(state.recent.window), ..state.recent }
    }

    /// Under which names sequence numbers at or above the watermark are published, oldest first.
    pub fn identities(&self) -> Vec<Identity> {
        self.shared.state().identities.clone()
    }

    /// Why the last commit failed, while none has succeeded since.
    pub fn fault(&self) -> Option<Arc<str>> {
        self.shared.state().fault.clone()
    }

    /// Waits until `seq` has been given out, the spool is [nudged](Self::nudge), or `timeout` has
    /// passed; tells whether `seq` is there.
    pub fn wait_for(&self, seq: Seq, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        let mut state = self.shared.state();
        while state.progress.next_seq <= seq && !state.nudged {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.shared.grown.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.nudged = false;
        state.progress.next_seq > seq
    }

    /// Ends a [`wait_for`](Self::wait_for), the current one or the next.
    pub fn nudge(&self) {
        self.shared.state().nudged = true;
        self.shared.grown.notify_all();
    }

    /// Notes that all below the watermark is in Kafka; stored lazily.
    pub fn advance(&self, advance: Advance) {
        {
            let mut state = self.shared.state();
            state.progress.watermark = advance.watermark;
        }
        self.shared.published.send_replace(advance.watermark);
        let mut inbox = self.shared.queue.lock();
        let first = inbox.advance.is_none();
        match &mut inbox.advance {
            Some(waiting) if waiting.topic == advance.topic => {
                waiting.watermark = advance.watermark;
                waiting.positions.extend(advance.positions);
            }
            waiting => *waiting = Some(advance),
        }
        drop(inbox);
        if first {
            self.shared.queue.notify();
        }
    }

    /// Where the writer tells what it is in.
    pub fn pulse(&self) -> Pulse {
        self.shared.pulse.clone()
    }

    /// Whether nothing had ever been accepted when the process opened the spool: no record of it
    /// can be anywhere.
    pub fn was_unused(&self) -> bool {
        self.progress().opened_next_seq == 1
    }

    /// Replaces the positions in a topic; durable when it returns, together with whatever watermark
    /// waits to be stored. With `unused`, does nothing and returns false where any event was accepted.
    pub fn begin(&self, topic: &Arc<str>, positions: Positions, unused: bool) -> Result<bool, SpoolError> {
        let watermark = self.progress().watermark;
        let advance = Advance { watermark, topic: Arc::clone(topic), positions };
        self.command(|reply| Command::Begin { advance, unused, reply })
    }

    /// Moves the record at the watermark to quarantine and the watermark behind it, in one commit.
    pub fn quarantine_record(&self, seq: Seq, entry: QuarantineEntry) -> Result<(), SpoolError> {
        self.quarantine_events(seq..seq + 1, entry)
    }

    /// Moves the events from the watermark up to the end of a row to quarantine, as one entry, and the
    /// watermark behind them, in one commit.
    pub fn quarantine_events(&self, events: Range<Seq>, entry: QuarantineEntry) -> Result<(), SpoolError> {
        self.command(|reply| Command::Quarantine { events, entry: Box::new(entry), reply })
    }

    /// Gives the events from its `first_seq` on a new identity; durable when it returns.
    pub fn renew_identity(&self, identity: Identity) -> Result<(), SpoolError> {
        self.command(|reply| Command::Renew { identity, reply })
    }

    fn command<T>(&self, make: impl FnOnce(SyncSender<Result<T, SpoolError>>) -> Command) -> Result<T, SpoolError> {
        let (reply, answer) = sync_channel(1);
        let mut inbox = self.shared.queue.lock();
        if inbox.is_closed() {
            return Err(SpoolError::Stopped);
        }
        inbox.commands.push_back(make(reply));
        drop(inbox);
        self.shared.queue.notify();
        answer.recv().unwrap_or(Err(SpoolError::Stopped))
    }
}

impl WriterHandle {
    /// Commits what waits, stores the watermark, closes the file and frees the directory.
    pub fn stop(self) -> Result<(), SpoolError> {
        self.shared.queue.lock().stop = true;
        self.shared.queue.notify();
        self.join()
    }

    /// Waits for a writer that has ended by itself.
    pub fn join(self) -> Result<(), SpoolError> {
        self.thread.join().unwrap_or(Err(SpoolError::Stopped))
    }
}

/// Calls its function when a thread ends, by a panic too.
struct Ending<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for Ending<F> {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

#[cfg(test)]
mod quarantine_tests;
#[cfg(test)]
mod tests;
