//! Checks the partition and the order of each account.
//!
//! The partition is `murmur2(account) % n`, and the number of partitions `n` only grows. So an account may move, and
//! even return (from 2 to 5 to 6 partitions), but in the order of its sequence numbers every move must be explained by
//! growth. Records of different partitions may arrive in any order.

use std::collections::BTreeMap;

/// The search for the number of partitions ends here. No topic has as many.
const MOST_PARTITIONS: u32 = 200_000;

/// All accounts.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    /// The number of partitions of the topic; at least those with records.
    count: u32,
    accounts: BTreeMap<String, Vec<Placement>>,
}

/// The sequence numbers of one spool for one account on one partition.
#[derive(Debug)]
struct Placement {
    /// The index of the spool.
    spool: usize,
    partition: u32,
    first: u64,
    last: u64,
}

impl Accounts {
    /// Sets the number of partitions of the topic.
    pub(super) fn partitions(&mut self, count: usize) {
        self.count = self.count.max(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Adds a record. On one partition, the numbers of a spool for an account must rise.
    pub(super) fn note(&mut self, account: &str, spool: usize, partition: u32, seq: u64) -> Result<(), String> {
        self.count = self.count.max(partition.saturating_add(1));
        let placements = match self.accounts.get_mut(account) {
            Some(placements) => placements,
            None => self.accounts.entry(account.to_owned()).or_default(),
        };
        let Some(placement) =
            placements.iter_mut().find(|placement| placement.partition == partition && placement.spool == spool)
        else {
            placements.push(Placement { spool, partition, first: seq, last: seq });
            return Ok(());
        };
        let last = placement.last;
        placement.last = last.max(seq);
        placement.first = placement.first.min(seq);
        if last > seq { Err(format!("bridge_seq {seq} of {account} comes after {last}")) } else { Ok(()) }
    }

    /// Returns the errors of accounts on several partitions.
    pub(super) fn faults(self) -> impl Iterator<Item = String> {
        let count = self.count;
        self.accounts.into_iter().filter_map(move |(account, placements)| {
            let first = placements.first()?.partition;
            if placements.iter().all(|placement| placement.partition == first) {
                return None;
            }
            fault(&account, placements, count)
        })
    }
}

fn fault(account: &str, mut placements: Vec<Placement>, count: u32) -> Option<String> {
    let hash = murmur2(account.as_bytes()) & 0x7fff_ffff;
    let most = count.min(MOST_PARTITIONS);
    let grown = |partition: u32, from: u32| (from..=most).find(|n| hash % n == partition);
    if let Some(placement) = placements.iter().find(|placement| grown(placement.partition, 1).is_none()) {
        let Placement { partition, first, .. } = placement;
        return Some(format!(
            "{account} is also on partition {partition} (bridge_seq {first}), which is wrong for its key with any \
             number of partitions up to {count}"
        ));
    }
    placements.sort_by_key(|placement| placement.spool);
    placements.chunk_by(|a, b| a.spool == b.spool).find_map(|of_spool| {
        // The known path of the account: its first and its last number on each partition.
        let mut way: Vec<(u64, u32)> = of_spool
            .iter()
            .flat_map(|placement| [(placement.first, placement.partition), (placement.last, placement.partition)])
            .collect();
        way.sort_unstable();
        let mut partitions = 1;
        way.into_iter().find_map(|(seq, partition)| match grown(partition, partitions) {
            Some(grown) => {
                partitions = grown;
                None
            }
            None => Some(format!(
                "{account} is on partition {partition} with bridge_seq {seq} and was on another one before, which no \
                 growth of the number of partitions up to {count} explains"
            )),
        })
    })
}

/// The hash of Kafka's default partitioner for Java (`Utils.murmur2`), which the bridge uses too.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut chunks = bytes.chunks_exact(4);
    for chunk in &mut chunks {
        let mut word = chunk.iter().rev().fold(0, |word: u32, byte| word << 8 | u32::from(*byte)).wrapping_mul(M);
        word ^= word >> 24;
        hash = hash.wrapping_mul(M) ^ word.wrapping_mul(M);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0, |word: u32, byte| word << 8 | u32::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(count: usize, records: &[(&str, usize, u32, u64)]) -> Vec<String> {
        let mut accounts = Accounts::default();
        accounts.partitions(count);
        for (account, spool, partition, seq) in records {
            accounts.note(account, *spool, *partition, *seq).unwrap();
        }
        accounts.faults().collect()
    }

    #[test]
    fn the_hash_equals_kafkas_java_hash() {
        // From Kafka's own tests (UtilsTest.testMurmur2).
        for (text, hash) in [("21", -973_932_308), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536)]
        {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), hash, "{text}");
        }
        assert_eq!(murmur2(b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8").cast_signed(), -58_897_971);
    }

    #[test]
    fn an_account_may_move_only_when_partitions_are_added() {
        let hash = murmur2(b"#TOA#_1") & 0x7fff_ffff;
        let (before, after) = (hash % 4, hash % 7);
        assert_ne!(before, after);
        let account = "#TOA#_1";
        let moved = [(account, 0, before, 1), (account, 0, before, 5), (account, 0, after, 6)];
        assert_eq!(faults(7, &moved), Vec::<String>::new());
        // Read in the other order.
        let moved = [(account, 0, after, 6), (account, 0, before, 1), (account, 0, before, 5)];
        assert_eq!(faults(7, &moved), Vec::<String>::new());
        // From 4 to 7 partitions it moves once, and does not come back.
        let mixed = [(account, 0, before, 1), (account, 0, after, 3), (account, 0, before, 5)];
        assert_eq!(faults(7, &mixed).len(), 1);
        let stranger = (0..7).find(|partition| (1..=7).all(|n| hash % n != *partition)).unwrap();
        assert_eq!(faults(7, &[(account, 0, before, 1), (account, 1, stranger, 1)]).len(), 1);
    }
}
