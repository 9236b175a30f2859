//! The appender of one HTTP worker.
//!
//! Thousands of requests may wait for one commit. Each worker thread keeps its waiting requests in its own list, in
//! the order of submission. The writer sends one message per worker and group, and a local task of the worker
//! completes the requests. This needs no lock and wakes no other thread per request.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::error::AppendError;
use super::frame::push_event;
use super::group::Decision;
use super::handle::Spool;
use super::quarantine::{IdCell, QuarantineEntry, QuarantineId};
use super::queue::Decided;
use super::shared::SpoolShared;
use super::terms::{Durable, EventId, NO_ID};

/// Capacity that a worker's buffer keeps between webhooks.
const SCRATCH_MAX_BYTES: usize = 64 << 10;

type WaitingRequests = Rc<RefCell<VecDeque<oneshot::Sender<Decision>>>>;

/// Submits the webhooks of one thread to the spool. Not `Send`: one per worker.
#[derive(Debug)]
pub struct Appender {
    shared: Arc<SpoolShared>,
    worker: usize,
    waiting: WaitingRequests,
    scratch: RefCell<Scratch>,
}

/// The webhook that is being encoded.
#[derive(Debug, Default)]
struct Scratch {
    framed: Vec<u8>,
    ids: Vec<EventId>,
}

impl Scratch {
    /// Empties the buffer. A large capacity is released: large webhooks are rare, and each worker has a buffer.
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
        let waiting = WaitingRequests::default();
        tokio::task::spawn_local(answer(inbox, Rc::clone(&waiting)));
        Self { shared, worker, waiting, scratch: RefCell::default() }
    }

    /// Makes the events of one webhook durable: all of them or none. Events that were accepted within the
    /// deduplication window are already durable and are not added again.
    ///
    /// `encode` writes each event through the function it receives. Dropping the returned future does not cancel the
    /// webhook: it may still become durable.
    pub async fn append(&self, encode: impl FnOnce(&mut EventWriter<'_>)) -> Result<Durable, AppendError> {
        let decided = self.submit(encode)?;
        outcome(decided).await
    }

    /// Makes an entry in quarantine durable. Returns its id.
    pub async fn quarantine(&self, entry: QuarantineEntry) -> Result<QuarantineId, AppendError> {
        self.shared.quarantine.reserve(&entry)?;
        let (reason, bytes) = (entry.reason.clone(), entry.bytes());
        let id = IdCell::default();
        if let Err(error) = self.shared.queue.push_quarantine(self.worker, entry, id.clone()) {
            self.shared.quarantine.release(&reason, bytes);
            return Err(error);
        }
        outcome(self.wait()).await?;
        Ok(id.get())
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
            // Duplicates need no space.
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

/// Collects the events of one webhook.
#[derive(Debug)]
pub struct EventWriter<'a> {
    framed: &'a mut Vec<u8>,
    ids: &'a mut Vec<EventId>,
    recognize: bool,
    events: u64,
}

impl EventWriter<'_> {
    /// Adds one event. `write` appends its bytes and returns its id, or none for an event without deduplication.
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

async fn answer(mut inbox: mpsc::UnboundedReceiver<Decided>, waiting: WaitingRequests) {
    // The channel is unbounded, but each message belongs to at least one waiting request, and these are limited.
    while let Some(Decided { deliveries, result, others }) = inbox.recv().await {
        let mut others = others.into_iter().peekable();
        for place in 0..deliveries {
            let Some(request) = waiting.borrow_mut().pop_front() else { break };
            let other = others.next_if(|(at, _)| *at == place).map(|(_, decision)| decision);
            // A request that timed out no longer listens.
            let _ = request.send(other.unwrap_or_else(|| result.clone()));
        }
    }
}
