//! Compares the responses that the senders got with the records in the topic.

use crate::history::{History, ResponseKind};
use crate::seen::Seen;

/// Counts of recalls, unless a field says otherwise.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) acknowledged: u64,
    pub(crate) refused: u64,
    /// Recalls without a response that decides their outcome.
    pub(crate) unanswered: u64,
    /// Unanswered recalls that are in the topic.
    pub(crate) unanswered_published: u64,
    /// Records in the topic.
    pub(crate) published: u64,
    /// Acknowledged recalls that are not in the topic.
    pub(crate) lost: u64,
    /// Records whose recall or sequence number is already in the topic.
    pub(crate) duplicated: u64,
    /// Acknowledged recalls behind a later acknowledged recall of the account, or records whose `bridge_seq` is below
    /// an earlier one of the account.
    pub(crate) reordered: u64,
    /// Sequence numbers missing between 1 and the highest one of a spool.
    pub(crate) gaps: u64,
    /// Records of recalls that were refused or never sent, and records of other runs.
    pub(crate) false_recalls: u64,
    /// Webhooks with some of their recalls in the topic, but not all.
    pub(crate) torn: u64,
    /// Records of an account in a second partition.
    pub(crate) moved: u64,
    /// Spool UUIDs. The run has one spool, so a second UUID is an error.
    pub(crate) spools: u64,
    pub(crate) examples: Vec<String>,
}

impl Verdict {
    /// Returns whether no guarantee was violated.
    pub(crate) fn is_clean(&self) -> bool {
        let faults = [
            self.lost,
            self.duplicated,
            self.reordered,
            self.gaps,
            self.false_recalls,
            self.torn,
            self.moved,
            self.spools.saturating_sub(1),
        ];
        faults == [0; 8]
    }
}

/// Compares the history with the topic. No request may be in progress.
pub(crate) fn judge(history: &History, mut seen: Seen) -> Verdict {
    let mut verdict = Verdict {
        acknowledged: history.recalls(ResponseKind::Acknowledged),
        refused: history.recalls(ResponseKind::Refused),
        unanswered: history.recalls(ResponseKind::Missing),
        published: seen.records,
        duplicated: seen.duplicated.max(seen.numbers_doubled),
        false_recalls: seen.foreign,
        moved: seen.moved,
        spools: seen.spools.len() as u64,
        ..Verdict::default()
    };
    let mut sent_order = 0;
    for account in 0..history.response.len() {
        let places = std::mem::take(&mut seen.accounts[account].places);
        let place = |recall: usize| places.get(recall).copied().unwrap_or(0);
        let mut last = 0;
        for (response, recalls) in history.webhooks(account) {
            let all = recalls.len() as u64;
            let present = recalls.clone().filter(|recall| place(*recall) > 0).count() as u64;
            let torn = present > 0 && present < all;
            verdict.torn += u64::from(torn);
            match response {
                ResponseKind::Acknowledged => {
                    verdict.lost += all - present;
                    for recall in recalls.clone().filter(|recall| place(*recall) > 0) {
                        if place(recall) < last {
                            sent_order += 1;
                            seen.example(format!("account {account}: recall {recall} is behind a later one"));
                        }
                        last = last.max(place(recall));
                    }
                }
                ResponseKind::Missing => verdict.unanswered_published += present,
                ResponseKind::Refused => verdict.false_recalls += present,
            }
            if torn
                || (response == ResponseKind::Acknowledged && present < all)
                || (response == ResponseKind::Refused && present > 0)
            {
                seen.example(format!(
                    "account {account}, recalls {recalls:?}: {response:?}, {present} of {all} are there"
                ));
            }
        }
        let sent = history.response[account].len() * history.keys;
        let never_sent = places.iter().skip(sent).filter(|place| **place > 0).count() as u64;
        if never_sent > 0 {
            verdict.false_recalls += never_sent;
            seen.example(format!("account {account}: {never_sent} recalls from {sent} on were never sent"));
        }
    }
    verdict.reordered = sent_order.max(seen.numbers_reordered);
    for (spool, numbers) in &seen.spools {
        verdict.gaps += numbers.highest().unwrap_or(0) + u64::from(numbers.contains(0)) - numbers.len();
        let highest = numbers.highest().unwrap_or(0);
        let missing: Vec<u64> = (1..=highest).filter(|number| !numbers.contains(*number)).take(3).collect();
        if !missing.is_empty() {
            verdict.examples.push(format!("spool {spool}: {missing:?} … of 1 to {highest} are missing"));
        }
    }
    verdict.examples.append(&mut seen.examples);
    verdict
}
