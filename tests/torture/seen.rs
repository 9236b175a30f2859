//! The records of the topic, as a consumer receives them one by one.

use std::collections::BTreeMap;

use recall_bridge::seq_set::SeqSet;
use uuid::Uuid;

/// The maximum of errors that are stored with their text. The others are only counted.
const EXAMPLES: usize = 20;
/// Higher numbers are invalid: a run with that many recalls takes weeks.
const HIGHEST: u64 = 1 << 31;

/// A record of a recall that the senders can have sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sighting {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) account: usize,
    /// Its index among all recalls that were sent for the account.
    pub(crate) recall: usize,
    pub(crate) spool: Uuid,
    pub(crate) seq: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// All records, also invalid ones.
    pub(crate) records: u64,
    /// By account.
    pub(crate) accounts: Vec<Account>,
    /// The sequence numbers of each spool.
    pub(crate) spools: BTreeMap<Uuid, SeqSet>,
    /// Records of a recall that was in the topic already.
    pub(crate) duplicated: u64,
    /// Records with a sequence number that was in the topic already.
    pub(crate) numbers_doubled: u64,
    /// Records whose sequence number is below that of an earlier record of the account.
    pub(crate) numbers_reordered: u64,
    /// Records of an account in a different partition than its first record.
    pub(crate) moved: u64,
    /// Records that the senders cannot have sent.
    pub(crate) foreign: u64,
    /// A hash of all records that does not depend on their order.
    pub(crate) digest: u64,
    pub(crate) examples: Vec<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Account {
    /// By recall: 1 for the account's first new recall, 2 for the second, and so on; 0 if the recall is not in the
    /// topic.
    pub(crate) places: Vec<u32>,
    /// Number of new recalls up to now.
    count: u32,
    partition: Option<i32>,
    last: Option<(Uuid, u64)>,
}

impl Seen {
    pub(crate) fn new(accounts: usize) -> Self {
        Self { accounts: (0..accounts).map(|_| Account::default()).collect(), ..Self::default() }
    }

    /// Adds a record. The records of one partition come in the order of their offsets.
    pub(crate) fn note(&mut self, sighting: Result<Sighting, String>) {
        self.records += 1;
        let seen = match sighting {
            Ok(seen) if seen.account >= self.accounts.len() || seen.recall as u64 > HIGHEST || seen.seq > HIGHEST => {
                return self.foreign(format!("{seen:?}: neither account nor numbers are of this run"));
            }
            Ok(seen) => seen,
            Err(why) => return self.foreign(why),
        };
        self.digest = self.digest.wrapping_add(fingerprint(&seen));
        if !self.spools.entry(seen.spool).or_default().insert(seen.seq) {
            self.numbers_doubled += 1;
            self.example(format!("bridge_seq came before: {seen:?}"));
        }
        let account = &mut self.accounts[seen.account];
        if account.places.len() <= seen.recall {
            account.places.resize(seen.recall + 1, 0);
        }
        let mut faults = Vec::new();
        if account.places[seen.recall] == 0 {
            account.count += 1;
            account.places[seen.recall] = account.count;
        } else {
            self.duplicated += 1;
            faults.push("recall came before");
        }
        if *account.partition.get_or_insert(seen.partition) != seen.partition {
            self.moved += 1;
            faults.push("account was elsewhere before");
        }
        let before = account.last.replace((seen.spool, seen.seq));
        if before.is_some_and(|(spool, seq)| spool == seen.spool && seq > seen.seq) {
            self.numbers_reordered += 1;
            faults.push("a later bridge_seq of the account came before");
        }
        for fault in faults {
            self.example(format!("{fault}: {seen:?}"));
        }
    }

    fn foreign(&mut self, why: String) {
        self.foreign += 1;
        self.example(why);
    }

    pub(crate) fn example(&mut self, text: String) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(text);
        }
    }
}

/// Returns a content hash of a record.
fn fingerprint(seen: &Sighting) -> u64 {
    let parts = [seen.partition.unsigned_abs().into(), seen.offset.unsigned_abs(), seen.recall as u64, seen.seq];
    parts.into_iter().fold(seen.account as u64, |hash, part| {
        let mixed = (hash ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    })
}
