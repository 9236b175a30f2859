//! Senders that go on until they are stopped.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::bridge::{APP, TOKEN, eventually};
use crate::sender::Sender;

/// Keeps the load far below what a busy machine can do: restarts are tested, not speed.
const PAUSE: Duration = Duration::from_millis(2);

pub struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Sent>>,
}

/// What senders were told.
#[derive(Debug, Default)]
pub struct Sent {
    /// `MsgKey`s of webhooks that were answered with OK.
    pub acknowledged: BTreeSet<String>,
    /// What else came instead of an OK.
    pub failed: Vec<String>,
    pub slowest: Duration,
}

impl Load {
    pub fn start(url: &str, senders: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let threads = (0..senders)
            .map(|number| {
                let (url, stop, acknowledged) = (url.to_owned(), Arc::clone(&stop), Arc::clone(&acknowledged));
                thread::spawn(move || send(&url, number, &stop, &acknowledged))
            })
            .collect();
        Self { stop, acknowledged, threads }
    }

    /// Waits until so many more webhooks were acknowledged.
    #[track_caller]
    pub fn until_acknowledged(&self, more: u64) {
        let enough = self.acknowledged.load(Ordering::Relaxed) + more;
        eventually("more is acknowledged", || (self.acknowledged.load(Ordering::Relaxed) >= enough).then_some(()));
    }

    pub fn stop(self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Sent::default();
        for thread in self.threads {
            let sent = thread.join().expect("a sender ends");
            all.acknowledged.extend(sent.acknowledged);
            all.failed.extend(sent.failed);
            all.slowest = all.slowest.max(sent.slowest);
        }
        all
    }
}

fn send(url: &str, number: usize, stop: &AtomicBool, acknowledged: &AtomicU64) -> Sent {
    let sender = Sender::new(url, APP, TOKEN);
    let mut sent = Sent::default();
    for count in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("{count}_{number}_1698741698");
        let began = Instant::now();
        match sender.try_recall(&format!("#TOA#_{number}"), &[&key]) {
            Ok(answer) if answer.status == 200 && answer.is_ok() => {
                sent.acknowledged.insert(key);
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Ok(answer) => sent.failed.push(format!("{} {}", answer.status, answer.text)),
            Err(error) => sent.failed.push(format!("{error:?}")),
        }
        sent.slowest = sent.slowest.max(began.elapsed());
        thread::sleep(PAUSE);
    }
    sent
}
