//! The checker of the torture test reports each error: every test has an invented history with one error. The plan of
//! faults is a function of its seed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod checker;
mod history;
mod schedule;
mod seen;

use checker::{Verdict, judge};
use history::{History, ResponseKind};
use proptest::prelude::*;
use schedule::{BridgeFault, BrokerFault, NetworkFault, outlasts_a_transaction};
use seen::{Seen, Sighting};
use test_support::random::Random;
use uuid::Uuid;

const KEYS: usize = 2;
const SPOOL: Uuid = Uuid::from_u128(7);

/// Returns the history of the webhooks of two accounts.
fn history() -> History {
    use ResponseKind::{Acknowledged, Missing, Refused};
    let response = vec![vec![Acknowledged, Missing, Acknowledged, Refused, Acknowledged], vec![Missing, Acknowledged]];
    History { keys: KEYS, response }
}

/// Returns the records that a correct bridge publishes for this history, if it accepted one of the unanswered
/// webhooks.
fn records() -> Vec<Sighting> {
    let recalls = [(0, 0), (1, 2), (0, 1), (1, 3), (0, 2), (0, 3), (0, 4), (0, 5), (0, 8), (0, 9)];
    let record = |(at, (account, recall)): (usize, (usize, usize))| Sighting {
        partition: i32::try_from(account).unwrap(),
        offset: i64::try_from(at).unwrap(),
        account,
        recall,
        spool: SPOOL,
        seq: at as u64 + 1,
    };
    recalls.into_iter().enumerate().map(record).collect()
}

fn verdict(records: Vec<Sighting>) -> Verdict {
    let mut seen = Seen::new(2);
    for record in records {
        seen.note(Ok(record));
    }
    judge(&history(), seen)
}

/// Returns the verdict on the correct records, changed by `change`.
fn clean_but(change: impl FnOnce(&mut Verdict)) -> Verdict {
    let mut expected = verdict(records());
    assert!(expected.is_clean(), "{expected:?}");
    change(&mut expected);
    assert!(!expected.is_clean());
    expected
}

#[track_caller]
fn assert_found(mut found: Verdict, expected: &Verdict) {
    assert!(!found.is_clean() && !found.examples.is_empty(), "{found:?}");
    found.examples.clear();
    assert_eq!(&found, expected);
}

#[test]
fn a_history_without_fault_is_clean() {
    let found = verdict(records());
    assert!(found.is_clean(), "{found:?}");
    assert_eq!((found.acknowledged, found.refused, found.unanswered), (8, 2, 4));
    assert_eq!((found.published, found.unanswered_published, found.spools), (10, 2, 1));
}

#[test]
fn a_lost_recall_is_found() {
    // The last sequence number of the spool, so that no gap remains: only the sender knows of the recall.
    let mut records = records();
    records.pop();
    let expected = clean_but(|verdict| (verdict.published, verdict.lost, verdict.torn) = (9, 1, 1));
    assert_found(verdict(records), &expected);
}

#[test]
fn a_whole_lost_webhook_is_found() {
    let mut records = records();
    records.truncate(8);
    assert_found(verdict(records), &clean_but(|verdict| (verdict.published, verdict.lost) = (8, 2)));
}

#[test]
fn a_record_that_is_there_twice_is_found() {
    let mut records = records();
    records.push(Sighting { offset: 10, ..records[9] });
    assert_found(verdict(records), &clean_but(|verdict| (verdict.published, verdict.duplicated) = (11, 1)));
}

#[test]
fn a_recall_that_is_there_twice_under_another_number_is_found() {
    let mut records = records();
    records.push(Sighting { offset: 10, seq: 11, ..records[2] });
    assert_found(verdict(records), &clean_but(|verdict| (verdict.published, verdict.duplicated) = (11, 1)));
}

#[test]
fn two_recalls_under_one_number_are_found() {
    let mut records = records();
    records[9].seq = 9;
    assert_found(verdict(records), &clean_but(|verdict| verdict.duplicated = 1));
}

#[test]
fn recalls_that_are_swapped_are_found() {
    // The sequence numbers are swapped, too: the bridge accepted the recalls in the wrong order.
    let mut swapped = records();
    (swapped[6].recall, swapped[8].recall) = (swapped[8].recall, swapped[6].recall);
    assert_found(verdict(swapped), &clean_but(|verdict| verdict.reordered = 2));
    // The sequence numbers are correct, but the bridge published the records in the wrong order.
    let mut swapped = records();
    swapped.swap(6, 8);
    assert_found(verdict(swapped), &clean_but(|verdict| verdict.reordered = 2));
}

#[test]
fn an_unanswered_recall_may_be_overtaken() {
    let mut records = records();
    records[4].recall = 4;
    records[5].recall = 5;
    records[6].recall = 2;
    records[7].recall = 3;
    let found = verdict(records);
    assert!(found.is_clean(), "{found:?}");
}

#[test]
fn a_gap_in_the_numbers_is_found() {
    let mut records = records();
    records[9].seq = 11;
    assert_found(verdict(records), &clean_but(|verdict| verdict.gaps = 1));
    let mut records = self::records();
    for record in &mut records {
        record.seq += 1;
    }
    assert_found(verdict(records), &clean_but(|verdict| verdict.gaps = 1));
}

#[test]
fn a_recall_that_was_refused_or_never_sent_is_found() {
    for (partition, account, recall) in [(0, 0, 6), (1, 1, 5)] {
        let mut records = records();
        records.push(Sighting { account, recall, partition, offset: 10, seq: 11, ..records[9] });
        let found = verdict(records);
        assert_eq!((found.false_recalls, found.lost, found.duplicated), (1, 0, 0), "{found:?}");
        assert!(!found.is_clean());
    }
}

#[test]
fn a_record_of_an_unknown_sender_is_found() {
    let mut strange = records();
    strange.push(Sighting { account: 2, ..strange[9] });
    assert_found(verdict(strange), &clean_but(|verdict| (verdict.published, verdict.false_recalls) = (11, 1)));
    let mut seen = Seen::new(2);
    for record in records().into_iter().map(Ok).chain([Err("no key".to_owned())]) {
        seen.note(record);
    }
    assert_found(judge(&history(), seen), &clean_but(|verdict| (verdict.published, verdict.false_recalls) = (11, 1)));
}

#[test]
fn a_webhook_that_is_there_in_part_is_found() {
    let mut records = records();
    records.remove(5);
    for (at, record) in records.iter_mut().enumerate() {
        record.seq = at as u64 + 1;
    }
    let expected = clean_but(|verdict| (verdict.published, verdict.unanswered_published, verdict.torn) = (9, 1, 1));
    assert_found(verdict(records), &expected);
}

#[test]
fn an_account_in_two_partitions_and_a_spool_with_two_names_are_found() {
    let mut moved = records();
    moved[9].partition = 5;
    assert_found(verdict(moved), &clean_but(|verdict| verdict.moved = 1));
    let mut renamed = records();
    (renamed[9].spool, renamed[9].seq) = (Uuid::from_u128(8), 1);
    let found = verdict(renamed);
    assert_eq!(found.spools, 2);
    assert!(!found.is_clean());
}

proptest! {
    #[test]
    fn no_single_change_to_the_topic_escapes(at in 0_usize..10, other in 0_usize..10, what in 0..4) {
        let correct = verdict(records());
        let mut records = records();
        match what {
            0 => drop(records.remove(at)),
            1 => records.push(Sighting { offset: 10, ..records[at] }),
            // Only within an account: no order exists between accounts.
            2 => {
                prop_assume!(at != other && records[at].account == records[other].account);
                records.swap(at, other);
            }
            _ => records[at].recall += 100,
        }
        let found = verdict(records);
        prop_assert!(!found.is_clean(), "{:?}", found);
        prop_assert!(correct.is_clean());
    }
}

#[test]
fn a_seed_gives_the_same_plan_again_and_another_seed_another_one() {
    let plan = |seed| {
        let random = &mut Random::seeded(seed);
        let step = |_| (schedule::bridge(random, 2.0), schedule::broker(random, 15.0), schedule::network(random));
        (0..1000).map(step).collect::<Vec<_>>()
    };
    assert_eq!(plan(7), plan(7));
    assert_ne!(plan(7), plan(8));
}

#[test]
fn a_plan_has_faults_of_every_kind() {
    let random = &mut Random::seeded(7);
    let bridge: Vec<BridgeFault> = (0..1000).map(|_| schedule::bridge(random, 2.0).fault).collect();
    let long = |length: &std::time::Duration| outlasts_a_transaction(*length);
    assert!(bridge.iter().any(|fault| matches!(fault, BridgeFault::Kill)));
    assert!(bridge.iter().any(|fault| matches!(fault, BridgeFault::KillWhileSending(_))));
    assert!(bridge.iter().any(|fault| matches!(fault, BridgeFault::Freeze(length) if !long(length))));
    assert!(bridge.iter().any(|fault| matches!(fault, BridgeFault::Freeze(length) if long(length))));
    assert!(bridge.iter().any(|fault| matches!(fault, BridgeFault::StopAndFillDisk(_))));
    let broker: Vec<BrokerFault> = (0..1000).map(|_| schedule::broker(random, 15.0).fault).collect();
    assert!(broker.iter().any(|fault| matches!(fault, BrokerFault::Kill { .. })));
    assert!(broker.iter().any(|fault| matches!(fault, BrokerFault::Freeze(length) if !long(length))));
    assert!(broker.iter().any(|fault| matches!(fault, BrokerFault::Freeze(length) if long(length))));
    let network: Vec<NetworkFault> = (0..1000).map(|_| schedule::network(random).fault).collect();
    assert!(network.iter().any(|fault| matches!(fault, NetworkFault::Cut { .. })));
    assert!(network.iter().any(|fault| matches!(fault, NetworkFault::Delay { .. })));
    assert!(network.iter().any(|fault| matches!(fault, NetworkFault::Stall(length) if !long(length))));
    assert!(network.iter().any(|fault| matches!(fault, NetworkFault::Stall(length) if long(length))));
}
