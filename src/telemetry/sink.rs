//! The bounded buffer of lines, and the one thread that writes them.
//!
//! A thread that logs only adds a line to the buffer. Only the writer is affected by the state of stderr (a pipe
//! that is not read, a full disk, a closed or non-blocking descriptor). It tries each line, counts the lost ones,
//! and logs their number when stderr accepts lines again.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::io::Errno;
use serde_json::{Map, Value};
use tracing::Level;

use super::line::Form;

/// The maximum number of bytes that wait for the writer.
const MAX_BYTES: usize = 1 << 20;
/// The maximum number of lines that wait for the writer.
const MAX_LINES: usize = 8192;
/// The time between two reports of lost lines.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// The pause between two attempts while a non-blocking descriptor is full.
const FULL_PAUSE: Duration = Duration::from_millis(20);
/// The pause after a line that could not be written.
const FAULT_PAUSE: Duration = Duration::from_millis(100);

/// Why a line was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// Peers caused more lines than their budget allows.
    Budget,
    /// The buffer was full: lines arrive faster than stderr accepts them.
    Buffer,
    /// stderr could not be written.
    Write,
}

impl DropReason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Budget, Self::Buffer, Self::Write];

    /// The label in the metric and in the log.
    pub fn label(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Buffer => "buffer",
            Self::Write => "write",
        }
    }
}

/// Lines dropped for one reason: all of them, and those already reported.
#[derive(Debug, Default)]
struct Count {
    all: AtomicU64,
    told: AtomicU64,
}

#[derive(Debug, Default)]
struct LineQueue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Whether the writer is writing lines that are no longer in the queue.
    is_writing: bool,
}

/// The buffer; see the documentation of the module.
#[derive(Debug)]
pub(super) struct Sink {
    queue: Mutex<LineQueue>,
    filled: Condvar,
    emptied: Condvar,
    counts: [Count; DropReason::ALL.len()],
    form: Form,
}

impl Sink {
    /// A sink with a thread that writes to stderr.
    pub(super) fn to_stderr(form: Form) -> io::Result<Arc<Self>> {
        // The standard library's handle would hold its lock while the write blocks.
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

    /// Adds a line if there is room. Lines that peers cause may fill one half of the buffer.
    pub(super) fn push(&self, line: Vec<u8>, by_peers: bool) {
        let share = if by_peers { 2 } else { 1 };
        let mut queue = self.queue.lock();
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

    /// The number of lines that were not written.
    pub(super) fn dropped(&self, reason: DropReason) -> u64 {
        self.counts[reason as usize].all.load(Relaxed)
    }

    /// Waits until all lines are written or dropped, for at most `within`.
    pub(super) fn flush(&self, within: Duration) {
        let is_busy = |queue: &mut LineQueue| queue.is_writing || !queue.lines.is_empty();
        self.emptied.wait_while_for(&mut self.queue.lock(), is_busy, within);
    }

    /// The waiting lines, in order.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> String {
        self.queue.lock().lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
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
            // A line counts in the buffer until it is written.
            self.done(bytes);
            if !written {
                std::thread::sleep(FAULT_PAUSE);
            } else if told.elapsed() >= TELL_EVERY {
                self.tell(&mut output);
                told = Instant::now();
            }
        }
    }

    /// Waits for lines, or until it is time to report lost ones.
    fn take(&self) -> (VecDeque<Vec<u8>>, usize) {
        let is_idle = |queue: &mut LineQueue| queue.lines.is_empty() && !self.has_untold();
        let mut queue = self.queue.lock();
        if queue.lines.is_empty() {
            // Lost lines are reported after that time, even if no other line arrives.
            self.filled.wait_for(&mut queue, TELL_EVERY);
        }
        while is_idle(&mut queue) {
            self.filled.wait_for(&mut queue, TELL_EVERY);
        }
        queue.is_writing = true;
        (std::mem::take(&mut queue.lines), queue.bytes)
    }

    fn done(&self, bytes: usize) {
        let mut queue = self.queue.lock();
        queue.bytes -= bytes;
        queue.is_writing = false;
        drop(queue);
        self.emptied.notify_all();
    }

    fn has_untold(&self) -> bool {
        self.counts.iter().any(|count| count.all.load(Relaxed) > count.told.load(Relaxed))
    }

    /// Logs the number of lost lines.
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
    /// Writes a line. Returns `false` if the line, or its rest, is lost.
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
                // Only this thread waits, as with a blocking descriptor.
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
