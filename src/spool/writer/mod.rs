//! The writer thread: takes groups and requests from the queue, commits them, and reports the results.

mod checkpoints;
mod commands;
mod effect;
mod error;
mod file;
mod replay;
mod take_out;
mod transaction;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction};

use self::checkpoints::Checkpoints;
use self::effect::Effect;
use self::error::CommitError;
use super::corruption::Suspicion;
use super::dedup::Dedup;
use super::error::{AppendError, SpoolError};
use super::group::Group;
use super::quarantine;
use super::queue::Gather;
use super::shared::SpoolShared;
use super::store::files::{self, FileId};
use super::store::lock::DirectoryLock;
use super::store::state::StoredState;
use super::store::{self, rows};
use super::terms::{Advance, Seq};

use crate::clock;

/// A commit costs nearly the same for few and for many webhooks. Therefore, before the next commit, the writer gathers
/// as many webhooks as its last answers released plus those that wait already: senders that wait for a response send
/// their next webhook then. With fewer than this, it commits at once.
const GATHER_FROM: usize = 4;
/// The senders do not send more: no webhook came for this time.
const GATHER_GAP: Duration = Duration::from_micros(150);
/// The longest time from the start of one commit to the start of the next one, while webhooks wait.
const GATHER_MAX: Duration = Duration::from_micros(1500);
/// How long a published sequence waits to be stored with a group. Such a commit takes twice as long as another one: the
/// delay keeps it rare. It is short enough that published events are removed while their pages are in the caches.
const ADVANCE_DELAY: Duration = Duration::from_millis(100);
/// Maximum time of one commit with its checkpoint. Beyond it the writer counts as stuck.
const WORK_BOUND: Duration = Duration::from_secs(30);
/// How often the spool is tried again after an error while no webhook comes.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Published payload that one commit removes, while webhooks wait and while no webhook waits.
const REMOVE_BUSY_BYTES: u64 = 1 << 20;
const REMOVE_IDLE_BYTES: u64 = 8 << 20;

pub(super) struct Writer {
    shared: Arc<SpoolShared>,
    _lock: DirectoryLock,
    /// None between an error and the next successful opening.
    connection: Option<Connection>,
    next_seq: Seq,
    bytes_through: u64,
    bytes_released: u64,
    stored_watermark: Seq,
    page_bytes: u64,
    /// There may be published rows to remove.
    removable: bool,
    stored_at: Instant,
    /// The webhooks to wait for before the next commit.
    gather: Option<Gather>,
    checkpoints: Checkpoints,
    dedup: Dedup,
    /// A change of the quarantine with unknown outcome.
    unsure: Option<take_out::Taken>,
    /// The opened file. Another file may have its name now.
    file_id: Option<FileId>,
    gone: bool,
    /// Opening the file again finds it corrupted.
    suspicion: Suspicion,
    /// The error that ends the writer.
    fatal: Option<SpoolError>,
    on_commit: Box<dyn Fn(Duration, u64) + Send>,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<SpoolShared>,
        lock: DirectoryLock,
        connection: Connection,
        found: &StoredState,
        dedup: Dedup,
        on_commit: Box<dyn Fn(Duration, u64) + Send>,
    ) -> Self {
        let file_id = files::file_id(&shared.dir);
        let checkpoints = Checkpoints::new(shared.capacity.max(), files::wal_bytes(&shared.dir));
        let page_bytes = files::page_bytes(&connection).unwrap_or(files::PAGE_BYTES.into());
        Self {
            shared,
            _lock: lock,
            connection: Some(connection),
            next_seq: found.next_seq,
            bytes_through: found.bytes_through,
            bytes_released: found.bytes_released,
            stored_watermark: found.published_end,
            page_bytes,
            removable: true,
            stored_at: Instant::now(),
            gather: None,
            checkpoints,
            dedup,
            unsure: None,
            file_id,
            gone: false,
            suspicion: Suspicion::default(),
            fatal: None,
            on_commit,
        }
    }

    /// Works until it is stopped, or until the file is corrupted.
    pub(super) fn run(mut self) -> Result<(), SpoolError> {
        let result = self.work();
        self.shared.pulse.done();
        self.shared.queue.close();
        self.shared.state().fault.get_or_insert_with(|| "the writer has exited".into());
        if result.is_ok() {
            self.close();
        }
        result
    }

    fn work(&mut self) -> Result<(), SpoolError> {
        loop {
            self.dedup.expire();
            let removable = self.removable || self.dedup.is_removable();
            let pending = removable || self.shared.queue.lock().advance.is_some();
            let save_due = self.dedup.save_due();
            let broken = self.shared.state().fault.is_some();
            let delay = self.store_delay(broken);
            let due = (pending || broken).then(|| self.stored_at + delay);
            self.shared.pulse.done();
            let also_due = [self.dedup.due(), save_due, self.checkpoint_due()].into_iter().flatten().min();
            let mut inbox = self.shared.queue.wait(due, also_due);
            if let Some(gather) = self.gather.take() {
                inbox = self.shared.queue.gather(inbox, gather);
            }
            self.shared.pulse.enter(WORK_BOUND);
            let command = inbox.commands.pop_front();
            let group = inbox.take_group();
            let stop = inbox.stop && group.is_none() && command.is_none();
            let is_due = stop || command.is_some() || self.stored_at.elapsed() >= delay;
            let advance = if is_due { inbox.advance.take() } else { None };
            drop(inbox);

            if is_due {
                self.stored_at = Instant::now();
            }
            if let Some(mut group) = group {
                let (answered, started) = (group.webhooks(), Instant::now());
                self.commit_group(&mut group, advance);
                let mut inbox = self.shared.queue.lock();
                inbox.recycle(group);
                let flight = answered + inbox.webhooks();
                drop(inbox);
                self.gather = (flight >= GATHER_FROM).then(|| Gather {
                    webhooks: flight,
                    gap: GATHER_GAP,
                    until: started + GATHER_MAX,
                });
            } else if is_due && broken && advance.is_none() {
                // The check must not wait for a webhook: a load balancer sends no webhooks to a node that is not
                // ready.
                let _ = self.transact(|writer, tx| {
                    rows::touch(tx)?;
                    Ok(Effect { removable: writer.removable, ..Effect::default() })
                });
            } else if advance.is_some() || (is_due && removable) || self.is_save_due() {
                self.store_alone(advance);
            }
            if let Some(command) = command {
                self.execute(command);
            }
            if let Some(error) = self.fatal.take() {
                return Err(error);
            }
            self.checkpoint();
            if self.gone && (stop || self.shared.state().progress.depth() == 0) {
                return Err(self.gone_error());
            }
            if stop {
                return Ok(());
            }
        }
    }

    /// Stores a published sequence and removes published rows, in a separate transaction.
    fn store_alone(&mut self, advance: Option<Advance>) {
        let stored = self.transact(|writer, tx| writer.store(tx, advance.as_ref(), REMOVE_IDLE_BYTES));
        // An error loses nothing: the stored published sequence stays behind a little longer.
        if let (Err(_), Some(advance)) = (stored, advance) {
            self.keep(advance);
        }
    }

    /// Commits a group and reports the result to its webhooks.
    fn commit_group(&mut self, group: &mut Group, advance: Option<Advance>) {
        let started = Instant::now();
        let duplicates = self.dedup.sift(group, || self.shared.capacity.refusal(self.shared.quarantine.overflow()));
        self.shared.capacity.release(duplicates.bytes);
        if group.is_empty() {
            self.dedup.committed(self.next_seq, &duplicates);
            self.shared.state().dedup = self.dedup.usage();
            self.shared.queue.decide(group, &Ok(()), &duplicates, self.next_seq);
            if advance.is_some() {
                self.store_alone(advance);
            }
            return;
        }
        let bytes = group.payload.len() as u64;
        let committed = if self.is_gone() {
            Err(CommitError::Retry(self.gone_error().to_string().into()))
        } else {
            self.transact(|writer, tx| {
                if group.events > 0 {
                    // Read inside the transaction: opening the file again may have changed them.
                    let (first_seq, through) = (writer.next_seq, writer.bytes_through + bytes);
                    rows::insert_group(tx, first_seq, group, clock::now_ms(), through)?;
                }
                for (entry, id) in group.quarantine.iter().zip(&group.quarantine_ids) {
                    store::quarantine::insert_quarantine(tx, entry, None)?;
                    id.set(tx.last_insert_rowid());
                }
                writer.store(tx, advance.as_ref(), REMOVE_BUSY_BYTES)
            })
        };
        match committed {
            Ok(()) => {
                self.dedup.committed(self.next_seq, &duplicates);
                self.appended(group);
                self.shared.queue.decide(group, &Ok(()), &duplicates, self.next_seq);
                if group.events > 0 {
                    self.shared.grown.notify_all();
                    (self.on_commit)(started.elapsed(), group.events);
                }
            }
            Err(error) => {
                self.dedup.failed(&duplicates);
                self.shared.state().dedup = self.dedup.usage();
                self.shared.capacity.release(group.payload.len() as u64);
                for entry in &group.quarantine {
                    self.shared.quarantine.release(&entry.reason, entry.bytes());
                }
                self.shared.queue.decide(group, &Err(AppendError::from(error)), &duplicates, self.next_seq);
                // The published sequence of this commit is not stored yet. A newer one may already wait.
                if let Some(advance) = advance {
                    self.keep(advance);
                }
            }
        }
    }

    /// Records a durable group.
    fn appended(&mut self, group: &Group) {
        if group.events > 0 {
            self.dedup.stored(self.next_seq, clock::now_ms(), &group.ids);
        }
        self.next_seq += group.events;
        self.bytes_through += group.payload.len() as u64;
        self.checkpoints.wrote(group.bytes() as u64);
        let mut state = self.shared.state();
        state.progress.next_seq = self.next_seq;
        state.dedup = self.dedup.usage();
        state.forgotten_at = self.dedup.forgotten_at();
        for entry in &group.quarantine {
            quarantine::count(&mut state.quarantine, entry);
        }
    }

    fn keep(&self, mut advance: Advance) {
        let mut inbox = self.shared.queue.lock();
        if let Some(newer) = inbox.advance.take() {
            advance.published_end = newer.published_end;
            if newer.topic == advance.topic {
                advance.next_offsets.extend(newer.next_offsets);
            } else {
                advance = newer;
            }
        }
        inbox.advance = Some(advance);
    }

    /// How long what waits to be stored may wait. In a spool that is half full, webhooks may need the space of published
    /// events at once.
    fn store_delay(&self, broken: bool) -> Duration {
        if broken {
            RETRY_DELAY
        } else if self.shared.capacity.used() < self.shared.capacity.max() / 2 {
            ADVANCE_DELAY
        } else {
            Duration::ZERO
        }
    }

    fn is_save_due(&self) -> bool {
        self.dedup.save_due().is_some_and(|due| due <= Instant::now())
    }

    /// Removes forgotten rows of the deduplication window, up to a limit.
    fn remove_forgotten(&self, tx: &Transaction<'_>) -> rusqlite::Result<Option<Seq>> {
        let through = self.dedup.forgotten_row();
        let left = self.dedup.is_removable() && store::dedup::remove(tx, through)?;
        Ok((!left).then_some(through))
    }

    /// Saves ids, stores a published sequence and removes the rows below it, as part of a transaction.
    fn store(&self, tx: &Transaction<'_>, advance: Option<&Advance>, remove: u64) -> rusqlite::Result<Effect> {
        let mut effect = Effect { removable: self.removable, ..Effect::default() };
        // No group is removed before its ids are saved: groups below the published sequence have theirs.
        if advance.is_some() || self.is_save_due() {
            store::dedup::save(tx, self.dedup.unsaved(), self.dedup.forgotten_row(), self.next_seq)?;
            effect.ids_saved = true;
        }
        let mut published_end = self.stored_watermark;
        if let Some(advance) = advance {
            published_end = advance.published_end.max(published_end);
            rows::store_watermark(tx, published_end, advance)?;
            effect.published_end = Some(published_end);
            effect.bytes_released = rows::released(tx, published_end)?;
            effect.removable = true;
        }
        if effect.removable && remove > 0 {
            effect.removable = rows::remove_published(tx, published_end, remove)?;
        }
        if remove > 0 {
            effect.forgotten = self.remove_forgotten(tx)?;
        }
        Ok(effect)
    }
}
