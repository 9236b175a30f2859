//! The reason of a quarantine entry.

use std::cmp::Ordering;
use std::fmt;

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};

/// Why an entry is in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuarantineReason {
    /// An authentic webhook that is not a valid recall, or exceeds a limit.
    Malformed,
    /// A webhook outside the time window. Anyone who has seen one signed request can produce these, by sending it again
    /// with any body.
    Stale,
    /// A webhook that is more than a day away.
    Expired,
    /// A webhook whose command is similar to a published one.
    NearMiss,
    /// A record that is larger than Kafka permits.
    KafkaTooLarge,
    /// A record whose timestamp Kafka rejects.
    KafkaInvalidTimestamp,
    /// A record that a policy of the broker rejects.
    KafkaPolicy,
    /// A record that Kafka rejects for another reason.
    KafkaInvalid,
    /// A row of the spool whose checksum does not match.
    Damaged,
    /// A reason that this release does not know: an entry of another release.
    Other(Box<str>),
}

use QuarantineReason as R;

impl QuarantineReason {
    const KNOWN: [(Self, &'static str); 9] = [
        (R::Malformed, "malformed"),
        (R::Stale, "stale"),
        (R::Expired, "expired"),
        (R::NearMiss, "near_miss"),
        (R::KafkaTooLarge, "kafka_too_large"),
        (R::KafkaInvalidTimestamp, "kafka_invalid_timestamp"),
        (R::KafkaPolicy, "kafka_policy"),
        (R::KafkaInvalid, "kafka_invalid"),
        (R::Damaged, "damaged"),
    ];

    /// The word in the file, in output and in filters.
    pub fn label(&self) -> &str {
        if let Self::Other(label) = self {
            return label;
        }
        Self::KNOWN.iter().find(|(reason, _)| reason == self).map_or("", |(_, label)| label)
    }
}

impl From<&str> for QuarantineReason {
    fn from(label: &str) -> Self {
        let known = Self::KNOWN.into_iter().find(|(_, known)| *known == label);
        known.map_or_else(|| Self::Other(label.into()), |(reason, _)| reason)
    }
}

impl fmt::Display for QuarantineReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

/// By label.
impl Ord for QuarantineReason {
    fn cmp(&self, other: &Self) -> Ordering {
        self.label().cmp(other.label())
    }
}

impl PartialOrd for QuarantineReason {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl serde::Serialize for QuarantineReason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.label())
    }
}

impl ToSql for QuarantineReason {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.label().as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_is_read_as_its_reason() {
        for (reason, label) in QuarantineReason::KNOWN {
            assert_eq!((QuarantineReason::from(label), reason.label()), (reason.clone(), label));
        }
        assert_eq!(QuarantineReason::from("of_tomorrow").label(), "of_tomorrow");
    }
}
