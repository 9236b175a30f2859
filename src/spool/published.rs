//! Wakes the requests of one worker when their events are in Kafka.
//!
//! As for commits, the publisher wakes each worker once, for any number of waiting requests. A local task of the
//! worker wakes the requests.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::{Notify, watch};

use super::handle::Spool;
use super::terms::Seq;

/// Follows the published sequence. Not `Send`: one per worker.
#[derive(Debug)]
pub struct Published {
    state: Rc<FollowedState>,
}

#[derive(Debug)]
struct FollowedState {
    published_end: Cell<Seq>,
    moved: Notify,
}

impl Published {
    /// Follows the published sequence of a spool on the current thread, which must run a local task set (an actix or
    /// Tokio `LocalSet` context).
    pub fn new(spool: &Spool) -> Self {
        let mut published_ends = spool.shared().published.subscribe();
        let published_end = Cell::new(*published_ends.borrow_and_update());
        let state = Rc::new(FollowedState { published_end, moved: Notify::new() });
        tokio::task::spawn_local(follow(published_ends, Rc::clone(&state)));
        Self { state }
    }

    /// Waits, without a limit, until all events below `until` are in Kafka or, as poison records, in quarantine.
    pub async fn wait_for(&self, until: Seq) {
        while self.state.published_end.get() < until {
            self.state.moved.notified().await;
        }
    }
}

async fn follow(mut published_ends: watch::Receiver<Seq>, state: Rc<FollowedState>) {
    while published_ends.changed().await.is_ok() {
        state.published_end.set(*published_ends.borrow_and_update());
        state.moved.notify_waiters();
    }
}
