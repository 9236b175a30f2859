//! The sequence numbers of this spool that a reading of the topic has found.

use uuid::Uuid;

use crate::spool::{Identity, Seq};

/// Which numbers at or above the watermark are in the topic. One bit each, so that a backlog of
/// ten million events takes 1.25 MB.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    base: Seq,
    /// At or above this, a number was not given out by this spool.
    given_out: Seq,
    identities: Vec<Identity>,
    bits: Vec<u64>,
    highest: Option<Seq>,
    /// Records of this spool that it cannot have published.
    foreign: u64,
}

impl Found {
    /// Nothing found yet; numbers below `base` do not matter, those from `given_out` on cannot be.
    pub fn new(base: Seq, given_out: Seq, identities: &[Identity]) -> Self {
        Self { base, given_out, identities: identities.to_vec(), ..Self::default() }
    }

    /// Notes a record by its `bridge_spool` and `bridge_seq`; tells whether it is of this spool.
    pub fn note(&mut self, spool: Uuid, bridge_seq: u64) -> bool {
        let Some(at) = self.identities.iter().position(|identity| identity.uuid == spool) else { return false };
        let seq = (self.identities[at].first_seq - 1).saturating_add(bridge_seq);
        match self.identities.get(at + 1) {
            // An identity that was given up: what goes beyond its range was the reason.
            Some(next) if seq >= next.first_seq => return true,
            None if seq >= self.given_out => {
                self.foreign += 1;
                return true;
            }
            _ => {}
        }
        if seq >= self.base {
            self.set(seq);
        }
        true
    }

    fn set(&mut self, seq: Seq) {
        let bit = seq - self.base;
        let word = usize::try_from(bit / 64).unwrap_or(usize::MAX);
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        self.bits[word] |= 1 << (bit % 64);
        self.highest = self.highest.max(Some(seq));
    }

    /// Whether this number was found.
    pub fn contains(&self, seq: Seq) -> bool {
        let Some(bit) = seq.checked_sub(self.base) else { return false };
        let word = usize::try_from(bit / 64).ok().and_then(|word| self.bits.get(word));
        word.is_some_and(|word| word & (1 << (bit % 64)) != 0)
    }

    /// The highest number found.
    pub fn highest(&self) -> Option<Seq> {
        self.highest
    }

    /// How many were found.
    pub fn count(&self) -> u64 {
        self.bits.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Whether the topic holds numbers that this spool never gave out: the spool is older than
    /// the topic (restored from a copy, or truncated).
    pub fn is_foreign(&self) -> bool {
        self.foreign > 0
    }
}
