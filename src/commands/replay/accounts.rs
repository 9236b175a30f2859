//! Counts accounts in limited memory.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};

/// More accounts are not counted: 16 MB.
const ACCOUNTS_MAX: usize = 1_000_000;

/// The accounts of the records so far, by a hash of 64 bits.
#[derive(Debug, Default)]
pub(super) struct AccountCounter {
    hasher: RandomState,
    hashes: HashSet<u64>,
    is_full: bool,
}

impl AccountCounter {
    pub(super) fn note(&mut self, account: &[u8]) {
        let hash = self.hasher.hash_one(account);
        if self.hashes.len() < ACCOUNTS_MAX {
            self.hashes.insert(hash);
        } else if !self.hashes.contains(&hash) {
            self.is_full = true;
        }
    }

    /// The number of accounts; a lower bound above a million.
    pub(super) fn count(&self) -> usize {
        self.hashes.len()
    }
}

impl fmt::Display for AccountCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.is_full { "more than " } else { "" };
        let noun = if self.count() == 1 { "account" } else { "accounts" };
        write!(f, "{more}{} {noun}", self.count())
    }
}
