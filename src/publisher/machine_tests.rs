use super::*;
use crate::spool::QuarantineReason;

const UUID: Uuid = Uuid::from_u128(1);
const NEW: Uuid = Uuid::from_u128(2);

fn identity(first_seq: Seq, uuid: Uuid) -> Identity {
    Identity { first_seq, uuid }
}

fn machine(published_end: Seq, next_offsets: &[(i32, i64)]) -> Machine {
    Machine::new(
        next_offsets.is_empty(),
        published_end,
        vec![identity(1, UUID)],
        next_offsets.iter().copied().collect(),
    )
}

fn offsets(partitions: &[(i64, i64)]) -> Event {
    let offsets =
        (0..).zip(partitions).map(|(partition, &(low, high))| PartitionOffsets { partition, low, high, start: low });
    Event::Offsets(offsets.collect())
}

/// Runs a machine up to its first transaction, with `found` in the topic.
fn ready(machine: &mut Machine, partitions: &[(i64, i64)], found: &[Seq]) {
    assert!(matches!(machine.next(), Action::Connect { .. }));
    machine.on(Event::Connected);
    assert_eq!(machine.next(), Action::ListOffsets);
    machine.on(offsets(partitions));
    if let Action::Reconcile(_) = machine.next() {
        let mut set = machine.nothing_found(Seq::MAX);
        for &seq in found {
            set.note(UUID, seq, 0);
        }
        machine.on(Event::Reconciled(set));
    }
    if matches!(machine.next(), Action::Begin { .. }) {
        machine.on(Event::Done);
    }
}

fn committed(until: Seq, next: &[(i32, i64)]) -> Event {
    Event::Committed { until, next: next.iter().copied().collect() }
}

fn unknown_outcome(records: u64) -> Event {
    Event::UnknownOutcome { records }
}

#[test]
fn a_new_spool_starts_at_the_end_of_the_topic() {
    let mut machine = machine(1, &[]);
    machine.on(Event::Connected);
    machine.on(offsets(&[(0, 500), (7, 9)]));
    assert_eq!(machine.next(), Action::Begin { next_offsets: [(0, 500), (1, 9)].into(), unused: true });
    machine.on(Event::Done);
    assert_eq!(machine.next(), Action::Publish { from: 1, below: Seq::MAX, records: TRANSACTION_MAX_RECORDS });
}

#[test]
fn a_used_spool_of_unknown_age_reads_the_whole_topic() {
    let mut machine = machine(1, &[]);
    machine.on(Event::Connected);
    machine.on(offsets(&[(5, 500)]));
    assert_eq!(machine.next(), Action::Begin { next_offsets: [(0, 500)].into(), unused: true });
    machine.on(Event::Used);
    assert_eq!(machine.next(), Action::ListOffsets);
    machine.on(offsets(&[(5, 510)]));
    assert_eq!(machine.next(), Action::Reconcile(vec![Range { partition: 0, from: 5, to: 510 }]));
    machine.on(Event::Reconciled(machine.nothing_found(4)));
    assert_eq!(machine.next(), Action::Begin { next_offsets: [(0, 510)].into(), unused: false });
}

#[test]
fn a_spool_without_next_offsets_reads_from_its_creation_on() {
    let at = |partition, low, high, start| PartitionOffsets { partition, low, high, start };
    let mut machine = Machine::new(false, 1, vec![identity(1, UUID)], NextOffsets::new());
    machine.on(Event::Connected);
    machine.on(Event::Offsets(vec![at(0, 5, 510, 500), at(1, 0, 90, 90), at(2, 7, 9, 3)]));
    let Action::Reconcile(ranges) = machine.next() else { panic!("{:?}", machine.next()) };
    let range = |partition, from, to| Range { partition, from, to };
    assert_eq!(ranges, [range(0, 500, 510), range(2, 7, 9)], "partition 1 has no record since the spool's creation");
    // A stored offset is used, even if it is before that time.
    let mut machine = Machine::new(false, 1, vec![identity(1, UUID)], [(0, 100)].into());
    machine.on(Event::Connected);
    machine.on(Event::Offsets(vec![at(0, 5, 510, 500), at(1, 0, 90, 80)]));
    let Action::Reconcile(ranges) = machine.next() else { panic!("{:?}", machine.next()) };
    assert_eq!(ranges, [range(0, 100, 510), range(1, 80, 90)]);
}

#[test]
fn a_start_reads_from_the_next_offsets_to_the_high_watermarks() {
    let mut machine = machine(10, &[(0, 100), (1, 50), (3, 3)]);
    machine.on(Event::Connected);
    // Partition 0: new records; 1: removed by retention; 2: a new partition; 3: no new records.
    machine.on(offsets(&[(0, 130), (60, 70), (2, 4), (0, 3)]));
    let Action::Reconcile(ranges) = machine.next() else { panic!("{:?}", machine.next()) };
    let ranges: Vec<_> = ranges.iter().map(|range| (range.partition, range.from, range.to)).collect();
    assert_eq!(ranges, [(0, 100, 130), (1, 60, 70), (2, 2, 4)]);
}

#[test]
fn a_next_offset_above_the_end_reveals_a_recreated_topic() {
    for ends in [&[(0, 130), (0, 40)][..], &[(0, 130)]] {
        let mut machine = machine(10, &[(0, 100), (1, 50)]);
        ready(&mut machine, &[(0, 100), (0, 50)], &[]);
        machine.on(unknown_outcome(0));
        machine.on(Event::Connected);
        machine.on(offsets(ends));
        let Action::Reconcile(ranges) = machine.next() else { panic!("{:?}", machine.next()) };
        assert_eq!(ranges[0], Range { partition: 0, from: 0, to: 130 });
        machine.on(Event::Reconciled(machine.nothing_found(Seq::MAX)));
        // A start after a crash must not use the old offsets.
        assert!(matches!(machine.next(), Action::Begin { .. }), "{:?}", machine.next());
    }
}

#[test]
fn a_record_below_a_known_offset_reveals_a_recreated_topic() {
    let mut machine = machine(10, &[(0, 100), (1, 50)]);
    ready(&mut machine, &[(0, 100), (0, 50)], &[]);
    machine.on(committed(12, &[(1, 2)]));
    assert_eq!(machine.next_offsets(), &NextOffsets::from([(0, 0), (1, 2)]));
}

#[test]
fn a_used_spool_without_next_offsets_reads_the_whole_topic() {
    let mut machine = Machine::new(false, 1, vec![identity(1, UUID)], NextOffsets::new());
    machine.on(Event::Connected);
    machine.on(offsets(&[(3, 130)]));
    let Action::Reconcile(ranges) = machine.next() else { panic!("{:?}", machine.next()) };
    assert_eq!(ranges, [Range { partition: 0, from: 3, to: 130 }]);
}

#[test]
fn recovered_records_are_skipped_before_the_next_offsets_move() {
    let mut machine = machine(10, &[(0, 100)]);
    ready(&mut machine, &[(0, 130)], &[10, 11, 13]);
    assert!(machine.is_published(11) && machine.is_published(13));
    assert!(!machine.is_published(12) && !machine.is_published(9) && !machine.is_published(14));
    machine.on(committed(12, &[]));
    assert_eq!(machine.next_offsets()[&0], 100, "13 is ahead, so it must be found again");
    machine.on(committed(14, &[(0, 131)]));
    assert_eq!(machine.next_offsets()[&0], 131);
}

#[test]
fn next_offsets_do_not_pass_a_recovered_record_at_the_published_sequence() {
    let mut machine = machine(10, &[(0, 100)]);
    ready(&mut machine, &[(0, 130)], &[10, 12]);
    machine.on(committed(12, &[]));
    assert_eq!(machine.next_offsets()[&0], 100, "12 is next, so it must be found again");
    machine.on(committed(13, &[]));
    assert_eq!(machine.next_offsets()[&0], 130);
}

#[test]
fn any_unknown_outcome_leads_to_a_fence_and_a_reconciliation() {
    let mut machine = machine(1, &[]);
    ready(&mut machine, &[(0, 0)], &[]);
    machine.on(committed(11, &[(0, 10)]));
    machine.on(unknown_outcome(10));
    assert_eq!(machine.next(), Action::Connect { spool: UUID });
    machine.on(Event::Connected);
    machine.on(offsets(&[(0, 15)]));
    let Action::Reconcile(ranges) = machine.next() else { panic!("{:?}", machine.next()) };
    assert_eq!(ranges, [Range { partition: 0, from: 10, to: 15 }]);
    let mut found = machine.nothing_found(31);
    found.note(UUID, 20, 0);
    machine.on(Event::Reconciled(found));
    assert!(matches!(machine.next(), Action::Publish { from: 11, .. }), "{:?}", machine.next());
}

#[test]
fn failures_back_off_up_to_a_limit_and_a_success_resets_them() {
    let mut machine = machine(1, &[]);
    let mut waits = Vec::new();
    for _ in 0..12 {
        machine.on(unknown_outcome(0));
        if let Action::Backoff(time) = machine.next() {
            waits.push(time);
            machine.on(Event::Done);
        }
        assert!(matches!(machine.next(), Action::Connect { .. }));
    }
    assert_eq!(waits.len(), 11, "the first attempt follows at once");
    assert!(waits.is_sorted());
    assert_eq!((waits[0], *waits.last().unwrap()), (BACKOFF_MIN, BACKOFF_MAX));
    ready(&mut machine, &[(0, 0)], &[]);
    machine.on(Event::Idle);
    assert_eq!(machine.failures(), 0);
}

#[test]
fn a_spool_behind_the_topic_takes_a_new_identity() {
    let mut machine = machine(10, &[(0, 100)]);
    machine.on(Event::Connected);
    machine.on(offsets(&[(0, 200)]));
    assert!(matches!(machine.next(), Action::Reconcile(_)));
    let mut found = machine.nothing_found(20);
    for seq in (10..15).chain(20..40) {
        found.note(UUID, seq, 0);
    }
    assert_eq!(found.foreign_from(), Some(20));
    machine.on(Event::Reconciled(found));
    assert_eq!(machine.next(), Action::Renew { first_seq: 20 });
    machine.on(Event::Renewed(vec![identity(1, UUID), identity(20, NEW)]));
    // The rest of the old range is published under the old identity.
    assert_eq!(machine.next(), Action::Connect { spool: UUID });
    machine.on(Event::Connected);
    machine.on(offsets(&[(0, 200)]));
    assert!(matches!(machine.next(), Action::Reconcile(_)));
    let mut found = machine.nothing_found(20);
    for seq in (10..15).chain(20..40) {
        found.note(UUID, seq, 0);
    }
    assert!(found.foreign_from().is_none(), "later numbers of the old identity are known");
    machine.on(Event::Reconciled(found));
    machine.on(Event::Done);
    assert!(matches!(machine.next(), Action::Publish { from: 10, below: 20, .. }));
    assert!(machine.is_published(14) && !machine.is_published(15) && !machine.is_published(20));
    machine.on(committed(20, &[]));
    assert_eq!(machine.next(), Action::Connect { spool: NEW });
    assert_eq!(machine.name(19), (UUID, 19));
    assert_eq!(machine.name(20), (NEW, 1));
}

#[test]
fn a_poison_record_is_found_by_halving_and_quarantined_alone() {
    let mut machine = machine(1, &[]);
    ready(&mut machine, &[(0, 0)], &[]);
    let poison = 700;
    let reason = PoisonReason { reason: QuarantineReason::KafkaTooLarge, detail: String::new() };
    let mut transactions = 0;
    let mut offset = 0;
    while machine.published_end() <= 1000 {
        match machine.next() {
            Action::Publish { from, records, .. } => {
                transactions += 1;
                let until = (from + records).min(1001);
                if (from..until).contains(&poison) {
                    let reason = reason.clone();
                    machine.on(Event::Rejected { seq: poison, records: until - from, reason });
                } else {
                    offset += i64::try_from(until - from).unwrap();
                    machine.on(committed(until, &[(0, offset)]));
                }
            }
            Action::Quarantine { seq, .. } => {
                assert_eq!(seq, poison);
                machine.on(Event::Quarantined { until: seq + 1 });
            }
            _ => ready(&mut machine, &[(0, offset)], &[]),
        }
    }
    assert!(transactions < 40, "{transactions}");
    assert!(matches!(machine.next(), Action::Publish { records: TRANSACTION_MAX_RECORDS, .. }));
}

#[test]
fn after_a_rejection_transactions_grow_again_after_many_successes() {
    let mut machine = machine(1, &[]);
    ready(&mut machine, &[(0, 0)], &[]);
    let reason = PoisonReason { reason: QuarantineReason::KafkaTooLarge, detail: String::new() };
    machine.on(Event::Rejected { seq: 1, records: 8, reason });
    ready(&mut machine, &[(0, 0)], &[]);
    for _ in 0..100 {
        let Action::Publish { from, records: 4, .. } = machine.next() else { panic!("{:?}", machine.next()) };
        machine.on(committed(from + 4, &[]));
    }
    assert!(matches!(machine.next(), Action::Publish { records: 8, .. }), "{:?}", machine.next());
}

#[test]
fn a_poison_record_that_the_topic_has_is_not_quarantined() {
    let mut machine = machine(5, &[(0, 10)]);
    ready(&mut machine, &[(0, 10)], &[]);
    let reason = PoisonReason { reason: QuarantineReason::KafkaInvalid, detail: String::new() };
    machine.on(Event::Rejected { seq: 5, records: 1, reason });
    ready(&mut machine, &[(0, 12)], &[5]);
    assert!(matches!(machine.next(), Action::Publish { from: 5, .. }));
    assert!(machine.is_published(5));
}

#[test]
fn a_transaction_shrinks_after_timeouts_and_grows_again() {
    let mut machine = machine(1, &[]);
    ready(&mut machine, &[(0, 0)], &[]);
    for _ in 0..5 {
        let Action::Publish { records, .. } = machine.next() else { panic!() };
        machine.on(unknown_outcome(records));
        while !matches!(machine.next(), Action::Publish { .. }) {
            match machine.next() {
                Action::Backoff(_) => machine.on(Event::Done),
                _ => ready(&mut machine, &[(0, 0)], &[]),
            }
        }
    }
    assert!(matches!(machine.next(), Action::Publish { records: 1, .. }));
    for _ in 0..16 {
        let Action::Publish { from, records, .. } = machine.next() else { panic!() };
        machine.on(committed(from + records, &[]));
    }
    assert!(matches!(machine.next(), Action::Publish { records: TRANSACTION_MAX_RECORDS, .. }));
}

#[test]
fn an_unknown_outcome_without_records_keeps_the_size_of_transactions() {
    let mut machine = machine(1, &[]);
    ready(&mut machine, &[(0, 0)], &[]);
    machine.on(unknown_outcome(0));
    ready(&mut machine, &[(0, 0)], &[]);
    assert!(matches!(machine.next(), Action::Publish { records: TRANSACTION_MAX_RECORDS, .. }));
}

#[test]
fn numbers_used_by_a_copy_get_a_new_identity() {
    let mut machine = machine(10, &[(0, 100)]);
    machine.on(Event::Connected);
    machine.on(offsets(&[(0, 200)]));
    assert!(matches!(machine.next(), Action::Reconcile(_)));
    let mut found = machine.nothing_found(20);
    for seq in 10..25 {
        found.note(UUID, seq, u32::from(seq >= 14));
    }
    assert!((10..14).all(|seq| found.compare(seq, 0)));
    assert!(!found.compare(14, 0));
    assert_eq!((found.foreign_from(), found.count()), (Some(14), 4));
    machine.on(Event::Reconciled(found));
    assert_eq!(machine.next(), Action::Renew { first_seq: 14 });
}

/// A late commit has published records ahead of the published sequence. If offsets after them were stored before the
/// published sequence has passed them, the start after a crash would not find them.
#[test]
fn next_offsets_stay_before_unpassed_recovered_records() {
    let mut machine = machine(1, &[(0, 10), (1, 10)]);
    ready(&mut machine, &[(0, 50), (0, 50)], &[100]);
    machine.on(committed(64, &[(0, 60)]));
    assert_eq!(machine.next_offsets(), &NextOffsets::from([(0, 10), (1, 10)]));
    machine.on(committed(128, &[(1, 70)]));
    assert_eq!(machine.next_offsets(), &NextOffsets::from([(0, 50), (1, 70)]));
}

#[test]
fn the_reason_for_a_new_identity_survives_a_failed_attempt() {
    let mut machine = machine(10, &[(0, 100)]);
    for _ in 0..2 {
        machine.on(Event::Connected);
        machine.on(offsets(&[(0, 200)]));
        assert_eq!(machine.next(), Action::Reconcile(vec![Range { partition: 0, from: 100, to: 200 }]));
        let mut found = machine.nothing_found(10);
        found.note(UUID, 12, 0);
        machine.on(Event::Reconciled(found));
        assert_eq!(machine.next(), Action::Renew { first_seq: 10 });
        machine.on(unknown_outcome(0));
    }
}
