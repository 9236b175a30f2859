//! The handle of an open spool: open, use, close.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use tokio::sync::watch;

use super::bound::Bound;
use super::command::WriterRequest;
use super::dedup::Dedup;
use super::error::{AppendError, SpoolError};
use super::frame::push_event;
use super::group::Group;
use super::options::SpoolOptions;
use super::quarantine::{QuarantineEntry, QuarantineId, Tallies};
use super::queue::CommitQueue;
use super::shared::{SpoolShared, SpoolState};
use super::shares::Shares;
use super::store;
use super::store::dedup::Loaded;
use super::store::errors::as_spool_error;
use super::store::files::{database_file, wal_bytes};
use super::store::lock::DirectoryLock;
use super::store::open::open_first;
use super::store::reader::Reader;
use super::store::schema::migrate;
use super::store::state::rename_unused;
use super::store::wal::reserve;
use super::terms::{
    Advance, Appended, DedupUsage, EventId, IdentifiedEvent, Identity, NO_ID, NextOffsets, Progress, Seq, Usage,
};
use super::writer::Writer;
use crate::clock;
use crate::pulse::Pulse;

/// Why entries stay in quarantine. Nothing was changed, unless stated otherwise.
#[derive(Debug, thiserror::Error)]
pub enum TakeOutError {
    /// The spool has no space for their events.
    #[error(transparent)]
    Full(#[from] AppendError),
    /// One of them does not exist (any more).
    #[error("an entry is no longer in quarantine")]
    Gone,
    /// The commit failed, or the writer has exited: it is unknown whether the entries stay.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// A handle of the open spool; clones share it.
#[derive(Debug, Clone)]
pub struct Spool {
    shared: Arc<SpoolShared>,
}

/// The writer thread. The spool is open until it has exited.
#[derive(Debug)]
pub struct WriterHandle {
    shared: Arc<SpoolShared>,
    thread: JoinHandle<Result<(), SpoolError>>,
}

impl Spool {
    /// Locks the directory, opens and checks the file, starts the writer.
    ///
    /// `on_end` is called on the writer's thread when it exits, for any reason.
    ///
    ///
    /// # Errors
    /// The directory is locked or cannot be used, or the file is corrupted; nothing was changed.
    pub fn open(
        options: SpoolOptions,
        on_end: impl FnOnce() + Send + 'static,
    ) -> Result<(Self, WriterHandle), SpoolError> {
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

    /// [`open`](Self::open) without starting the thread.
    pub(super) fn prepare(options: SpoolOptions) -> Result<(Arc<SpoolShared>, Writer), SpoolError> {
        let lock = DirectoryLock::acquire(&options.dir)?;
        let (connection, mut found) = open_first(&options.dir)?;
        migrate(&connection)?;
        rename_unused(&connection, &mut found)?;
        let dedup = load_window(&connection, options.dedup_window, found.next_seq)
            .map_err(|error| as_spool_error(&database_file(&options.dir), error))?;
        let shared = Arc::new(SpoolShared {
            capacity: Bound::new("spool", options.max_bytes, found.bytes_through - found.bytes_released),
            quarantine: Shares::new(options.quarantine_max_bytes, &found.quarantine),
            queue: CommitQueue::default(),
            recognizes_duplicates: dedup.is_on(),
            state: Mutex::new(SpoolState {
                progress: Progress {
                    next_seq: found.next_seq,
                    published_end: found.published_end,
                    opened_next_seq: found.next_seq,
                    opened_watermark: found.published_end,
                    quarantined: 0,
                },
                identities: found.identities.clone(),
                quarantine: found.quarantine.clone(),
                fault: None,
                nudged: false,
                dedup: dedup.usage(),
                forgotten_at: dedup.forgotten_at(),
            }),
            grown: Condvar::new(),
            published: watch::Sender::new(found.published_end),
            pulse: Pulse::default(),
            dir: options.dir,
        });
        let writer = Writer::new(Arc::clone(&shared), lock, connection, &found, dedup, options.on_commit);
        reserve(&shared.dir);
        Ok((shared, writer))
    }

    pub(super) fn shared(&self) -> &Arc<SpoolShared> {
        &self.shared
    }

    /// The directory of this spool.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Size of the WAL, in bytes. Reads it from the file system.
    pub fn wal_bytes(&self) -> u64 {
        wal_bytes(&self.shared.dir)
    }

    /// A reader with its own connection.
    pub fn reader(&self) -> Result<Reader, SpoolError> {
        Reader::open(&self.shared.dir)
    }

    /// The sequence numbers of the spool.
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

    /// The memory of the deduplication window.
    pub fn dedup(&self) -> DedupUsage {
        let state = self.shared.state();
        let covers = state.forgotten_at.map_or(Duration::MAX, |at| at.elapsed());
        DedupUsage { covers: covers.min(state.dedup.window), ..state.dedup }
    }

    /// The identities of unpublished events, oldest first.
    pub fn identities(&self) -> Vec<Identity> {
        self.shared.state().identities.clone()
    }

    /// Why the last commit failed. None after a successful commit.
    pub fn fault(&self) -> Option<Arc<str>> {
        self.shared.state().fault.clone()
    }

    /// Waits until event `seq` is in the spool, the spool is [nudged](Self::nudge), or `timeout` has passed. Returns
    /// whether the event is in the spool.
    pub fn wait_for(&self, seq: Seq, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        let mut state = self.shared.state();
        while state.progress.next_seq <= seq && !state.nudged {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.shared.grown.wait_for(&mut state, left);
        }
        state.nudged = false;
        state.progress.next_seq > seq
    }

    /// Ends the current or the next [`wait_for`](Self::wait_for).
    pub fn nudge(&self) {
        self.shared.state().nudged = true;
        self.shared.grown.notify_all();
    }

    /// Records that all events below the published sequence are in Kafka. It is stored later.
    pub fn advance(&self, advance: Advance) {
        {
            let mut state = self.shared.state();
            state.progress.published_end = advance.published_end;
        }
        self.shared.published.send_replace(advance.published_end);
        let mut inbox = self.shared.queue.lock();
        let first = inbox.advance.is_none();
        match &mut inbox.advance {
            Some(waiting) if waiting.topic == advance.topic => {
                waiting.published_end = advance.published_end;
                waiting.next_offsets.extend(advance.next_offsets);
            }
            waiting => *waiting = Some(advance),
        }
        drop(inbox);
        if first {
            self.shared.queue.notify();
        }
    }

    /// The pulse of the writer, for the watchdog.
    pub fn pulse(&self) -> Pulse {
        self.shared.pulse.clone()
    }

    /// Whether the spool had never accepted an event when this process opened it: then no record of it can exist.
    pub fn was_unused(&self) -> bool {
        self.progress().opened_next_seq == 1
    }

    /// Replaces the next offsets in a topic, together with a waiting published sequence; durable when it returns.
    /// With `unused`, changes nothing and returns false if any event was accepted.
    pub fn begin(&self, topic: &Arc<str>, next_offsets: NextOffsets, unused: bool) -> Result<bool, SpoolError> {
        let published_end = self.progress().published_end;
        let advance = Advance { published_end, topic: Arc::clone(topic), next_offsets };
        self.command(|reply| WriterRequest::Begin { advance, unused, reply })
    }

    /// Moves the next event to publish to the quarantine, in one commit.
    pub fn quarantine_record(&self, seq: Seq, entry: QuarantineEntry) -> Result<(), SpoolError> {
        self.quarantine_events(seq..seq + 1, entry)
    }

    /// Moves the events from the published sequence up to the end of a row to the quarantine, as one entry and in one
    /// commit.
    pub fn quarantine_events(&self, events: Range<Seq>, entry: QuarantineEntry) -> Result<(), SpoolError> {
        self.command(|reply| WriterRequest::Quarantine { events, entry: Box::new(entry), reply })
    }

    /// Stores a new identity for the events from its `first_seq` on; durable when it returns.
    pub fn renew_identity(&self, identity: Identity) -> Result<(), SpoolError> {
        self.command(|reply| WriterRequest::Renew { identity, reply })
    }

    /// Replaces entries of the quarantine with events, in one commit; durable when it returns. Returns the sequence
    /// number of the first event, or the next one if there are no events.
    ///
    /// # Errors
    /// See [`TakeOutError`].
    pub fn take_out(&self, ids: BTreeSet<QuarantineId>, events: &[Vec<u8>]) -> Result<Seq, TakeOutError> {
        let mut group = Group::default();
        for event in events {
            push_event(&mut group.payload, |out| out.extend_from_slice(event));
            group.events += 1;
        }
        let shared = self.shared();
        let bytes = group.payload.len() as u64;
        // The writer releases the bytes if the change fails.
        shared.capacity.reserve(bytes, 0)?;
        let asked = self.command(|reply| WriterRequest::TakeOut { ids, group: Box::new(group), reply });
        asked?.ok_or(TakeOutError::Gone)
    }

    /// Appends the events of a refused webhook, except duplicates; durable when it returns. `id`: the same commit removes
    /// this entry from the quarantine.
    ///
    /// # Errors
    /// See [`TakeOutError`].
    pub fn replay(&self, id: Option<QuarantineId>, events: &[IdentifiedEvent]) -> Result<Appended, TakeOutError> {
        let mut group = Group::default();
        let ids: Vec<EventId> = events.iter().map(|event| event.id).collect();
        for IdentifiedEvent { event, .. } in events {
            push_event(&mut group.payload, |out| out.extend_from_slice(event));
            group.events += 1;
        }
        if self.shared.recognizes_duplicates {
            group.count(0, &ids, false);
        }
        self.shared.capacity.reserve(group.payload.len() as u64, 0)?;
        let asked = self.command(|reply| WriterRequest::Replay { id, group: Box::new(group), reply });
        asked?.ok_or(TakeOutError::Gone)
    }

    /// Appends events that repeat earlier ones on purpose: the deduplication window neither drops nor remembers them.
    /// Durable when it returns, all of them or none.
    ///
    /// # Errors
    /// See [`TakeOutError`].
    pub fn append_repeated(&self, events: Vec<Vec<u8>>) -> Result<Appended, TakeOutError> {
        let events: Vec<_> = events.into_iter().map(|event| IdentifiedEvent { event, id: NO_ID }).collect();
        self.replay(None, &events)
    }

    /// Entries of the quarantine, by reason.
    pub fn quarantine_tallies(&self) -> Tallies {
        self.shared().state().quarantine.clone()
    }

    fn command<T>(
        &self,
        make: impl FnOnce(SyncSender<Result<T, SpoolError>>) -> WriterRequest,
    ) -> Result<T, SpoolError> {
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
    /// Commits waiting groups, stores the published sequence, closes the file and releases the directory.
    pub fn stop(self) -> Result<(), SpoolError> {
        self.shared.queue.lock().stop = true;
        self.shared.queue.notify();
        self.join()
    }

    /// Waits for a writer that exits by itself.
    pub fn join(self) -> Result<(), SpoolError> {
        self.thread.join().unwrap_or(Err(SpoolError::Stopped))
    }
}

/// Loads the deduplication window. Rows from `next_seq` on belong to no event.
fn load_window(connection: &Connection, window: Duration, next_seq: Seq) -> rusqlite::Result<Dedup> {
    let mut dedup = Dedup::new(window);
    store::dedup::remove_from(connection, next_seq)?;
    store::dedup::load(connection, dedup.load_bounds(), clock::now_ms(), |loaded| dedup.load(&loaded))?;
    let rest = store::dedup::load_unsaved(connection, clock::now_ms(), |first_seq, at_ms, age_ms, ids| {
        dedup.load(&Loaded::Row { first_seq, age_ms, ids });
        dedup.stored(first_seq, at_ms, ids);
    });
    if let Err(error) = rest {
        // The publisher finds the corrupted row, too, and moves it to quarantine.
        tracing::warn!(event = "dedup_incomplete", %error, "cannot read the ids of recently accepted recalls; duplicates of them are published again");
    }
    dedup.expire();
    Ok(dedup)
}

/// Calls its function when a thread ends, also after a panic.
struct Ending<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for Ending<F> {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}
