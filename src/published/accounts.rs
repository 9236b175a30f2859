//! The accounts with the most published records, in a fixed amount of memory.
//!
//! The algorithm is *space-saving* (Metwally, Agrawal, El Abbadi 2005): a new account replaces the one with the lowest
//! count and takes its count over as an error. An account with more than 1/[`TRACKED`] of all records is always
//! listed, for any names that a peer sends.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Serialize;

use super::text::{SHOWN_MAX_BYTES, shown};

/// The number of accounts in memory.
const TRACKED: usize = 200;

/// An account and its records since the start of the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountVolume {
    /// The account; a longer one than 1024 bytes is cut.
    pub account: String,
    /// Its records, at most.
    pub records: u64,
    /// `records` is too high by at most this number.
    pub error: u64,
}

#[derive(Debug, Default)]
pub(super) struct BusyAccounts {
    slots: Vec<AccountVolume>,
    places: HashMap<String, usize>,
}

impl BusyAccounts {
    pub(super) fn count(&mut self, account: &[u8]) {
        // Nearly every account has a slot and needs no copy.
        let text = std::str::from_utf8(account).ok().filter(|text| text.len() <= SHOWN_MAX_BYTES);
        let account = text.map_or_else(|| Cow::Owned(shown(account)), Cow::Borrowed);
        if let Some(slot) = self.places.get(account.as_ref()).and_then(|place| self.slots.get_mut(*place)) {
            slot.records += 1;
            return;
        }
        let account = account.into_owned();
        if self.slots.len() < TRACKED {
            self.places.insert(account.clone(), self.slots.len());
            self.slots.push(AccountVolume { account, records: 1, error: 0 });
            return;
        }
        let lowest = self.slots.iter_mut().enumerate().min_by_key(|(_, slot)| slot.records);
        let Some((place, slot)) = lowest else { return };
        self.places.remove(&slot.account);
        *slot = AccountVolume { account: account.clone(), records: slot.records + 1, error: slot.records };
        self.places.insert(account, place);
    }

    /// The accounts with the highest counts, highest first.
    pub(super) fn top(&self, limit: usize) -> Vec<AccountVolume> {
        let mut all = self.slots.clone();
        all.sort_by(|one, other| other.records.cmp(&one.records).then_with(|| one.account.cmp(&other.account)));
        all.truncate(limit);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_account_stays_among_many_others() {
        let mut accounts = BusyAccounts::default();
        for number in 0..20_000 {
            accounts.count(format!("account {number}").as_bytes());
            if number % 10 == 0 {
                accounts.count(b"busy");
            }
        }
        let top = accounts.top(1);
        assert_eq!(top[0].account, "busy");
        assert!(top[0].records >= 2000 && top[0].records - top[0].error <= 2000, "{top:?}");
        assert_eq!((accounts.slots.len(), accounts.places.len()), (TRACKED, TRACKED));
    }
}
