//! What has to be read from the disk, or asked of Kafka, for the operations listener: looked up on a thread
//! of its own, so that a disk that hangs holds up this thread only.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::spool::{Reader, Spool};

/// How old a value may be while the disk answers.
const PERIOD: Duration = Duration::from_millis(500);
/// Marks that no event waits.
const NOTHING: i64 = i64::MIN;

/// Whether deliveries can be published directly while the spool cannot be written; blocks for a moment.
pub type Probe = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The values of a moment ago.
#[derive(Debug)]
pub struct Sampler {
    oldest_accepted_at_ms: AtomicI64,
    wal_bytes: AtomicU64,
    /// `None` where deliveries are never published directly.
    direct: Mutex<Option<Result<(), String>>>,
    stopped: Mutex<bool>,
    stop: Condvar,
}

impl Sampler {
    /// Starts the thread. It ends soon after [`Sampler::stop`], or when the disk answers again.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(spool: Spool, reader: Reader, probe: Option<Probe>) -> std::io::Result<Arc<Self>> {
        let unknown = || Err("Kafka was not asked yet".to_owned());
        let sampler = Arc::new(Self {
            oldest_accepted_at_ms: AtomicI64::new(NOTHING),
            wal_bytes: AtomicU64::new(0),
            direct: Mutex::new(probe.is_some().then(unknown)),
            stopped: Mutex::new(false),
            stop: Condvar::new(),
        });
        let own = Arc::clone(&sampler);
        std::thread::Builder::new()
            .name("ops-sampler".to_owned())
            .spawn(move || own.run(&spool, &reader, probe.as_ref()))?;
        Ok(sampler)
    }

    /// When the oldest event that waits was accepted, in UNIX milliseconds.
    pub fn oldest_accepted_at_ms(&self) -> Option<i64> {
        Some(self.oldest_accepted_at_ms.load(Relaxed)).filter(|at| *at != NOTHING)
    }

    /// Size of the spool's WAL, in bytes.
    pub fn wal_bytes(&self) -> u64 {
        self.wal_bytes.load(Relaxed)
    }

    /// Whether deliveries can be published directly, where that is configured.
    pub fn direct(&self) -> Option<Result<(), String>> {
        self.direct.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the thread.
    pub fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.notify_all();
    }

    fn run(&self, spool: &Spool, reader: &Reader, probe: Option<&Probe>) {
        loop {
            let progress = spool.progress();
            let waiting = progress.depth() > 0;
            let oldest = waiting.then(|| reader.accepted_at_ms(progress.watermark).ok().flatten()).flatten();
            self.oldest_accepted_at_ms.store(oldest.unwrap_or(NOTHING), Relaxed);
            self.wal_bytes.store(spool.wal_bytes(), Relaxed);
            if let Some(probe) = probe.filter(|_| spool.fault().is_some()) {
                let direct = probe();
                *self.direct.lock().unwrap_or_else(PoisonError::into_inner) = Some(direct);
            }
            let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
            let wait = self.stop.wait_timeout_while(stopped, PERIOD, |stopped| !*stopped);
            if *wait.unwrap_or_else(PoisonError::into_inner).0 {
                return;
            }
        }
    }
}
