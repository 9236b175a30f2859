//! Samples values of the disk and of Kafka for the operations listener. A separate thread does this, so that a hanging
//! disk blocks only this thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::spool::{Reader, Spool};

/// The maximum age of a value while the disk works.
const PERIOD: Duration = Duration::from_millis(500);
/// The value for an empty backlog.
const NOTHING: i64 = i64::MIN;

/// Checks whether webhooks can be published directly while the spool cannot be written. It blocks for a moment.
pub type Probe = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The sampled values.
#[derive(Debug)]
pub struct Sampler {
    oldest_accepted_at_ms: AtomicI64,
    wal_bytes: AtomicU64,
    /// `None` without direct publishing.
    direct: Mutex<Option<Result<(), String>>>,
    stopped: Mutex<bool>,
    stop: Condvar,
}

impl Sampler {
    /// Starts the thread. It ends soon after [`Sampler::stop`], or when the disk works again.
    ///
    /// # Errors
    /// The system refuses a new thread.
    pub fn start(spool: Spool, reader: Reader, probe: Option<Probe>) -> std::io::Result<Arc<Self>> {
        let unknown = || Err("not checked yet".to_owned());
        let sampler = Arc::new(Self {
            oldest_accepted_at_ms: AtomicI64::new(NOTHING),
            wal_bytes: AtomicU64::new(0),
            direct: Mutex::new(probe.is_some().then(unknown)),
            stopped: Mutex::new(false),
            stop: Condvar::new(),
        });
        // The first request already gets values of the disk.
        sampler.sample(&spool, &reader);
        let own = Arc::clone(&sampler);
        std::thread::Builder::new()
            .name("ops-sampler".to_owned())
            .spawn(move || own.run(&spool, &reader, probe.as_ref()))?;
        Ok(sampler)
    }

    /// The time of acceptance of the oldest unpublished event, in UNIX milliseconds.
    pub fn oldest_accepted_at_ms(&self) -> Option<i64> {
        Some(self.oldest_accepted_at_ms.load(Relaxed)).filter(|at| *at != NOTHING)
    }

    /// Size of the spool's WAL, in bytes.
    pub fn wal_bytes(&self) -> u64 {
        self.wal_bytes.load(Relaxed)
    }

    /// Whether webhooks can be published directly; `None` without direct publishing.
    pub fn direct(&self) -> Option<Result<(), String>> {
        self.direct.lock().clone()
    }

    /// Ends the thread.
    pub fn stop(&self) {
        *self.stopped.lock() = true;
        self.stop.notify_all();
    }

    fn run(&self, spool: &Spool, reader: &Reader, probe: Option<&Probe>) {
        loop {
            if let Some(probe) = probe.filter(|_| spool.fault().is_some()) {
                let direct = probe();
                *self.direct.lock() = Some(direct);
            }
            let mut stopped = self.stopped.lock();
            self.stop.wait_while_for(&mut stopped, |stopped| !*stopped, PERIOD);
            if *stopped {
                return;
            }
            drop(stopped);
            self.sample(spool, reader);
        }
    }

    fn sample(&self, spool: &Spool, reader: &Reader) {
        let progress = spool.progress();
        let waiting = progress.depth() > 0;
        let oldest = waiting.then(|| reader.accepted_at_ms(progress.published_end).ok().flatten()).flatten();
        self.oldest_accepted_at_ms.store(oldest.unwrap_or(NOTHING), Relaxed);
        self.wal_bytes.store(spool.wal_bytes(), Relaxed);
    }
}
