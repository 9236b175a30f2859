//! The thread that reads the disk for the page, and changes the quarantine for it. The operations worker only waits, for
//! a limited time: `/livez`, `/readyz` and `/metrics` work while the disk hangs.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::control::Changes;

/// Requests that may wait.
const QUEUE: usize = 4;
/// The longest wait for an answer of the disk.
pub(super) const DISK_TIMEOUT: Duration = Duration::from_secs(3);

type DeskJob = Box<dyn FnOnce(&mut Changes) + Send>;

/// Runs jobs on the thread `ops-desk`, one at a time.
#[derive(Debug, Clone)]
pub struct Desk {
    jobs: SyncSender<DeskJob>,
}

/// The disk did not answer in time, or is still busy with earlier requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the disk did not answer within {} s; /readyz says whether webhooks are accepted", DISK_TIMEOUT.as_secs())]
pub(super) struct DiskBusy;

impl Desk {
    /// Starts the thread. It ends when the desk is dropped.
    ///
    /// # Errors
    /// The system refuses a new thread.
    pub fn start(mut changes: Changes) -> std::io::Result<Self> {
        let (jobs, waiting) = sync_channel::<DeskJob>(QUEUE);
        std::thread::Builder::new().name("ops-desk".to_owned()).spawn(move || {
            crate::priority::give_way("ops-desk");
            while let Ok(job) = waiting.recv() {
                job(&mut changes);
            }
        })?;
        Ok(Self { jobs })
    }

    /// Runs a job. A job that has not started within the time limit never starts.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Changes) -> T + Send + 'static,
    ) -> Result<T, DiskBusy> {
        let (done, result) = oneshot::channel();
        let job: DeskJob = Box::new(move |changes| {
            if !done.is_closed() {
                let _ = done.send(work(changes));
            }
        });
        self.jobs.try_send(job).map_err(|_| DiskBusy)?;
        tokio::time::timeout(DISK_TIMEOUT, result).await.map_err(|_| DiskBusy)?.map_err(|_| DiskBusy)
    }
}
