//! What the senders were told, in a form that has room for hours.
//!
//! A recall is a pair of numbers: its account, and its place among all that was ever sent for that
//! account. Every webhook has the same number of message keys, so a webhook is a range of such places,
//! and what is remembered of it is one byte.

/// What a sender knows of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Told {
    /// It has to be in the topic.
    Acknowledged,
    /// It must not be in the topic.
    Refused,
    /// The connection broke, or the answer was that nobody knows (`unavailable`): it may be in the
    /// topic, whole, or not.
    Nothing,
}

/// All webhooks of all accounts, those of one account in the order in which they were sent.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Message keys of each webhook.
    pub(crate) keys: usize,
    /// By account.
    pub(crate) told: Vec<Vec<Told>>,
}

impl History {
    /// Recalls that were told so.
    pub(crate) fn recalls(&self, told: Told) -> u64 {
        let count = |account: &Vec<Told>| account.iter().filter(|other| **other == told).count();
        (self.told.iter().map(count).sum::<usize>() * self.keys) as u64
    }

    /// The webhooks of an account: what was told, and the places of its recalls.
    pub(crate) fn webhooks(&self, account: usize) -> impl Iterator<Item = (Told, std::ops::Range<usize>)> {
        let told = self.told[account].iter().enumerate();
        told.map(|(number, told)| (*told, number * self.keys..(number + 1) * self.keys))
    }
}
