//! Makes a quarantine entry of a corrupted row.

use std::fmt::Write as _;

use uuid::Uuid;

use crate::clock;
use crate::spool::{CorruptedRow, QuarantineEntry, QuarantineReason, Seq};

/// Returns the entry for a row whose events from `from` on were not published, except `found` of them.
/// `name` returns `bridge_spool` and `bridge_seq` of an event.
pub(super) fn entry(damage: CorruptedRow, from: Seq, found: u64, name: impl Fn(Seq) -> (Uuid, u64)) -> QuarantineEntry {
    let ((first_spool, first), (last_spool, last)) = (name(from), name(damage.until - 1));
    let of_another = if first_spool == last_spool { String::new() } else { format!(" of spool {last_spool}") };
    let mut detail = format!(
        "bridge_seq {first} to {last}{of_another} ({} records) were not published: in the row {}. The body is the row \
         as it was read: events in sequence, each behind its length (u32, little-endian)",
        damage.until - from,
        damage.reason,
    );
    if damage.first_seq < from {
        let _ = write!(detail, ". The {} records before them in the row are in Kafka", from - damage.first_seq);
    }
    if found > 0 {
        let _ = write!(detail, ". {found} of them are in Kafka after all");
    }
    QuarantineEntry {
        at_ms: clock::now_ms(),
        reason: QuarantineReason::Damaged,
        detail,
        query: String::new(),
        body: damage.bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Uuid = Uuid::from_u128(1);
    const NEW: Uuid = Uuid::from_u128(2);

    fn detail(from: Seq, found: u64, new_from: Seq) -> String {
        let damage = CorruptedRow {
            file: "spool.db".into(),
            first_seq: 5,
            until: 10,
            reason: "the checksum does not match",
            bytes: b"row".to_vec(),
        };
        let name = |seq| if seq < new_from { (OLD, seq) } else { (NEW, seq - new_from + 1) };
        let entry = entry(damage, from, found, name);
        assert_eq!((entry.reason, entry.body.as_slice()), (QuarantineReason::Damaged, b"row".as_slice()));
        entry.detail
    }

    #[test]
    fn the_entry_names_the_missing_numbers() {
        let whole = detail(5, 0, 100);
        assert!(whole.starts_with("bridge_seq 5 to 9 (5 records) were not published: "), "{whole}");
        assert!(!whole.contains("in Kafka"), "{whole}");
        let rest = detail(7, 1, 100);
        assert!(rest.starts_with("bridge_seq 7 to 9 (3 records)"), "{rest}");
        assert!(rest.contains("The 2 records before them in the row are in Kafka. 1 of them"), "{rest}");
    }

    #[test]
    fn the_entry_distinguishes_numbers_of_two_spool_uuids() {
        let both = detail(5, 0, 8);
        assert!(both.starts_with(&format!("bridge_seq 5 to 2 of spool {NEW} (5 records)")), "{both}");
    }
}
