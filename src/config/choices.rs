//! The types of variables with a fixed set of words.

/// The delivery guarantee of records in Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Transactions with fencing: no record is duplicated, whichever process crashes.
    ExactlyOnce,
    /// An idempotent producer without fencing, for brokers without transactions and for the lowest lag.
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

/// How webhooks are handled while the spool cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpoolFailure {
    /// The bridge refuses them.
    Refuse,
    /// The bridge publishes their recalls to Kafka directly, and acknowledges them after the broker did.
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

/// When a webhook is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckAfter {
    /// When its recalls are durable in the spool.
    Spooled,
    /// When its recalls are in Kafka. If that takes too long: when they are durable in the spool.
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

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Text for people.
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
