//! The thin side: every call to librdkafka.

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

/// For what a client complained of while a call failed: log lines and errors wait in one queue, and
/// polling without waiting takes only the first of them.
const COMPLAINTS: Duration = Duration::from_millis(5);
/// With `KAFKA_DEBUG` many thousands of lines, each to be written, may stand before the one that matters.
const COMPLAINTS_MAX: Duration = Duration::from_secs(10);

/// Polls until nothing more is said.
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
