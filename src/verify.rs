//! Verifies the promise of the bridge on the consumer's side, for `tail --verify`.

mod missing;
mod node;
mod partitions;
mod spool_records;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use self::missing::Missing;
pub use self::node::{NodeProgress, NodeSpool};
use self::partitions::Accounts;
use self::spool_records::SpoolRecords;
use crate::escape::plain;
use crate::record::{BRIDGE_SEQ, BRIDGE_SPOOL, BRIDGE_UNSPOOLED};

/// The number of errors that are reported with their text; further ones are only counted.
const FAULTS_SHOWN: usize = 20;

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
    /// The node to compare with, and whether the reading includes the first record that each partition ever had.
    node: Option<(NodeProgress, bool)>,
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
    /// The progress of the node that was compared.
    node: Vec<NodeSpool>,
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

    /// Notes a record before the first or after the last one to verify: its number is not missing, and nothing else is
    /// checked.
    pub fn note_outside(&mut self, record: &Value) {
        let header = |name: &str| record["headers"][name].as_str();
        let seq = header(BRIDGE_SEQ).and_then(|text| text.parse().ok());
        if let (Some(uuid), Some(seq)) = (header(BRIDGE_SPOOL), seq) {
            self.spool(uuid).seqs.insert(seq);
        }
    }

    /// Compares the records with the progress of a node, when all of them are noted. `complete`: the reading includes
    /// the first record that each partition ever had.
    pub fn compare_with(&mut self, node: NodeProgress, complete: bool) {
        self.node = Some((node, complete));
    }

    fn spool(&mut self, uuid: &str) -> &mut SpoolRecords {
        let ordinal = self.spools.len();
        self.spools.entry(uuid.to_owned()).or_insert_with(|| SpoolRecords { ordinal, ..SpoolRecords::default() })
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
        let spool = self.spool(uuid);
        let ordinal = spool.ordinal;
        spool.range = Some(spool.range.map_or((seq, seq), |(first, last)| (first.min(seq), last.max(seq))));
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
        let (node, complete) = self.node.take().unwrap_or_default();
        for (uuid, spool) in &spools {
            let Some((first, last)) = spool.range else { continue };
            duplicates += spool.duplicates;
            // The node knows more: which numbers wait, and how many are in quarantine.
            let is_of_node = node.spools.iter().any(|of_node| of_node.bridge_spool == *uuid);
            let missing = if is_of_node { Missing::default() } else { Missing::find(&spool.seqs, first, last) };
            if missing.count > 0 {
                self.fault(&format!(
                    "spool {uuid}: {} number(s) missing: {}; on its node, `recall-bridge quarantine list` lists those \
                     that Kafka rejected, and its log those that were requeued under another number",
                    missing.count, missing.named
                ));
            }
            gaps = u64::saturating_add(gaps, missing.count);
            let missing = if is_of_node { String::new() } else { format!("{} missing, ", missing.count) };
            lines.push(format!("spool {}: {first} to {last}, {missing}{} duplicated", plain(uuid), spool.duplicates));
        }
        let mut quarantined = node.quarantined;
        for of_node in &node.spools {
            let found = spools.get(&of_node.bridge_spool);
            let compared = node::compare(of_node, found, complete, &mut quarantined, node.has_corrupted_rows);
            lines.push(compared.line);
            gaps = gaps.saturating_add(compared.missing);
            if let Some(fault) = compared.fault {
                self.fault(&fault);
            }
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
            node: node.spools,
            shown: self.shown,
        }
    }
}

impl SequenceReport {
    /// Whether there are no errors.
    pub fn is_clean(&self) -> bool {
        self.faults == 0
    }

    /// Whether there are records, and no errors.
    pub fn is_verified(&self) -> bool {
        self.is_clean() && self.records > 0
    }
}

impl fmt::Display for SequenceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.spools.iter().chain(&self.shown) {
            writeln!(f, "{line}")?;
        }
        let verdict = match (self.is_clean(), self.records) {
            (false, _) => "NOT as promised",
            (true, 0) => "nothing to verify",
            (true, _) => "verified",
        };
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
