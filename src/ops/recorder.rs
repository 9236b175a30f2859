//! Records the history and the last minutes, on a separate thread that reads memory only: it also works while the disk
//! hangs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::history::{History, HistorySample, HistoryView, OUTCOMES_MAX, STEP_SECONDS};
use super::metrics::Metrics;
use super::quantile::Buckets;
use super::recent::{Counts, Recent};
use super::sampler::Sampler;
use super::status::KafkaCell;
use super::verdict::{Arrivals, is_refused};
use crate::clock;
use crate::spool::Spool;

/// The time between two looks at the counters.
const TICK: Duration = Duration::from_millis(500);

/// What the recorder reads.
pub struct RecorderSources {
    /// The backlog.
    pub spool: Spool,
    /// The age of the oldest event.
    pub sampler: Arc<Sampler>,
    /// The publisher's state.
    pub kafka: KafkaCell,
    /// The counters and histograms.
    pub metrics: Arc<Metrics>,
}

/// The history and the last minutes.
pub struct Recorder {
    sources: RecorderSources,
    history: Mutex<History>,
    recent: Mutex<Recent>,
    stopped: Mutex<bool>,
    stop: Condvar,
}

/// Counters at the last sample.
struct Before {
    webhooks: Vec<(&'static str, u64)>,
    accepted: u64,
    ack: Buckets,
    lag: Buckets,
}

impl Recorder {
    /// Starts the thread. It ends soon after [`Recorder::stop`].
    ///
    /// # Errors
    /// The system refuses a new thread.
    pub fn start(sources: RecorderSources) -> std::io::Result<Arc<Self>> {
        let outcomes = sources.metrics.published_command_webhooks().map(|(outcome, _)| outcome).collect();
        let recent = Recent::new(Instant::now(), sources.counts());
        let recorder = Arc::new(Self {
            sources,
            history: Mutex::new(History::new(outcomes)),
            recent: Mutex::new(recent),
            stopped: Mutex::new(false),
            stop: Condvar::new(),
        });
        let own = Arc::clone(&recorder);
        std::thread::Builder::new().name("ops-recorder".to_owned()).spawn(move || {
            crate::priority::give_way("ops-recorder");
            own.run();
        })?;
        Ok(recorder)
    }

    /// The last `minutes`.
    pub fn history(&self, minutes: u64) -> HistoryView {
        self.history.lock().view(minutes, clock::now_ms())
    }

    /// The webhooks of the last minutes, up to now.
    pub fn arrivals(&self) -> Arrivals {
        let counts = self.sources.counts();
        self.recent.lock().arrivals(Instant::now(), clock::now_ms(), &counts)
    }

    /// Ends the thread.
    pub fn stop(&self) {
        *self.stopped.lock() = true;
        self.stop.notify_all();
    }

    fn run(&self) {
        let mut before = self.sources.before();
        let mut next = Instant::now() + Duration::from_secs(STEP_SECONDS);
        self.history.lock().push(self.sources.sample(&before, true));
        loop {
            let mut stopped = self.stopped.lock();
            self.stop.wait_while_for(&mut stopped, |stopped| !*stopped, TICK);
            if *stopped {
                return;
            }
            drop(stopped);
            self.recent.lock().observe(Instant::now(), clock::now_ms(), self.sources.counts());
            if Instant::now() >= next {
                next += Duration::from_secs(STEP_SECONDS);
                self.history.lock().push(self.sources.sample(&before, false));
                before = self.sources.before();
            }
        }
    }
}

impl RecorderSources {
    fn counts(&self) -> Counts {
        Counts {
            webhooks: self.metrics.published_command_webhooks().collect(),
            depth: self.spool.progress().depth(),
            bytes: self.spool.usage().bytes,
        }
    }

    fn before(&self) -> Before {
        let counts = self.counts();
        Before {
            accepted: counts.accepted(),
            webhooks: counts.webhooks,
            ack: Buckets::of(&self.metrics.ack_seconds),
            lag: Buckets::of(&self.metrics.publish_lag_seconds),
        }
    }

    fn sample(&self, before: &Before, started: bool) -> HistorySample {
        let now = self.before();
        let mut refused = [0; OUTCOMES_MAX];
        for ((cell, (outcome, count)), (_, old)) in refused.iter_mut().zip(&now.webhooks).zip(&before.webhooks) {
            if is_refused(outcome) {
                *cell = narrow(count.saturating_sub(*old));
            }
        }
        let now_ms = clock::now_ms();
        let progress = self.spool.progress();
        let oldest = self.sampler.oldest_accepted_at_ms().filter(|_| progress.depth() > 0);
        let age = oldest.map_or(0, |at| u64::try_from(now_ms - at).unwrap_or(0) / 1000);
        HistorySample {
            at_seconds: narrow(u64::try_from(now_ms / 1000).unwrap_or(0)),
            accepted: narrow(now.accepted.saturating_sub(before.accepted)),
            refused,
            ack: quantiles(&now.ack, &before.ack),
            lag: quantiles(&now.lag, &before.lag),
            backlog: progress.depth(),
            oldest_age_seconds: narrow(age),
            kafka: self.kafka.get().state,
            started,
        }
    }
}

fn quantiles(now: &Buckets, before: &Buckets) -> [f32; 2] {
    #[expect(clippy::cast_possible_truncation, reason = "a chart needs no more digits")]
    [0.5, 0.99].map(|q| now.quantile(before, q).map_or(f32::NAN, |seconds| seconds as f32))
}

fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
