//! The thread that writes the journal's files. Nothing waits for it: its queue is bounded, and an entry that finds the
//! queue full is in memory only.

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::entry::{RefusedEntry, RefusedId, Replayed, Standing};
use super::file::{AUTHENTIC, OUTSIDE_WINDOW, Pages};
use super::left_out::{LeftOut, LeftOutCounts};
use super::line::JournalLine;
use crate::priority;

/// Entries that may wait for the disk, and their bytes.
const QUEUE_MAX_ENTRIES: usize = 4096;
const QUEUE_MAX_BYTES: usize = 8 << 20;
/// Lines are synced at most this often: a lost power supply can take the entries of this time.
const SYNC_PERIOD: Duration = Duration::from_secs(1);
/// How long a stop waits for the disk.
const STOP_MAX: Duration = Duration::from_secs(2);
const STOP_POLL: Duration = Duration::from_millis(5);

/// What the thread writes.
#[derive(Debug)]
pub(super) enum Note {
    Entry(Arc<RefusedEntry>),
    Replayed {
        id: RefusedId,
        standing: Standing,
        replayed: Replayed,
    },
    /// Every id below this one may be in use.
    Next(RefusedId),
    Stop,
}

/// The sending side.
#[derive(Debug)]
pub(super) struct Keeper {
    queue: SyncSender<Note>,
    bytes: Arc<AtomicUsize>,
    left_out: Arc<LeftOutCounts>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system refuses a new thread.
    pub(super) fn start(dir: &Path, next: RefusedId, left_out: &Arc<LeftOutCounts>) -> io::Result<Self> {
        let (queue, notes) = sync_channel(QUEUE_MAX_ENTRIES);
        let bytes = Arc::new(AtomicUsize::new(0));
        let worker = KeeperThread {
            pages: [Pages::new(dir, AUTHENTIC), Pages::new(dir, OUTSIDE_WINDOW)],
            next,
            bytes: Arc::clone(&bytes),
            left_out: Arc::clone(left_out),
            is_failing: false,
        };
        let thread = std::thread::Builder::new().name("refused".to_owned()).spawn(move || worker.run(&notes))?;
        Ok(Self { queue, bytes, left_out: Arc::clone(left_out), thread })
    }

    /// Passes a note on, without waiting.
    pub(super) fn put(&self, note: Note) {
        let cost = cost(&note);
        let waiting = self.bytes.fetch_add(cost, Relaxed);
        if waiting + cost > QUEUE_MAX_BYTES || self.queue.try_send(note).is_err() {
            self.bytes.fetch_sub(cost, Relaxed);
            self.left_out.add(LeftOut::QueueFull, u64::from(cost > 0));
        }
    }

    /// Writes all waiting notes and ends the thread. A disk that hangs is left after two seconds.
    pub(super) fn stop(&self, next: RefusedId) {
        let until = Instant::now() + STOP_MAX;
        self.put(Note::Next(next));
        while self.queue.try_send(Note::Stop).is_err() && Instant::now() < until && !self.thread.is_finished() {
            std::thread::sleep(STOP_POLL);
        }
        while !self.thread.is_finished() && Instant::now() < until {
            std::thread::sleep(STOP_POLL);
        }
    }
}

fn cost(note: &Note) -> usize {
    if let Note::Entry(entry) = note { entry.cost() } else { 0 }
}

struct KeeperThread {
    pages: [Pages; 2],
    next: RefusedId,
    bytes: Arc<AtomicUsize>,
    left_out: Arc<LeftOutCounts>,
    is_failing: bool,
}

impl KeeperThread {
    fn run(mut self, notes: &Receiver<Note>) {
        priority::give_way("refused");
        let mut sync_at = None;
        loop {
            let wait = sync_at.map_or(Duration::MAX, |at: Instant| at.saturating_duration_since(Instant::now()));
            match notes.recv_timeout(wait) {
                Ok(Note::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(note) => {
                    self.bytes.fetch_sub(cost(&note), Relaxed);
                    let written = self.write(&note);
                    if written.is_err() && cost(&note) > 0 {
                        self.left_out.add(LeftOut::WriteFailed, 1);
                    }
                    self.log(written);
                    sync_at.get_or_insert_with(|| Instant::now() + SYNC_PERIOD);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if sync_at.is_some_and(|at| at <= Instant::now()) {
                sync_at = None;
                self.sync();
            }
        }
        self.sync();
    }

    fn write(&mut self, note: &Note) -> io::Result<()> {
        let (line, place) = match note {
            Note::Entry(entry) => (JournalLine::Entry(Cow::Borrowed(&**entry)), place(entry.standing)),
            Note::Replayed { id, standing, replayed } => {
                (JournalLine::Replayed { id: *id, replayed: *replayed }, place(*standing))
            }
            Note::Next(next) => {
                self.next = *next;
                (JournalLine::Next(*next), place(Standing::Authentic))
            }
            Note::Stop => return Ok(()),
        };
        self.pages[place].append(&line, &JournalLine::Next(self.next))
    }

    fn sync(&mut self) {
        for place in 0..self.pages.len() {
            let synced = self.pages[place].sync();
            if synced.is_err() {
                self.log(synced);
            }
        }
    }

    /// Logs the first of several errors, and the end of them.
    fn log(&mut self, written: io::Result<()>) {
        match written {
            Err(error) if !self.is_failing => {
                self.is_failing = true;
                tracing::warn!(
                    event = "refused_journal_failed", %error,
                    "cannot write the journal of refused webhooks; new entries are in memory only"
                );
            }
            Ok(()) if self.is_failing => {
                self.is_failing = false;
                tracing::info!(
                    event = "refused_journal_recovered",
                    "writing the journal of refused webhooks works again"
                );
            }
            _ => {}
        }
    }
}

fn place(standing: Standing) -> usize {
    usize::from(standing == Standing::OutsideWindow)
}
