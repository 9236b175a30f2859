//! All calls to librdkafka.

mod client_error;
pub(super) mod context;
pub mod describe;
pub(super) mod direct_producer;
pub mod errors;
pub mod probe;
pub(super) mod producer;
pub(super) mod reconcile;
pub(super) mod slowness;
pub mod topic;
pub(super) mod verify_reason;

use std::time::{Duration, Instant};

/// The wait of one poll for a client's errors after a failed call: log lines and errors share one queue, and a poll
/// without a wait takes only the first of them.
const CLIENT_ERRORS: Duration = Duration::from_millis(5);
/// The total time for this. With `KAFKA_DEBUG`, many thousands of lines may precede the relevant error.
const CLIENT_ERRORS_MAX: Duration = Duration::from_secs(10);

/// Polls until the client reports no more lines and errors.
fn poll_client_errors(context: &context::Context, poll: impl Fn(Duration)) {
    let started = Instant::now();
    loop {
        let before = context.heard();
        poll(CLIENT_ERRORS);
        if context.heard() == before || started.elapsed() >= CLIENT_ERRORS_MAX {
            return;
        }
    }
}
