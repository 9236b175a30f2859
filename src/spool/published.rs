//! Tells the requests of one worker when what they brought is in Kafka.
//!
//! As with the commits, the publisher wakes each worker once, whatever number of its requests wait; a
//! local task of that worker wakes these.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::{Notify, watch};

use super::handle::Spool;
use super::terms::Seq;

/// Follows the watermark. Not `Send`: one per worker.
#[derive(Debug)]
pub struct Published {
    state: Rc<State>,
}

#[derive(Debug)]
struct State {
    watermark: Cell<Seq>,
    moved: Notify,
}

impl Published {
    /// Follows the watermark of a spool on the current thread, which must run a local task set (an
    /// actix or Tokio `LocalSet` context).
    pub fn new(spool: &Spool) -> Self {
        let mut watermarks = spool.shared().published.subscribe();
        let watermark = Cell::new(*watermarks.borrow_and_update());
        let state = Rc::new(State { watermark, moved: Notify::new() });
        tokio::task::spawn_local(follow(watermarks, Rc::clone(&state)));
        Self { state }
    }

    /// Waits until everything below `until` is in Kafka, or in quarantine because Kafka refused it.
    /// For ever, where that does not happen.
    pub async fn wait_for(&self, until: Seq) {
        while self.state.watermark.get() < until {
            self.state.moved.notified().await;
        }
    }
}

async fn follow(mut watermarks: watch::Receiver<Seq>, state: Rc<State>) {
    while watermarks.changed().await.is_ok() {
        state.watermark.set(*watermarks.borrow_and_update());
        state.moved.notify_waiters();
    }
}
