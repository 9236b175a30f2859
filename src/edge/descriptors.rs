//! Divides the file descriptors of the process between connections and everything else.
//!
//! Each connection takes one. Without a lower limit for connections, they would take the descriptors of the disk,
//! Kafka and the operations listener.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for the spool, Kafka's brokers, the operations listener, timers and standard streams.
const RESERVED: u64 = 192;
/// Descriptors of one worker thread: its event queue and its waker.
const PER_WORKER: u64 = 4;
/// The minimum number of connections: fewer cannot serve a sender and its retries.
const LEAST_CONNECTIONS: u64 = 64;
/// The maximum number of connections, for any limit of the process: each takes memory.
const MOST_CONNECTIONS: u64 = 16_384;

/// The limit of open files is too low.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the process may open {limit} files, and needs {needed} for {workers} workers: \
     raise the limit (ulimit -n, LimitNOFILE= or the container's nofile), or lower BRIDGE_WORKERS"
)]
pub struct DescriptorLimitError {
    limit: u64,
    needed: u64,
    workers: usize,
}

/// Raises the soft limit of open files to the hard limit, and returns the connection limit.
///
/// # Errors
/// The hard limit is too low for this number of workers.
pub fn connections(workers: usize) -> Result<usize, DescriptorLimitError> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(u64::MAX).min(needed(workers) + MOST_CONNECTIONS).max(current.unwrap_or(0));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).is_ok();
    let limit = if raised { wanted } else { current.unwrap_or(u64::MAX) };
    bound(limit, workers)
}

fn needed(workers: usize) -> u64 {
    RESERVED + PER_WORKER * workers as u64
}

fn bound(limit: u64, workers: usize) -> Result<usize, DescriptorLimitError> {
    let free = limit.saturating_sub(needed(workers)).min(MOST_CONNECTIONS);
    if free < LEAST_CONNECTIONS {
        return Err(DescriptorLimitError { limit, needed: needed(workers) + LEAST_CONNECTIONS, workers });
    }
    Ok(usize::try_from(free).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_everything_else() {
        assert_eq!(bound(1024, 2), Ok(1024 - 200));
        assert_eq!(bound(1 << 20, 2), Ok(16_384));
        assert_eq!(bound(264, 2), Ok(64));
        let error = bound(263, 2).unwrap_err();
        assert_eq!((error.limit, error.needed), (263, 264));
        assert!(bound(1024, 512).is_err());
    }
}
