//! The running process's side: one thread, one connection after the other.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use super::protocol::{ControlReply, REQUEST_MAX_BYTES, REQUEST_MAX_IDS, Request};
use super::socket;
use crate::ops::status::unix_ms;
use crate::pulse::Pulse;
use crate::quarantine::{Action, Done, change};
use crate::spool::{Reader, Spool};

/// How long a command may take to say what it wants, or to take the answer: it is a program, and
/// others wait for their turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// Beyond the longest request: it is stuck.
const REQUEST_BOUND: Duration = Duration::from_secs(60);
/// After a fault of the listener itself, such as too many open files; and what a stop waits for it.
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
    /// Makes the socket and starts its thread.
    ///
    /// # Errors
    /// The file system has no sockets, or there are no threads left.
    pub fn start(spool: Spool) -> io::Result<Self> {
        let dir = spool.dir().to_owned();
        let reader = spool.reader().map_err(io::Error::other)?;
        let listener = socket::serve(&dir)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let pulse = Pulse::default();
        let beats = pulse.clone();
        let thread = std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || run(&listener, &spool, &reader, &stopping, &beats))?;
        Ok(Self { dir, stop, pulse, thread })
    }

    /// Where it tells what it is in.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Removes the socket, and takes no further request. Must be called before the directory's lock
    /// is given back: behind it, the socket may be another process's.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        // Ends the wait for a connection; where it fails there is nothing to wait for.
        drop(socket::open(&self.dir, PAUSE));
        if let Err(error) = socket::remove(&self.dir) {
            tracing::warn!(%error, "the control socket could not be removed");
        }
    }

    /// Whether the request that was under way when it was stopped is answered.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

fn run(listener: &UnixListener, spool: &Spool, reader: &Reader, stop: &AtomicBool, pulse: &Pulse) {
    loop {
        let accepted = listener.accept();
        if stop.load(Ordering::Acquire) {
            return;
        }
        pulse.enter(REQUEST_BOUND);
        let served = accepted.and_then(|(stream, _)| serve(stream, spool, reader));
        pulse.done();
        if let Err(error) = served {
            tracing::warn!(%error, "a command at the control socket was not answered");
            std::thread::sleep(PAUSE);
        }
    }
}

fn serve(mut stream: UnixStream, spool: &Spool, reader: &Reader) -> io::Result<()> {
    let line = read_line(&mut stream)?;
    let answer = match serde_json::from_slice::<Request>(&line) {
        Ok(request) => work(&request, spool, reader),
        Err(error) => ControlReply::Error(format!("not a request of this release: {error}")),
    };
    let mut answer = serde_json::to_vec(&answer)?;
    answer.push(b'\n');
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&answer)
}

/// What a command says, up to the end of its line, in time and within the bound.
fn read_line(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let until = Instant::now() + PATIENCE;
    let (mut line, mut chunk) = (Vec::new(), [0; 4096]);
    while line.len() <= REQUEST_MAX_BYTES && !line.ends_with(b"\n") {
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

fn work(request: &Request, spool: &Spool, reader: &Reader) -> ControlReply {
    if request.ids.len() > REQUEST_MAX_IDS {
        return ControlReply::Error(format!("more than {REQUEST_MAX_IDS} entries in one request"));
    }
    let ids = request.ids.iter().copied().collect();
    let changed = match change(spool, reader, request.action, &ids, unix_ms(SystemTime::now())) {
        Ok(changed) => changed,
        Err(error) => {
            tracing::error!(%error, action = ?request.action, "the quarantine could not be changed");
            return ControlReply::Error(error.to_string());
        }
    };
    for one in &changed {
        match (&one.done, request.action) {
            (Done::Requeued { records, bridge_spool, bridge_seq, was }, _) => {
                let was_seq = was.map(|was| was.bridge_seq);
                let was_spool = was.map(|was| was.bridge_spool.to_string());
                tracing::info!(
                    entry = one.id, records, %bridge_spool, bridge_seq, was_spool, was_seq,
                    "requeued from quarantine"
                );
            }
            (Done::Dropped, _) => tracing::warn!(entry = one.id, "dropped from quarantine"),
            (Done::Kept { why }, Action::Requeue) => tracing::warn!(entry = one.id, why, "not requeued"),
            (Done::Kept { why }, Action::Drop) => tracing::warn!(entry = one.id, why, "not dropped"),
            (Done::Gone | Done::Unknown, _) => {}
        }
    }
    ControlReply::Changed(changed)
}
