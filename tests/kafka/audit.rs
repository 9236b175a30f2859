//! Compares the responses to the senders with the records in the topic.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use crate::load::{ResponseKind, SentWebhook};
use crate::topic::{Record, report};

/// Numbers of recalls by error. `acknowledged`, `published`, `unanswered` and `spools` are not errors.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    pub(crate) acknowledged: u64,
    pub(crate) published: u64,
    /// Published, although the sender's connection broke before the response.
    pub(crate) unanswered: u64,
    /// Acknowledged, but not in the topic.
    pub(crate) lost: u64,
    /// The second and each further record of a recall.
    pub(crate) duplicated: u64,
    /// Webhooks with only some of their recalls in the topic.
    pub(crate) torn: u64,
    /// In the topic after a recall of the same account that was sent later.
    pub(crate) reordered: u64,
    /// In the topic, although refused or never sent.
    pub(crate) unexpected: u64,
    /// Missing sequence numbers from 1 to the last one, of all spools.
    pub(crate) gaps: u64,
    /// Records with the sequence number of an earlier record.
    pub(crate) numbers_doubled: u64,
    /// Spool UUIDs in the records.
    pub(crate) spools: usize,
    /// Webhooks with a status other than 200.
    pub(crate) refused: u64,
    /// The missing sequence numbers, each with its spool UUID.
    pub(crate) missing: Vec<(String, u64)>,
    /// The report of `tail --verify`, and its number of errors.
    verified: String,
    verifier_faults: u64,
}

/// Compares the ledger with the topic. The ledger must list the webhooks of each account in the order of sending.
pub(crate) fn audit(ledger: &[SentWebhook], records: &[Record]) -> Audit {
    let mut audit = Audit { published: records.len() as u64, ..Audit::default() };
    let mut places: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    for (place, record) in records.iter().enumerate() {
        places.entry((&record.key, record.msg_key())).or_default().push(place);
    }
    let mut last: HashMap<&str, usize> = HashMap::new();
    for delivery in ledger {
        let mut present = 0;
        for key in &delivery.keys {
            let Some(found) = places.remove(&(delivery.account.as_str(), key.as_str())) else { continue };
            present += 1;
            audit.duplicated += found.len() as u64 - 1;
            let before = last.insert(&delivery.account, found[0]);
            audit.reordered += u64::from(before.is_some_and(|before| before > found[0]));
        }
        let (present, all) = (present, delivery.keys.len() as u64);
        match delivery.response {
            ResponseKind::Acknowledged => {
                audit.acknowledged += all;
                audit.lost += all - present;
            }
            ResponseKind::Missing => audit.unanswered += present,
            ResponseKind::Refused => {
                audit.refused += 1;
                audit.unexpected += present;
            }
        }
        audit.torn += u64::from(present > 0 && present < all);
    }
    audit.unexpected += places.values().map(|found| found.len() as u64).sum::<u64>();
    audit.number(records);
    audit
}

impl Audit {
    fn number(&mut self, records: &[Record]) {
        let mut spools: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
        for record in records {
            let fresh = spools.entry(record.spool()).or_default().insert(record.seq());
            self.numbers_doubled += u64::from(!fresh);
        }
        self.spools = spools.len();
        for (spool, seqs) in spools {
            let last = seqs.last().copied().unwrap_or(0);
            self.missing.extend((1..=last).filter(|seq| !seqs.contains(seq)).map(|seq| (spool.to_owned(), seq)));
        }
        self.gaps = self.missing.len() as u64;
        let report = report(records);
        self.verifier_faults = report.faults;
        self.verified = report.to_string();
    }

    /// Accepts this number of missing sequence numbers in one spool, for a reason that the test knows.
    pub(crate) fn forgive_gaps(&mut self, count: u64) {
        assert_eq!(self.gaps, count, "{:?}", self.missing);
        self.gaps = 0;
        self.verifier_faults -= 1;
    }

    /// Panics unless every acknowledged recall is in the topic once and in order, without an unexpected record.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        eprintln!("{self}");
        let faults = self.lost
            + self.duplicated
            + self.torn
            + self.reordered
            + self.unexpected
            + self.gaps
            + self.numbers_doubled
            + self.refused;
        assert!(faults == 0 && self.verifier_faults == 0, "not exactly once, in order:\n{self}\n{}", self.verified);
        assert!(self.acknowledged > 0, "nothing was sent");
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "acknowledged {} published {} unanswered {} | lost {} duplicated {} torn {} reordered {} unexpected {} \
             gaps {} numbers doubled {} refused {}",
            self.acknowledged,
            self.published,
            self.unanswered,
            self.lost,
            self.duplicated,
            self.torn,
            self.reordered,
            self.unexpected,
            self.gaps,
            self.numbers_doubled,
            self.refused
        )
    }
}
