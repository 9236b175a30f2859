//! The side of the running process: one thread, one connection at a time.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::changes::Changes;
use super::protocol::{ControlResponse, REQUEST_MAX_BYTES, Request};
use super::{socket, work};
use crate::pulse::Pulse;
use crate::refused::RefusedJournal;
use crate::replay::PublishTarget;
use crate::spool::Spool;

/// The time limit for a command to send its request, and to read the response: other commands wait.
const PATIENCE: Duration = Duration::from_secs(5);
/// A request that takes longer is stuck.
const REQUEST_BOUND: Duration = Duration::from_secs(60);
/// The pause after an error of the listener itself, such as too many open files, and the time that a stop
/// waits for the listener.
const PAUSE: Duration = Duration::from_millis(100);

/// The socket of a running process; closed by [`stop`](Self::stop).
#[derive(Debug)]
pub struct Control {
    dir: PathBuf,
    stop: Arc<AtomicBool>,
    pulse: Pulse,
    thread: JoinHandle<()>,
}

impl Control {
    /// Creates the socket and starts its thread.
    ///
    /// # Errors
    /// The file system does not support sockets, or the system refuses a new thread.
    pub fn start(spool: Spool, journal: Arc<RefusedJournal>, target: PublishTarget) -> io::Result<Self> {
        let dir = spool.dir().to_owned();
        let reader = spool.reader().map_err(io::Error::other)?;
        let listener = socket::serve(&dir)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let pulse = Pulse::default();
        let beats = pulse.clone();
        let thread = std::thread::Builder::new().name("control".to_owned()).spawn(move || {
            let changes = Changes { spool, reader, journal };
            run(&listener, &work::Parts { changes, target }, &stopping, &beats);
        })?;
        Ok(Self { dir, stop, pulse, thread })
    }

    /// The thread registers its current request here.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Removes the socket, and accepts no further request. Must be called before the directory's lock is
    /// released: after that, the socket may belong to another process.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        // A connection wakes the thread. If connecting fails, the thread is not waiting.
        drop(socket::open(&self.dir, PAUSE));
        if let Err(error) = socket::remove(&self.dir) {
            tracing::warn!(event = "control_socket_left", %error, "cannot remove the control socket");
        }
    }

    /// Whether the request that was running at the stop has been answered.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

fn run(listener: &UnixListener, parts: &work::Parts, stop: &AtomicBool, pulse: &Pulse) {
    loop {
        let accepted = listener.accept();
        if stop.load(Ordering::Acquire) {
            return;
        }
        pulse.enter(REQUEST_BOUND);
        let served = accepted.and_then(|(stream, _)| serve(stream, parts));
        pulse.done();
        if let Err(error) = served {
            tracing::warn!(event = "control_request_failed", %error, "cannot answer a command at the control socket");
            std::thread::sleep(PAUSE);
        }
    }
}

fn serve(mut stream: UnixStream, parts: &work::Parts) -> io::Result<()> {
    let line = read_line(&mut stream)?;
    let response = match serde_json::from_slice::<Request>(&line) {
        Ok(request) => parts.work(&request),
        Err(error) => ControlResponse::Error(format!("not a request of this release: {error}")),
    };
    let mut response = serde_json::to_vec(&response)?;
    response.push(b'\n');
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&response)
}

/// Reads one line of a command, within the limits of time and size.
fn read_line(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let until = Instant::now() + PATIENCE;
    let (mut line, mut chunk) = (Vec::new(), [0; 16 << 10]);
    // A line that cannot be a request is answered at once.
    let may_be_request = |line: &[u8]| line.first().is_none_or(|first| *first == b'{');
    while line.len() <= REQUEST_MAX_BYTES && !line.ends_with(b"\n") && may_be_request(&line) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk)? {
            0 => break,
            read => line.extend_from_slice(&chunk[..read]),
        }
    }
    Ok(line)
}
