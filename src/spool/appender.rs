//! One worker's way into the spool.
//!
//! Thousands of requests may wait for one commit. Each worker thread therefore keeps its waiting
//! requests in a list of its own, in the order in which it handed them over; the writer sends a
//! worker one message per group, and a local task of that worker answers the requests, without a
//! lock and without waking another thread for each of them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::error::AppendError;
use super::frame::push_event;
use super::group::Decision;
use super::handle::Spool;
use super::quarantine::QuarantineEntry;
use super::queue::Decided;
use super::shared::Shared;
use super::terms::{Durable, EventId, NO_ID};

/// What a worker's scratch keeps of its room between deliveries.
const SCRATCH_MAX_BYTES: usize = 64 << 10;

type Waiting = Rc<RefCell<VecDeque<oneshot::Sender<Decision>>>>;

/// Hands deliveries of one thread to the spool. Not `Send`: one per worker.
#[derive(Debug)]
pub struct Appender {
    shared: Arc<Shared>,
    worker: usize,
    waiting: Waiting,
    scratch: RefCell<Scratch>,
}

/// The delivery that is being encoded.
#[derive(Debug, Default)]
struct Scratch {
    framed: Vec<u8>,
    ids: Vec<EventId>,
}

impl Scratch {
    /// Empties it; the room stays for the next delivery, unless it is large: few deliveries are, and there is
    /// a worker for each core.
    fn clear(&mut self) {
        self.framed.clear();
        self.ids.clear();
        self.framed.shrink_to(SCRATCH_MAX_BYTES);
        self.ids.shrink_to(SCRATCH_MAX_BYTES / size_of::<EventId>());
    }
}

impl Appender {
    /// Registers the current thread, which must run a local task set (an actix or Tokio
    /// `LocalSet` context).
    pub fn new(spool: &Spool) -> Self {
        let (decided, inbox) = mpsc::unbounded_channel();
        let shared = Arc::clone(spool.shared());
        let worker = shared.queue.register(decided);
        let waiting = Waiting::default();
        tokio::task::spawn_local(answer(inbox, Rc::clone(&waiting)));
        Self { shared, worker, waiting, scratch: RefCell::default() }
    }

    /// Makes the events of one delivery durable: all of them or none. Events that were accepted
    /// within the deduplication window are durable already, and are not added again.
    ///
    /// `encode` writes each event through the function it is given. Dropping the returned future
    /// does not take the delivery back: it may still become durable.
    pub async fn append(&self, encode: impl FnOnce(&mut EventWriter<'_>)) -> Result<Durable, AppendError> {
        let decided = self.submit(encode)?;
        outcome(decided).await
    }

    /// Makes an entry in quarantine durable.
    pub async fn quarantine(&self, entry: QuarantineEntry) -> Result<Durable, AppendError> {
        self.shared.quarantine.reserve(&entry)?;
        let (reason, bytes) = (entry.reason, entry.bytes());
        if let Err(error) = self.shared.queue.push_quarantine(self.worker, entry) {
            self.shared.quarantine.release(reason, bytes);
            return Err(error);
        }
        outcome(self.wait()).await
    }

    fn submit(&self, encode: impl FnOnce(&mut EventWriter<'_>)) -> Result<oneshot::Receiver<Decision>, AppendError> {
        let mut scratch = self.scratch.borrow_mut();
        let submitted = self.encode_and_push(&mut scratch, encode);
        scratch.clear();
        submitted
    }

    fn encode_and_push(
        &self,
        scratch: &mut Scratch,
        encode: impl FnOnce(&mut EventWriter<'_>),
    ) -> Result<oneshot::Receiver<Decision>, AppendError> {
        let Scratch { framed, ids } = scratch;
        let recognize = self.shared.recognizes_duplicates;
        let mut writer = EventWriter { framed, ids, recognize, events: 0 };
        encode(&mut writer);
        let events = writer.events;
        let bytes = framed.len() as u64;
        if let Err(full) = self.shared.capacity.reserve(bytes, self.shared.quarantine.overflow()) {
            // What was accepted before needs no room.
            if recognize && self.shared.queue.push_probe(self.worker, ids).is_ok() {
                return Ok(self.wait());
            }
            return Err(full);
        }
        if let Err(error) = self.shared.queue.push_events(self.worker, framed, events, ids) {
            self.shared.capacity.release(bytes);
            return Err(error);
        }
        Ok(self.wait())
    }

    fn wait(&self) -> oneshot::Receiver<Decision> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().push_back(sender);
        receiver
    }
}

/// Collects the events of one delivery.
#[derive(Debug)]
pub struct EventWriter<'a> {
    framed: &'a mut Vec<u8>,
    ids: &'a mut Vec<EventId>,
    recognize: bool,
    events: u64,
}

impl EventWriter<'_> {
    /// Adds one event; `write` appends its bytes and returns its id, or none for an event that is
    /// to be added whatever was accepted before.
    pub fn event(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Option<EventId>) {
        let mut id = None;
        push_event(self.framed, |out| id = write(out));
        if self.recognize {
            self.ids.push(id.unwrap_or(NO_ID));
        }
        self.events += 1;
    }
}

async fn outcome(decided: oneshot::Receiver<Decision>) -> Decision {
    decided.await.unwrap_or(Err(AppendError::Closed))
}

async fn answer(mut inbox: mpsc::UnboundedReceiver<Decided>, waiting: Waiting) {
    // Unbounded, yet bounded: a message stands for at least one request that waits.
    while let Some(Decided { deliveries, result, others }) = inbox.recv().await {
        let mut others = others.into_iter().peekable();
        for place in 0..deliveries {
            let Some(request) = waiting.borrow_mut().pop_front() else { break };
            let other = others.next_if(|(at, _)| *at == place).map(|(_, decision)| decision);
            // A request that gave up no longer listens.
            let _ = request.send(other.unwrap_or_else(|| result.clone()));
        }
    }
}
