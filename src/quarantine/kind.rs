//! What an entry of the quarantine holds.

use crate::events;
use crate::record::Record;
use crate::spool::{QuarantineReason as R, StoredEntry};

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
    match entry.reason {
        R::Malformed | R::Stale | R::Expired | R::NearMiss => EntryKind::Delivery,
        R::KafkaTooLarge | R::KafkaInvalidTimestamp | R::KafkaPolicy | R::KafkaInvalid => EntryKind::Record,
        R::Damaged => EntryKind::Damaged,
        R::Other(_) => EntryKind::Other,
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
