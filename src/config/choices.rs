//! Values of the variables that take one of a few words.

/// How far the promise goes on the way into Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Transactions, fenced: no record twice, whatever dies.
    ExactlyOnce,
    /// An idempotent producer without a fence, for brokers without transactions and the lowest lag.
    AtLeastOnce,
}

impl Delivery {
    /// The word of `BRIDGE_DELIVERY`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ExactlyOnce => "exactly_once",
            Self::AtLeastOnce => "at_least_once",
        }
    }
}

/// What becomes of a delivery while the spool cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpoolFailure {
    /// It is refused.
    Refuse,
    /// It is published to Kafka directly, and acknowledged when the broker has.
    Publish,
}

impl SpoolFailure {
    /// The word of `BRIDGE_SPOOL_FAILURE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Publish => "publish",
        }
    }
}

/// When a delivery is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckAfter {
    /// When it is durable in the spool.
    Spooled,
    /// When it is in Kafka; where that takes too long, when it is durable in the spool.
    Published,
}

impl AckAfter {
    /// The word of `BRIDGE_ACK_AFTER`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spooled => "spooled",
            Self::Published => "published",
        }
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

impl LogFormat {
    /// The word of `BRIDGE_LOG_FORMAT`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
        }
    }
}
