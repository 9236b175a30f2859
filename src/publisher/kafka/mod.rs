//! All calls to librdkafka.

mod complaint;
pub(super) mod context;
pub mod describe;
pub mod errors;
pub mod probe;
pub(super) mod producer;
pub(super) mod read_back;
pub(super) mod slowness;
pub mod topic;
pub(super) mod unspooled;
pub(super) mod verify_reason;

use std::time::{Duration, Instant};

/// The wait of one poll for a client's errors after a failed call: log lines and errors share one queue, and a poll
/// without a wait takes only the first of them.
const COMPLAINTS: Duration = Duration::from_millis(5);
/// The total time for this. With `KAFKA_DEBUG`, many thousands of lines may precede the relevant error.
const COMPLAINTS_MAX: Duration = Duration::from_secs(10);

/// Polls until the client reports no more lines and errors.
fn hear_complaints(context: &context::Context, poll: impl Fn(Duration)) {
    let started = Instant::now();
    loop {
        let before = context.heard();
        poll(COMPLAINTS);
        if context.heard() == before || started.elapsed() >= COMPLAINTS_MAX {
            return;
        }
    }
}
