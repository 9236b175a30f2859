//! The bounded buffer of lines, and the one thread that writes them.
//!
//! A thread that logs only adds to the buffer. Whatever stderr is (a pipe that is not read, a full disk, a
//! closed or non-blocking descriptor), only the writer notices; it tries each line, and what could
//! not be written is counted, and told when lines flow again.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use serde_json::{Map, Value};
use tracing::Level;

use super::line::Form;

/// Bytes of lines that wait for the writer.
const MAX_BYTES: usize = 1 << 20;
/// Lines that wait for the writer.
const MAX_LINES: usize = 8192;
/// How often the writer looks whether there are lost lines to tell.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// Between two attempts while a non-blocking descriptor is full.
const FULL_PAUSE: Duration = Duration::from_millis(20);
/// After a line that could not be written.
const FAULT_PAUSE: Duration = Duration::from_millis(100);

/// Why a line was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// Strangers caused more lines than their budget has bytes.
    Budget,
    /// The buffer was full: lines come faster than stderr takes them.
    Buffer,
    /// stderr could not be written.
    Write,
}

impl DropReason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Budget, Self::Buffer, Self::Write];

    /// The word in the metric and in the log.
    pub fn label(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Buffer => "buffer",
            Self::Write => "write",
        }
    }
}

/// Lines dropped for one reason: all, and how many of them a line has told.
#[derive(Debug, Default)]
struct Count {
    all: AtomicU64,
    told: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Whether the writer works on lines that are no longer in the queue.
    is_writing: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Sink {
    queue: Mutex<Queue>,
    filled: Condvar,
    emptied: Condvar,
    counts: [Count; DropReason::ALL.len()],
    form: Form,
}

impl Sink {
    /// A sink with a thread that writes to stderr.
    pub(super) fn to_stderr(form: Form) -> io::Result<Arc<Self>> {
        // Not through the standard library's handle: its lock would be held while the write blocks.
        Self::start(form, io::stderr())
    }

    /// A sink with a thread that writes to this descriptor.
    pub(super) fn start(form: Form, out: impl AsFd + Send + 'static) -> io::Result<Arc<Self>> {
        let sink = Arc::new(Self::new(form));
        let writer = Arc::clone(&sink);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(&out))?;
        Ok(sink)
    }

    /// A sink without a writer.
    pub(super) fn new(form: Form) -> Self {
        Self {
            queue: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            counts: Default::default(),
            form,
        }
    }

    /// Adds a line where there is room. Lines that strangers cause may fill one half of the buffer.
    pub(super) fn push(&self, line: Vec<u8>, by_strangers: bool) {
        let share = if by_strangers { 2 } else { 1 };
        let mut queue = self.lock();
        if queue.bytes + line.len() > MAX_BYTES / share || queue.lines.len() >= MAX_LINES / share {
            drop(queue);
            self.drop_line(DropReason::Buffer);
            return;
        }
        queue.bytes += line.len();
        queue.lines.push_back(line);
        drop(queue);
        self.filled.notify_one();
    }

    /// Counts a line that is not written.
    pub(super) fn drop_line(&self, reason: DropReason) {
        self.counts[reason as usize].all.fetch_add(1, Relaxed);
    }

    /// Lines that were not written.
    pub(super) fn dropped(&self, reason: DropReason) -> u64 {
        self.counts[reason as usize].all.load(Relaxed)
    }

    /// Waits until everything is written or dropped, for so long at most.
    pub(super) fn flush(&self, within: Duration) {
        let is_busy = |queue: &mut Queue| queue.is_writing || !queue.lines.is_empty();
        drop(self.emptied.wait_timeout_while(self.lock(), within, is_busy));
    }

    /// What waits, in their order.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> String {
        self.lock().lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, out: &impl AsFd) {
        let mut output = Out { out, is_broken: false };
        let mut told = Instant::now();
        loop {
            let (lines, bytes) = self.take();
            let mut written = true;
            for line in &lines {
                written = output.write(line);
                if !written {
                    self.drop_line(DropReason::Write);
                }
            }
            // Only now: until it is written it takes room.
            self.done(bytes);
            if !written {
                std::thread::sleep(FAULT_PAUSE);
            } else if told.elapsed() >= TELL_EVERY {
                self.tell(&mut output);
                told = Instant::now();
            }
        }
    }

    /// Waits for lines, or until it is time to look for lost ones.
    fn take(&self) -> (VecDeque<Vec<u8>>, usize) {
        let is_idle = |queue: &mut Queue| queue.lines.is_empty() && !self.has_untold();
        let mut queue = self.lock();
        if queue.lines.is_empty() {
            // Lost lines are told after that time, though no other line comes.
            queue = self.filled.wait_timeout(queue, TELL_EVERY).unwrap_or_else(PoisonError::into_inner).0;
        }
        while is_idle(&mut queue) {
            queue = self.filled.wait_timeout(queue, TELL_EVERY).unwrap_or_else(PoisonError::into_inner).0;
        }
        queue.is_writing = true;
        (std::mem::take(&mut queue.lines), queue.bytes)
    }

    fn done(&self, bytes: usize) {
        let mut queue = self.lock();
        queue.bytes -= bytes;
        queue.is_writing = false;
        drop(queue);
        self.emptied.notify_all();
    }

    fn has_untold(&self) -> bool {
        self.counts.iter().any(|count| count.all.load(Relaxed) > count.told.load(Relaxed))
    }

    /// Tells how many lines were lost.
    fn tell(&self, output: &mut Out<'_, impl AsFd>) {
        for reason in DropReason::ALL {
            let count = &self.counts[reason as usize];
            let (all, told) = (count.all.load(Relaxed), count.told.load(Relaxed));
            if all > told && output.write(&self.notice(reason, all - told)) {
                count.told.store(all, Relaxed);
            }
        }
    }

    fn notice(&self, reason: DropReason, lines: u64) -> Vec<u8> {
        let fields = [
            ("event", Value::from("log_lines_dropped")),
            ("message", "log lines were dropped".into()),
            ("reason", reason.label().into()),
            ("lines", lines.into()),
        ];
        let fields: Map<String, Value> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.form.line(Level::WARN, module_path!(), fields)
    }
}

/// The descriptor, and whether a line on it was cut off.
struct Out<'a, F> {
    out: &'a F,
    is_broken: bool,
}

impl<F: AsFd> Out<'_, F> {
    /// Writes a line; `false`: it is lost, or the rest of it.
    fn write(&mut self, line: &[u8]) -> bool {
        if self.is_broken && !self.write_all(b"\n") {
            return false;
        }
        self.is_broken = false;
        self.write_all(line)
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> bool {
        let whole = bytes.len();
        while !bytes.is_empty() {
            match rustix::io::write(self.out, bytes) {
                Ok(0) => return false,
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::INTR) => {}
                // As with a descriptor that blocks: only this thread waits.
                Err(Errno::AGAIN) => std::thread::sleep(FULL_PAUSE),
                Err(_) => {
                    self.is_broken |= bytes.len() < whole;
                    return false;
                }
            }
        }
        true
    }
}
