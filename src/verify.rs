//! Verifies the promise of the bridge on the consumer's side, for `tail --verify`.

mod partitions;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use self::partitions::Accounts;
use crate::escape::plain;
use crate::record::{BRIDGE_SEQ, BRIDGE_SPOOL, BRIDGE_UNSPOOLED};
use crate::seq_set::SeqSet;

/// The number of errors that are reported with their text; further ones are only counted.
const FAULTS_SHOWN: usize = 20;
/// The number of ranges of missing numbers that are named for each spool.
const RANGES_SHOWN: usize = 10;

/// Checks records in the order of each partition. A record is an object with `partition`, `offset`, `key`, `headers`
/// and `value`.
#[derive(Debug, Default)]
pub struct Verifier {
    records: u64,
    unspooled: u64,
    spools: BTreeMap<String, SpoolRecords>,
    accounts: Accounts,
    faults: u64,
    shown: Vec<String>,
}

#[derive(Debug, Default)]
struct SpoolRecords {
    /// The index of the spool in the order of its first record.
    ordinal: usize,
    seqs: SeqSet,
    duplicates: u64,
}

/// The result of the verification.
#[derive(Debug, Serialize)]
pub struct SequenceReport {
    /// The number of records.
    pub records: u64,
    /// Duplicated sequence numbers.
    pub duplicates: u64,
    /// Sequence numbers missing between the first and the last one of a spool.
    pub gaps: u64,
    /// Directly published records, which have no sequence number.
    pub unspooled: u64,
    /// Errors of all kinds.
    pub faults: u64,
    spools: Vec<String>,
    /// The first errors, as text.
    shown: Vec<String>,
}

impl Verifier {
    /// Sets the number of partitions of the topic. Without it, the records determine the number.
    pub fn partitions(&mut self, count: usize) {
        self.accounts.partitions(count);
    }

    /// Checks one record.
    pub fn note(&mut self, record: &Value) {
        self.records += 1;
        if let Err(fault) = self.check(record) {
            let place = format!("{}@{}", record["partition"], record["offset"]);
            self.fault(&format!("{place}: {fault}"));
        }
    }

    /// Counts an error. Its text may contain an account or a header.
    fn fault(&mut self, text: &str) {
        self.faults += 1;
        if self.shown.len() < FAULTS_SHOWN {
            self.shown.push(plain(text).into_owned());
        }
    }

    fn check(&mut self, record: &Value) -> Result<(), String> {
        // An invalid record exists all the same, so its number is not missing.
        let numbered = self.number(record);
        crate::events::check(record)?;
        numbered
    }

    fn number(&mut self, record: &Value) -> Result<(), String> {
        let account = record["key"].as_str().unwrap_or_default();
        let header = |name: &str| record["headers"][name].as_str();
        if header(BRIDGE_UNSPOOLED).is_some() {
            self.unspooled += 1;
            return match header(BRIDGE_SPOOL).or(header(BRIDGE_SEQ)) {
                Some(_) => Err("bridge_unspooled beside bridge_spool or bridge_seq".to_owned()),
                None => Ok(()),
            };
        }
        let uuid = header(BRIDGE_SPOOL).ok_or("no bridge_spool")?;
        let seq: u64 = header(BRIDGE_SEQ).and_then(|text| text.parse().ok()).ok_or("no bridge_seq")?;
        let partition = record["partition"].as_i64().and_then(|partition| u32::try_from(partition).ok());
        let ordinal = self.spools.len();
        let spool =
            self.spools.entry(uuid.to_owned()).or_insert_with(|| SpoolRecords { ordinal, ..SpoolRecords::default() });
        let ordinal = spool.ordinal;
        if !spool.seqs.insert(seq) {
            spool.duplicates += 1;
            return Err(format!("bridge_seq {seq} is a duplicate"));
        }
        self.accounts.note(account, ordinal, partition.ok_or("no partition")?, seq)
    }

    /// Returns the result, including the missing numbers.
    pub fn finish(mut self) -> SequenceReport {
        let spools = std::mem::take(&mut self.spools);
        for fault in std::mem::take(&mut self.accounts).faults() {
            self.fault(&fault);
        }
        let (mut gaps, mut duplicates, mut lines) = (0, 0, Vec::new());
        for (uuid, spool) in spools {
            let (Some(first), Some(last)) = (spool.seqs.lowest(), spool.seqs.highest()) else { continue };
            // The set has at least one number. This order of operations cannot overflow.
            let missing = (last - first) - (spool.seqs.len() - 1);
            if missing > 0 {
                let named = missing_ranges(&spool.seqs, first, last);
                self.fault(&format!(
                    "spool {uuid}: {missing} number(s) missing: {named}; on its node, `recall-bridge quarantine list` \
                     lists those that Kafka rejected, and its log those that were requeued under another number"
                ));
            }
            gaps = u64::saturating_add(gaps, missing);
            duplicates += spool.duplicates;
            lines.push(format!(
                "spool {}: {first} to {last}, {missing} missing, {} duplicated",
                plain(&uuid),
                spool.duplicates
            ));
        }
        if self.unspooled > 0 {
            lines.push(format!("published directly: {}, without sequence numbers", self.unspooled));
        }
        SequenceReport {
            records: self.records,
            duplicates,
            gaps,
            unspooled: self.unspooled,
            faults: self.faults,
            spools: lines,
            shown: self.shown,
        }
    }
}

/// Returns the missing numbers as `3, 7-9`; at most the first [`RANGES_SHOWN`] ranges.
fn missing_ranges(seqs: &SeqSet, first: u64, last: u64) -> String {
    let mut named: Vec<String> = Vec::new();
    let mut seq = first;
    while let Some(from) = seqs.next_missing(seq).filter(|from| *from < last) {
        let end = seqs.next_present(from).unwrap_or(last);
        if named.len() == RANGES_SHOWN {
            named.push("…".to_owned());
            break;
        }
        named.push(if end - from == 1 { from.to_string() } else { format!("{from}-{}", end - 1) });
        seq = end;
    }
    named.join(", ")
}

impl SequenceReport {
    /// Whether there are no errors.
    pub fn is_clean(&self) -> bool {
        self.faults == 0
    }
}

impl fmt::Display for SequenceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.spools.iter().chain(&self.shown) {
            writeln!(f, "{line}")?;
        }
        let verdict = if self.is_clean() { "verified" } else { "NOT as promised" };
        write!(f, "{} records, {} errors: {verdict}", self.records, self.faults)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::events::recall::{EVENT_TYPE, event_id};
    use serde_json::json;

    pub(crate) fn record(seq: u64, account: &str, partition: i32) -> Value {
        let id = event_id(1, account, "k").to_string();
        json!({
            "partition": partition, "offset": seq, "key": account,
            "headers": {
                "ce_specversion": "1.0", "ce_id": id, "ce_source": "/tencent-chat/apps/1", "ce_type": EVENT_TYPE,
                "ce_subject": "k", "content-type": "application/json",
                "bridge_spool": "s", "bridge_seq": seq.to_string(),
            },
            "value": {
                "schema_version": 1, "event_id": id, "sdk_app_id": 1, "official_account": account, "msg_key": "k",
                "message_sent_at": null, "recalled_at": null, "received_at": "2022-12-09T08:26:54.180Z",
                "opt_platform": null, "client_ip": null,
            },
        })
    }

    fn report(records: &[Value]) -> SequenceReport {
        let mut verifier = Verifier::default();
        for record in records {
            verifier.note(record);
        }
        verifier.finish()
    }

    #[test]
    fn a_complete_sequence_over_several_partitions_has_no_error() {
        let report = report(&[record(2, "b", 1), record(1, "a", 0), record(3, "a", 0), record(4, "b", 1)]);
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.records, 4);
    }

    #[test]
    fn a_directly_published_record_needs_no_number() {
        let mut unspooled = record(2, "a", 0);
        let headers = unspooled["headers"].as_object_mut().unwrap();
        headers.remove("bridge_seq");
        let without_a_number = unspooled.clone();
        let headers = unspooled["headers"].as_object_mut().unwrap();
        headers.remove("bridge_spool");
        headers.insert("bridge_unspooled".to_owned(), json!("1"));
        let report = report(&[record(1, "a", 0), unspooled.clone(), unspooled.clone(), record(2, "a", 0)]);
        assert!(report.is_clean(), "{report}");
        assert_eq!((report.records, report.unspooled, report.gaps), (4, 2, 0));
        assert!(report.to_string().contains("published directly: 2"), "{report}");
        unspooled["headers"]["bridge_spool"] = json!("s");
        for bad in [without_a_number, unspooled] {
            assert_eq!(self::report(&[bad]).faults, 1);
        }
    }

    #[test]
    fn each_kind_of_error_is_found() {
        assert_eq!(report(&[record(1, "a", 0), record(3, "a", 0)]).gaps, 1);
        assert_eq!(report(&[record(1, "a", 0), record(1, "a", 0)]).duplicates, 1);
        let report = report(&[record(2, "a", 0), record(1, "a", 0)]);
        assert_eq!(report.faults, 1, "{report}");
    }

    #[test]
    fn a_gap_of_any_size_is_named() {
        for last in [1_000_000_000_000, u64::MAX] {
            let report = report(&[record(1, "a", 0), record(last, "a", 0)]);
            assert_eq!((report.gaps, report.faults), (last - 2, 1), "{report}");
            assert!(report.to_string().contains(&format!(": 2-{};", last - 1)), "{report}");
        }
    }

    #[test]
    fn the_report_contains_no_control_characters() {
        let mut record = record(1, "a\u{1b}[2J\n\u{202e}", 0);
        record["headers"]["bridge_spool"] = json!("s\u{9b}\n");
        record["value"]["event_id"] = json!("x");
        let again = record.clone();
        let text = report(&[record, again]).to_string();
        assert!(text.lines().all(|line| !line.chars().any(crate::escape::is_unsafe)), "{text:?}");
        assert_eq!(text.lines().count(), 4, "{text:?}");
    }

    #[test]
    fn missing_numbers_are_named_with_a_hint() {
        let report = report(&[1, 2, 5, 7].map(|seq| record(seq, "a", 0)));
        assert_eq!((report.gaps, report.faults), (3, 1));
        let text = report.to_string();
        assert!(text.contains("3 number(s) missing: 3-4, 6;") && text.contains("quarantine list"), "{text}");
        let sparse: Vec<Value> = (0..50).map(|nth| record(nth * 2 + 1, "a", 0)).collect();
        let text = self::report(&sparse).to_string();
        assert!(text.contains("49 number(s) missing: 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, …;"), "{text}");
    }

    #[test]
    fn an_invalid_record_is_one_error_and_no_gap() {
        let mut wrong = record(2, "a", 0);
        wrong["value"] = json!("text");
        let report = report(&[record(1, "a", 0), wrong, record(3, "a", 0)]);
        assert_eq!((report.faults, report.gaps), (1, 0), "{report}");
    }
}
