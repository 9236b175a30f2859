//! The sequence numbers of this spool that a reading of the topic has found.

use uuid::Uuid;

use crate::seq_set::SeqSet;
use crate::spool::{Identity, Seq};

/// Which numbers at or above the watermark are in the topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    base: Seq,
    /// At or above this, a number was not given out by this spool.
    given_out: Seq,
    identities: Vec<Identity>,
    seqs: SeqSet,
    /// Records of this spool that it cannot have published.
    foreign: u64,
}

impl Found {
    /// Nothing found yet; numbers below `base` do not matter, those from `given_out` on cannot be.
    pub fn new(base: Seq, given_out: Seq, identities: &[Identity]) -> Self {
        Self { base, seqs: SeqSet::new(base), given_out, identities: identities.to_vec(), ..Self::default() }
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
            self.seqs.insert(seq);
        }
        true
    }

    /// Whether this number was found.
    pub fn contains(&self, seq: Seq) -> bool {
        self.seqs.contains(seq)
    }

    /// The highest number found.
    pub fn highest(&self) -> Option<Seq> {
        self.seqs.highest()
    }

    /// How many were found.
    pub fn count(&self) -> u64 {
        self.seqs.len()
    }

    /// Whether the topic holds numbers that this spool never gave out: the spool is older than
    /// the topic (restored from a copy, or truncated).
    pub fn is_foreign(&self) -> bool {
        self.foreign > 0
    }
}
