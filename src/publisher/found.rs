//! The sequence numbers of this spool that a reading of the topic has found.

use uuid::Uuid;

use crate::seq_set::SeqSet;
use crate::spool::{Identity, Seq};

/// Which numbers at or above the watermark are in the topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    base: Seq,
    /// From here on the spool has given out no number.
    next_seq: Seq,
    identities: Vec<Identity>,
    seqs: SeqSet,
    /// What was found under each number from `base` on.
    prints: Vec<u32>,
    /// The first number that the topic holds under this spool's name, and that this spool did not
    /// publish.
    foreign_from: Option<Seq>,
}

/// Tells the content of one record from that of another.
pub fn print(key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}

impl Found {
    /// Nothing found yet; numbers below `base` do not matter, those from `next_seq` on the spool has not
    /// given out.
    pub fn new(base: Seq, next_seq: Seq, identities: &[Identity]) -> Self {
        Self { base, seqs: SeqSet::new(base), next_seq, identities: identities.to_vec(), ..Self::default() }
    }

    /// Notes a record by its `bridge_spool`, its `bridge_seq` and its [`print()`]; tells whether it
    /// is of this spool.
    pub fn note(&mut self, spool: Uuid, bridge_seq: u64, print: u32) -> bool {
        let Some(at) = self.identities.iter().position(|identity| identity.uuid == spool) else { return false };
        let seq = (self.identities[at].first_seq - 1).saturating_add(bridge_seq);
        match self.identities.get(at + 1) {
            // An identity that was given up: what goes beyond its range was the reason.
            Some(next) if seq >= next.first_seq => return true,
            None if seq >= self.next_seq => {
                self.disown(self.next_seq);
                return true;
            }
            _ => {}
        }
        if let Some(at) = seq.checked_sub(self.base).and_then(|at| usize::try_from(at).ok()) {
            self.seqs.insert(seq);
            if self.prints.len() <= at {
                self.prints.resize(at + 1, 0);
            }
            self.prints[at] = print;
        }
        true
    }

    /// Compares a number that this spool holds with what was found under it, if anything was: a
    /// copy of the spool may have used the number first, for a recall of its own. Tells whether
    /// they agree.
    pub fn compare(&mut self, seq: Seq, print: u32) -> bool {
        let at = seq.checked_sub(self.base).and_then(|at| usize::try_from(at).ok());
        let agree = !self.contains(seq) || at.and_then(|at| self.prints.get(at)) == Some(&print);
        if !agree {
            self.disown(seq);
        }
        agree
    }

    /// Notes that what was found from this number on is not this spool's.
    pub fn disown(&mut self, from: Seq) {
        self.foreign_from = Some(self.foreign_from.map_or(from, |first| first.min(from)));
    }

    /// Whether this number was found.
    pub fn contains(&self, seq: Seq) -> bool {
        self.seqs.contains(seq)
    }

    /// The highest number found.
    pub fn highest(&self) -> Option<Seq> {
        self.seqs.highest()
    }

    /// How many of this spool's own were found.
    pub fn count(&self) -> u64 {
        match self.foreign_from {
            Some(from) => (self.base..from).filter(|seq| self.contains(*seq)).count() as u64,
            None => self.seqs.len(),
        }
    }

    /// From where on the topic holds numbers of this spool that this spool did not publish: it
    /// never gave them out, or gave them to other recalls. It is older than the topic (restored
    /// from a copy, or truncated), or a copy of it was at work.
    pub fn foreign_from(&self) -> Option<Seq> {
        self.foreign_from
    }
}
