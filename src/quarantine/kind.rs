//! What an entry of the quarantine holds.

use crate::events;
use crate::record::Record;
use crate::spool::{EXPIRED, MALFORMED, NEAR_MISS, STALE, StoredEntry};

/// The reason of a corrupted row.
pub const DAMAGED: &str = "damaged";
/// The prefix of the reasons of poison records.
const REFUSED: &str = "kafka_";

/// The content of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A webhook: query and body.
    Delivery,
    /// An encoded poison record.
    Record,
    /// The bytes of a corrupted row.
    Damaged,
    /// Content of another release.
    Other,
}

/// The content of an entry, by its reason.
pub fn kind(entry: &StoredEntry) -> EntryKind {
    match entry.reason.as_str() {
        MALFORMED | STALE | EXPIRED | NEAR_MISS => EntryKind::Delivery,
        DAMAGED => EntryKind::Damaged,
        reason if reason.starts_with(REFUSED) => EntryKind::Record,
        _ => EntryKind::Other,
    }
}

/// The account of an entry, if it can be read.
pub fn account(entry: &StoredEntry) -> Option<String> {
    match kind(entry) {
        EntryKind::Delivery => events::account(&entry.body).map(std::borrow::Cow::into_owned),
        EntryKind::Record => String::from_utf8(Record::decode(&entry.body).ok()?.key.to_vec()).ok(),
        EntryKind::Damaged | EntryKind::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::Outcome;
    use crate::publisher::kafka::errors::refusal_reason;
    use rdkafka::types::RDKafkaErrorCode as E;

    #[test]
    fn the_reasons_are_those_under_which_entries_are_kept() {
        assert_eq!((MALFORMED, STALE), (Outcome::Malformed.label(), Outcome::Stale.label()));
        assert_eq!(EXPIRED, Outcome::Expired.label());
        for code in [E::MessageSizeTooLarge, E::InvalidTimestamp, E::PolicyViolation, E::InvalidRecord] {
            assert!(refusal_reason(code).starts_with(REFUSED), "{code}");
        }
    }
}
