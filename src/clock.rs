//! The wall clock. Timeouts and ages within the process use the monotonic clock (`std::time::Instant`) instead.

use std::time::SystemTime;

/// Now, in UNIX milliseconds. Times before 1970 count as 0.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Now, in whole UNIX seconds.
pub fn now_seconds() -> i64 {
    now_ms() / 1000
}
