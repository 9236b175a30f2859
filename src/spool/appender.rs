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

use super::group::push_event;
use super::queue::{Decided, GroupResult};
use super::{AppendError, QuarantineEntry, Shared, Spool};

type Waiting = Rc<RefCell<VecDeque<oneshot::Sender<GroupResult>>>>;

/// Hands deliveries of one thread to the spool. Not `Send`: one per worker.
#[derive(Debug)]
pub struct Appender {
    shared: Arc<Shared>,
    worker: usize,
    waiting: Waiting,
    scratch: RefCell<Vec<u8>>,
}

/// Proof that a delivery is on the disk: only a commit that returned makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durable(());

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

    /// Makes the events of one delivery durable: all of them or none.
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

    fn submit(&self, encode: impl FnOnce(&mut EventWriter<'_>)) -> Result<oneshot::Receiver<GroupResult>, AppendError> {
        let mut framed = self.scratch.borrow_mut();
        framed.clear();
        let mut writer = EventWriter { framed: &mut framed, events: 0 };
        encode(&mut writer);
        let events = writer.events;
        let bytes = framed.len() as u64;
        self.shared.capacity.reserve(bytes)?;
        if let Err(error) = self.shared.queue.push_events(self.worker, &framed, events) {
            self.shared.capacity.release(bytes);
            return Err(error);
        }
        Ok(self.wait())
    }

    fn wait(&self) -> oneshot::Receiver<GroupResult> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().push_back(sender);
        receiver
    }
}

/// Collects the events of one delivery.
#[derive(Debug)]
pub struct EventWriter<'a> {
    framed: &'a mut Vec<u8>,
    events: u64,
}

impl EventWriter<'_> {
    /// Adds one event; `write` appends its bytes.
    pub fn event(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        push_event(self.framed, write);
        self.events += 1;
    }
}

async fn outcome(decided: oneshot::Receiver<GroupResult>) -> Result<Durable, AppendError> {
    match decided.await {
        Ok(result) => result.map(|()| Durable(())),
        Err(_) => Err(AppendError::Closed),
    }
}

async fn answer(mut inbox: mpsc::UnboundedReceiver<Decided>, waiting: Waiting) {
    // Unbounded, yet bounded: a message stands for at least one request that waits.
    while let Some(Decided { deliveries, result }) = inbox.recv().await {
        for _ in 0..deliveries {
            let Some(request) = waiting.borrow_mut().pop_front() else { break };
            // A request that gave up no longer listens.
            let _ = request.send(result.clone());
        }
    }
}
