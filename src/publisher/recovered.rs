//! The recovered set: the sequence numbers of this spool that a reconciliation found in the topic.

use uuid::Uuid;

use crate::seq_set::SeqSet;
use crate::spool::{Identity, Seq};

/// The sequence numbers in the topic that are not below the published sequence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveredSet {
    base: Seq,
    /// The spool has not assigned this number and the numbers above it.
    next_seq: Seq,
    identities: Vec<Identity>,
    seqs: SeqSet,
    /// The content hash of the record of each number from `base` on.
    hashes: Vec<u32>,
    /// The first number that the topic holds under this spool's UUID and that this spool did not publish.
    foreign_from: Option<Seq>,
}

/// Returns the content hash of a record: CRC-32 over key and value.
pub fn content_hash(key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}

impl RecoveredSet {
    /// Returns an empty set. Numbers below `base` are ignored; the spool has not assigned `next_seq` yet.
    pub fn new(base: Seq, next_seq: Seq, identities: &[Identity]) -> Self {
        Self { base, seqs: SeqSet::new(base), next_seq, identities: identities.to_vec(), ..Self::default() }
    }

    /// Adds a record by its `bridge_spool`, its `bridge_seq` and its [`content_hash()`]. Returns whether it belongs to this
    /// spool.
    pub fn note(&mut self, spool: Uuid, bridge_seq: u64, hash: u32) -> bool {
        let Some(at) = self.identities.iter().position(|identity| identity.uuid == spool) else { return false };
        let seq = (self.identities[at].first_seq - 1).saturating_add(bridge_seq);
        match self.identities.get(at + 1) {
            // A replaced identity: numbers beyond its range were the reason to replace it.
            Some(next) if seq >= next.first_seq => return true,
            None if seq >= self.next_seq => {
                self.disown(self.next_seq);
                return true;
            }
            _ => {}
        }
        if let Some(at) = seq.checked_sub(self.base).and_then(|at| usize::try_from(at).ok()) {
            self.seqs.insert(seq);
            if self.hashes.len() <= at {
                self.hashes.resize(at + 1, 0);
            }
            self.hashes[at] = hash;
        }
        true
    }

    /// Compares an event of this spool with the recovered record of the same number, if there is one. A copy of the
    /// spool may have used the number for another recall. Returns whether both agree.
    pub fn compare(&mut self, seq: Seq, hash: u32) -> bool {
        let at = seq.checked_sub(self.base).and_then(|at| usize::try_from(at).ok());
        let agree = !self.contains(seq) || at.and_then(|at| self.hashes.get(at)) == Some(&hash);
        if !agree {
            self.disown(seq);
        }
        agree
    }

    /// Marks the recovered records from this number on as those of another spool.
    pub fn disown(&mut self, from: Seq) {
        self.foreign_from = Some(self.foreign_from.map_or(from, |first| first.min(from)));
    }

    /// Whether the set has this number.
    pub fn contains(&self, seq: Seq) -> bool {
        self.seqs.contains(seq)
    }

    /// The highest number of the set.
    pub fn highest(&self) -> Option<Seq> {
        self.seqs.highest()
    }

    /// The number of recovered records that this spool published itself.
    pub fn count(&self) -> u64 {
        match self.foreign_from {
            Some(from) => (self.base..from).filter(|seq| self.contains(*seq)).count() as u64,
            None => self.seqs.len(),
        }
    }

    /// The first number with this spool's UUID that this spool did not publish: it never assigned the number, or
    /// assigned it to another recall. Then the spool is older than the topic (restored from a copy, or truncated),
    /// or a copy of it has published.
    pub fn foreign_from(&self) -> Option<Seq> {
        self.foreign_from
    }
}
