//! What a replay publishes again.

/// The records with a timestamp in `since_ms..until_ms`, UNIX milliseconds, of these accounts, or of all if there are none.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) since_ms: i64,
    pub(super) until_ms: i64,
    pub(super) accounts: Vec<String>,
    /// Whether records of earlier replays are included. Without them, repeated replays of a time do not grow.
    pub(super) with_repeats: bool,
}
