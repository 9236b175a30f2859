//! The responses that the senders got, in a form that is small enough for hours.
//!
//! A recall is a pair of numbers: its account, and its index among all recalls sent for that account. Every webhook
//! has the same number of message keys, so a webhook is a range of these indices, and the history stores one byte for
//! it.

/// The response to a webhook, as its sender knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ResponseKind {
    /// Its recalls must be in the topic.
    Acknowledged,
    /// Its recalls must not be in the topic.
    Refused,
    /// The connection broke, or the response was `unavailable`: either all recalls of the webhook are in the topic, or
    /// none of them.
    Missing,
}

/// All webhooks, by account, in the order in which they were sent.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Message keys of each webhook.
    pub(crate) keys: usize,
    /// By account.
    pub(crate) response: Vec<Vec<ResponseKind>>,
}

impl History {
    /// Returns the number of recalls with this response.
    pub(crate) fn recalls(&self, response: ResponseKind) -> u64 {
        let count = |account: &Vec<ResponseKind>| account.iter().filter(|other| **other == response).count();
        (self.response.iter().map(count).sum::<usize>() * self.keys) as u64
    }

    /// Returns the response and the recall indices of each webhook of an account.
    pub(crate) fn webhooks(&self, account: usize) -> impl Iterator<Item = (ResponseKind, std::ops::Range<usize>)> {
        let response = self.response[account].iter().enumerate();
        response.map(|(number, response)| (*response, number * self.keys..(number + 1) * self.keys))
    }
}
