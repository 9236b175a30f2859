//! The wall clock. Timeouts and ages within the process use the monotonic clock (`std::time::Instant`) instead.

use std::time::SystemTime;

use jiff::Timestamp;

/// Now, in UNIX milliseconds. Times before 1970 count as 0.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Now, in whole UNIX seconds.
pub fn now_seconds() -> i64 {
    now_ms() / 1000
}

/// A time as people read it: ISO 8601 (RFC 3339) in UTC with milliseconds; the number itself beyond the year 9999.
pub fn iso8601(unix_ms: i64) -> String {
    match Timestamp::from_millisecond(unix_ms) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => unix_ms.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::iso8601;

    #[test]
    fn a_time_is_shown_in_iso_8601() {
        assert_eq!(iso8601(1_670_574_414_180), "2022-12-09T08:26:54.180Z");
        assert_eq!(iso8601(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso8601(i64::MAX), i64::MAX.to_string());
    }
}
