//! What a topic has of several bridges, and the check that it has each accepted recall exactly once, in order.

use std::collections::{BTreeMap, HashSet};
use std::str::FromStr;

use hdrhistogram::Histogram;
use jiff::Timestamp;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

use super::reader::{histogram, lag_us, received_at};

struct Record {
    spool: String,
    seq: u64,
    event_id: String,
    partition: i32,
    received_at: Timestamp,
    lag_us: u64,
}

/// The records of a topic, in the order in which a consumer has read them.
#[derive(Default)]
pub(crate) struct Ledger(Vec<Record>);

impl Ledger {
    pub(crate) fn take(&mut self, message: &BorrowedMessage<'_>) {
        self.0.push(Record {
            lag_us: lag_us(message),
            spool: header(message, "bridge_spool"),
            seq: header(message, "bridge_seq"),
            event_id: header(message, "ce_id"),
            partition: message.partition(),
            received_at: received_at(message),
        });
    }

    /// Returns the lags of what the bridges received from this time on, in microseconds.
    pub(crate) fn lags(&self, from: Timestamp) -> Histogram<u64> {
        let mut lags = histogram();
        let records = self.0.iter().filter(|record| record.received_at >= from);
        records.for_each(|record| lags.saturating_record(record.lag_us));
        lags
    }

    /// Checks that the topic has the sequence numbers 1 to the given one of each spool once, in order within each
    /// partition, nothing of another spool, and no recall twice.
    pub(crate) fn assert_exactly_once(&self, accepted: &[(String, u64)]) {
        let mut seqs: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        let mut last: BTreeMap<(&str, i32), u64> = BTreeMap::new();
        let mut ids = HashSet::new();
        for record in &self.0 {
            let spool = record.spool.as_str();
            let last = last.insert((spool, record.partition), record.seq).unwrap_or(0);
            assert!(last < record.seq, "partition {}: {spool} {} follows {last}", record.partition, record.seq);
            assert!(ids.insert(&record.event_id), "recall {} is in the topic twice", record.event_id);
            seqs.entry(spool).or_default().push(record.seq);
        }
        assert_eq!(seqs.len(), accepted.len(), "bridges in the topic");
        for (spool, count) in accepted {
            let mut found = seqs.remove(spool.as_str()).unwrap_or_default();
            found.sort_unstable();
            let expected = 1..=*count;
            assert!(found.iter().copied().eq(expected), "{spool}: {} of {count} records are in the topic", found.len());
        }
    }
}

fn header<T: FromStr>(message: &BorrowedMessage<'_>, name: &str) -> T {
    let header = message.headers().and_then(|all| all.iter().find(|header| header.key == name));
    let text = header.and_then(|header| std::str::from_utf8(header.value?).ok());
    text.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("a record has no {name}"))
}
