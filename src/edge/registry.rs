//! The open connections of one worker, and the choice of the one to close when there are too many.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::Notify;

/// The activity of a connection. The first in this order closes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Activity {
    /// The last response is written; only input is discarded.
    Lingering,
    /// No authentic request was sent yet, and none is in progress.
    Unproven,
    /// An authentic request was sent, and the next one has not begun.
    Idle,
    /// A request is in progress. The connection never closes for another one.
    Busy,
}

/// The state of one connection in the registry.
#[derive(Debug)]
pub(super) struct ConnectionEntry {
    activity: Cell<Activity>,
    since: Cell<Instant>,
    /// Notified when this connection must close.
    end: Notify,
}

impl ConnectionEntry {
    fn new() -> Rc<Self> {
        let (activity, since) = (Cell::new(Activity::Unproven), Cell::new(Instant::now()));
        Rc::new(Self { activity, since, end: Notify::new() })
    }

    pub(super) fn set(&self, activity: Activity) {
        self.activity.set(activity);
        self.since.set(Instant::now());
    }

    /// Resolves when this connection must close.
    pub(super) async fn ended(&self) {
        self.end.notified().await;
    }
}

/// The connections of one worker.
#[derive(Debug)]
pub(super) struct Registry {
    entries: RefCell<slab::Slab<Rc<ConnectionEntry>>>,
    most: usize,
    closing: Cell<bool>,
}

/// A new connection is refused: all others have a request in progress.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AllBusyError;

impl Registry {
    pub(super) fn new(most: usize) -> Self {
        Self { entries: RefCell::default(), most: most.max(1), closing: Cell::new(false) }
    }

    /// Adds a connection. At the limit, asks others to close. Returns how many were asked.
    ///
    /// # Errors
    /// All others are busy.
    pub(super) fn add(&self) -> Result<(usize, Rc<ConnectionEntry>, usize), AllBusyError> {
        let mut entries = self.entries.borrow_mut();
        let mut evicted = 0;
        if entries.len() >= self.most {
            evicted = evict(&entries);
            if evicted == 0 {
                return Err(AllBusyError);
            }
        }
        let entry = ConnectionEntry::new();
        let key = entries.insert(Rc::clone(&entry));
        Ok((key, entry, evicted))
    }

    pub(super) fn remove(&self, key: usize) {
        self.entries.borrow_mut().try_remove(key);
    }

    /// Asks all connections without a request in progress to close, and the others to close after it.
    pub(super) fn close(&self) {
        self.closing.set(true);
        for (_, entry) in self.entries.borrow().iter().filter(|(_, entry)| entry.activity.get() != Activity::Busy) {
            entry.end.notify_one();
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.get()
    }
}

/// Asks the first connections in the order of [`Activity`] and age to close. Several of those that never sent an
/// authentic request are chosen at once, so that a flood of connections does not sort the list each time.
fn evict(entries: &slab::Slab<Rc<ConnectionEntry>>) -> usize {
    let mut found: Vec<(Activity, Instant, &Rc<ConnectionEntry>)> = entries
        .iter()
        .map(|(_, entry)| (entry.activity.get(), entry.since.get(), entry))
        .filter(|(activity, ..)| *activity < Activity::Busy)
        .collect();
    found.sort_unstable_by_key(|(activity, since, _)| (*activity, *since));
    let batch = 1 + entries.len() / 64;
    let unproven = found.iter().take(batch).take_while(|(activity, ..)| *activity < Activity::Idle).count();
    let chosen = unproven.max(1).min(found.len());
    for (.., entry) in found.into_iter().take(chosen) {
        // It counts as busy from now on, so that it is not chosen twice.
        entry.activity.set(Activity::Busy);
        entry.end.notify_one();
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_asked(entry: &ConnectionEntry) -> bool {
        use std::future::Future as _;
        let asked = std::pin::pin!(entry.end.notified());
        asked.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    #[test]
    fn the_oldest_connection_closes_unproven_ones_first() {
        let registry = Registry::new(3);
        let [idle, unproven, busy] = std::array::from_fn(|_| registry.add().unwrap().1);
        idle.set(Activity::Idle);
        unproven.set(Activity::Unproven);
        busy.set(Activity::Busy);
        let (key, _, evicted) = registry.add().unwrap();
        assert_eq!(evicted, 1);
        assert!(is_asked(&unproven) && !is_asked(&idle) && !is_asked(&busy));
        registry.remove(key);
        assert_eq!(registry.add().unwrap().2, 1);
        assert!(is_asked(&idle) && !is_asked(&busy));
    }

    #[test]
    fn a_new_connection_is_refused_while_all_are_busy() {
        let registry = Registry::new(1);
        registry.add().unwrap().1.set(Activity::Busy);
        assert_eq!(registry.add().map(|_| ()), Err(AllBusyError));
    }
}
