//! The state that all threads of a run share: end, clock, counts, journal.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::schedule::outlasts_a_transaction;

pub(crate) struct Arena {
    started: Instant,
    over: Mutex<bool>,
    ended: Condvar,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    journal: Mutex<File>,
}

impl Arena {
    /// Keeps its journal in `home`.
    pub(crate) fn new(home: &Path) -> std::io::Result<Self> {
        Ok(Self {
            started: Instant::now(),
            over: Mutex::new(false),
            ended: Condvar::new(),
            counts: Mutex::default(),
            journal: Mutex::new(File::create(home.join("events.log"))?),
        })
    }

    /// Sleeps for `length`, or until the run ends. Returns whether the run continues.
    pub(crate) fn pause(&self, length: Duration) -> bool {
        let over = self.over.lock().unwrap();
        let (over, _) = self.ended.wait_timeout_while(over, length, |over| !*over).unwrap();
        !*over
    }

    pub(crate) fn end(&self) {
        *self.over.lock().unwrap() = true;
        self.ended.notify_all();
    }

    pub(crate) fn since_start(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn count(&self, what: &'static str, more: u64) {
        *self.counts.lock().unwrap().entry(what).or_default() += more;
    }

    /// Counts a pause of a process, and whether it is longer than the transaction timeout.
    pub(crate) fn count_silence(&self, what: &'static str, length: Duration) {
        self.count(what, 1);
        self.count("outlasting_a_transaction", u64::from(outlasts_a_transaction(length)));
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.lock().unwrap().clone()
    }

    /// Writes a journal line with the time since the start. The order of the lines is the order of the faults.
    pub(crate) fn note(&self, what: &str) {
        let mut journal = self.journal.lock().unwrap();
        writeln!(journal, "{:10.3} {what}", self.since_start().as_secs_f64()).expect("the journal is written");
    }
}
