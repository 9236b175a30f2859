//! A process of the binary: its output, its signals and its exit code.

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::wait::{PATIENCE, POLL};

const TAIL_LINES: usize = 40;

/// Held while a child is started, and while a port is closed and bound again.
///
/// A child has every socket of this process until it executes its program. A port that this process closes meanwhile
/// stays bound, and librdkafka's mock broker, which binds its port again, aborts the process.
pub(crate) fn lock_sockets() -> MutexGuard<'static, ()> {
    static SOCKETS: Mutex<()> = Mutex::new(());
    SOCKETS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The only way to start a process in tests; clippy refuses the methods of [`Command`].
pub trait Start {
    /// [`Command::spawn`], while no port is closed and bound again.
    fn start(&mut self) -> std::io::Result<Child>;

    /// [`Command::output`]: runs the process to its end; stdin is empty.
    fn run(&mut self) -> std::io::Result<Output>;

    /// [`Command::status`]: waits for the end of the process.
    fn exit_status(&mut self) -> std::io::Result<ExitStatus>;
}

impl Start for Command {
    fn start(&mut self) -> std::io::Result<Child> {
        let _sockets = lock_sockets();
        #[expect(clippy::disallowed_methods, reason = "the lock is held")]
        self.spawn()
    }

    fn run(&mut self) -> std::io::Result<Output> {
        self.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).start()?.wait_with_output()
    }

    fn exit_status(&mut self) -> std::io::Result<ExitStatus> {
        self.start()?.wait()
    }
}

/// The lines of a pipe, in the order of their arrival.
#[derive(Debug)]
struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Lines {
    fn collect(pipe: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                sink.lock().unwrap().push(line);
            }
        });
        Self { lines, reader: Some(reader) }
    }

    fn get(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

/// A running process of the binary; killed on drop.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: Lines,
    stderr: Lines,
    /// The directory that the process works in; removed after the process has ended.
    home: Option<Arc<TempDir>>,
}

impl Process {
    /// Reads the piped output of a child.
    pub fn watch(mut child: Child) -> Self {
        let stdout = Lines::collect(child.stdout.take().expect("stdout is piped"));
        let stderr = Lines::collect(child.stderr.take().expect("stderr is piped"));
        Self { child, stdout, stderr, home: None }
    }

    /// Keeps the directory that the process works in until the process has ended.
    pub fn working_in(mut self, home: &Arc<TempDir>) -> Self {
        self.home = Some(Arc::clone(home));
        self
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the resident memory, in bytes.
    pub fn memory(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    /// Returns the highest resident memory so far, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    fn status_bytes(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the process is there");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a field of the status");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("kB") << 10
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process is there");
    }

    /// Lines on stderr so far.
    pub fn log_lines(&self) -> Vec<String> {
        self.stderr.get()
    }

    /// Lines on stdout so far.
    pub fn stdout_lines(&self) -> Vec<String> {
        self.stdout.get()
    }

    /// Log lines so far that are JSON and have this event code, or this message.
    pub fn log_of(&self, event: &str) -> Vec<Value> {
        let lines = self.log_lines();
        let parsed = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        parsed.filter(|line| line["event"] == event || line["message"] == event).collect()
    }

    /// The first log line with this event code, or this message. Panics with the end of the log if none arrives, or
    /// the process ends.
    #[track_caller]
    pub fn wait_for_line(&self, event: &str) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let over = self.stderr.reader.as_ref().is_none_or(JoinHandle::is_finished);
            if let Some(line) = self.log_of(event).into_iter().next() {
                return line;
            }
            assert!(!over && Instant::now() < until, "no log line {event:?}; the log's end:\n{}", self.tail());
            std::thread::sleep(POLL);
        }
    }

    /// The last lines of the log.
    pub fn tail(&self) -> String {
        let lines = self.log_lines();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// Waits for the exit and returns the exit code, or 128 plus the signal that ended the process. All output has
    /// been read then.
    #[track_caller]
    pub fn wait_exit(&mut self, within: Duration) -> i32 {
        let until = Instant::now() + within;
        loop {
            if let Some(code) = self.try_exit() {
                return code;
            }
            assert!(Instant::now() < until, "still running after {within:?}; the log's end:\n{}", self.tail());
            std::thread::sleep(POLL);
        }
    }

    /// Returns the exit code if the process has ended already.
    pub fn try_exit(&mut self) -> Option<i32> {
        let status = self.child.try_wait().unwrap()?;
        self.finish_reading();
        Some(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
    }

    /// Ends the process with SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.finish_reading();
    }

    fn finish_reading(&mut self) {
        for lines in [&mut self.stdout, &mut self.stderr] {
            if let Some(reader) = lines.reader.take() {
                let _ = reader.join();
            }
        }
    }

    /// Waits for the exit. A signal gives an exit code above 128.
    #[track_caller]
    pub fn output(mut self) -> Output {
        let code = self.wait_exit(PATIENCE);
        let bytes = |lines: Vec<String>| lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect();
        Output {
            status: ExitStatus::from_raw(code << 8),
            stdout: bytes(self.stdout_lines()),
            stderr: bytes(self.log_lines()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("---- the bridge's log:\n{}\n----", self.tail());
        }
    }
}
